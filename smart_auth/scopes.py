"""SMART scopes as values: the only place that reads or writes a scope string.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html. Both dialects are read
(`.read` is `.rs`, `.write` is `.cud`, `.*` is `.cruds`), and each scope is written back in the
dialect it was asked in. A text that is not a scope this server knows is dropped, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, cast
from urllib.parse import quote, unquote

Level = Literal["patient", "user", "system"]
Letter = Literal["c", "r", "u", "d", "s"]
Dialect = Literal["v1", "v2"]

LETTERS = "cruds"
V1_LETTERS = {"read": "rs", "write": "cud", "*": "cruds"}
V1_NAMES = {letters: name for name, letters in V1_LETTERS.items()}

SPECIAL_SCOPES = (
    "launch",
    "launch/patient",
    "launch/encounter",
    "openid",
    "fhirUser",
    "profile",
    "offline_access",
    "online_access",
)
"""Scopes that are not about a resource type."""

MEANINGFUL_ALONE = frozenset({"launch", "launch/patient", "openid"})
"""Specials that are worth a grant by themselves; the others only qualify one."""

GRANULAR_TYPES = frozenset({"Condition", "Observation", "DiagnosticReport", "DocumentReference"})
"""Types that take `?category=` forms (US Core granular scopes)."""

_SHAPE = re.compile(
    r"(?P<level>patient|user|system)/(?P<type>[A-Z][A-Za-z]*|\*)"
    r"\.(?P<access>read|write|\*|c?r?u?d?s?)(?:\?(?P<query>.+))?"
)
_UNSAFE_IN_CODE = "!$'()*/:;@-._~|"


@dataclass(frozen=True, slots=True)
class Category:
    """One token of a `category` filter; `system` None matches any system, '' no system."""

    system: str | None
    code: str

    @classmethod
    def parse(cls, text: str) -> Category | None:
        """Read `system|code` or `code`, percent-encoded or not; None when there is no code."""
        system, bar, code = unquote(text).rpartition("|")
        if not code:
            return None
        return cls(system if bar else None, code)

    def __str__(self) -> str:
        text = self.code if self.system is None else f"{self.system}|{self.code}"
        return quote(text, safe=_UNSAFE_IN_CODE)

    def within(self, other: Category) -> bool:
        """Whether everything this token matches is matched by the other."""
        return self.code == other.code and other.system in (None, self.system)


@dataclass(frozen=True, slots=True)
class Scope:
    """One resource scope. `type` is a FHIR type or `*`; no `categories` means all of the type."""

    level: Level
    type: str
    letters: frozenset[Letter]
    categories: tuple[Category, ...] = ()
    dialect: Dialect = "v2"

    @classmethod
    def parse(cls, text: str, types: Collection[str]) -> Scope | None:
        """The scope this text means, or None when it is none; `types` are the known FHIR types."""
        match = _SHAPE.fullmatch(text)
        if match is None or not match["access"]:
            return None
        resource_type, access = match["type"], match["access"]
        if resource_type != "*" and resource_type not in types:
            return None
        categories = _parse_query(match["query"], resource_type)
        if categories is None:
            return None
        return cls(
            level=cast(Level, match["level"]),
            type=resource_type,
            letters=_letters(V1_LETTERS.get(access, access)),
            categories=categories,
            dialect="v1" if access in V1_LETTERS else "v2",
        )

    def __str__(self) -> str:
        letters = "".join(letter for letter in LETTERS if letter in self.letters)
        access = V1_NAMES.get(letters, letters) if self.dialect == "v1" else letters
        query = ""
        if self.categories:
            query = "?category=" + ",".join(str(category) for category in self.categories)
        return f"{self.level}/{self.type}.{access}{query}"

    def covers(self, other: Scope) -> bool:
        """Whether this one scope allows everything the other allows (dialect apart)."""
        return (
            self.level == other.level
            and self.type in ("*", other.type)
            and self.letters >= other.letters
            and _categories_cover(self.categories, other.categories)
        )

    def meet(self, other: Scope) -> Scope | None:
        """What both allow, in this scope's dialect; None when that is nothing."""
        if self.level != other.level:
            return None
        if self.type != "*" and other.type not in ("*", self.type):
            return None
        letters = self.letters & other.letters
        categories = _meet_categories(self.categories, other.categories)
        if not letters or categories is None:
            return None
        resource_type = other.type if self.type == "*" else self.type
        return replace(self, type=resource_type, letters=letters, categories=categories)


@dataclass(frozen=True)
class ScopeSet:
    """Scopes in the order they were asked for, without repeats: of resources and special ones."""

    items: tuple[Scope | str, ...] = ()

    @classmethod
    def parse(cls, text: str, types: Collection[str]) -> ScopeSet:
        """Read a space-separated list; what is unknown or malformed is dropped."""
        found: dict[Scope | str, None] = {}
        for word in text.split():
            item = word if word in SPECIAL_SCOPES else Scope.parse(word, types)
            if item is not None:
                found[item] = None
        return cls(tuple(found))

    @classmethod
    def of(cls, items: Iterable[Scope | str]) -> ScopeSet:
        """From values, keeping the first of equals."""
        return cls(tuple(dict.fromkeys(items)))

    def __str__(self) -> str:
        return " ".join(str(item) for item in self.items)

    def __bool__(self) -> bool:
        return bool(self.items)

    def __contains__(self, special: object) -> bool:
        return special in self.items

    def __iter__(self) -> Iterator[Scope | str]:
        return iter(self.items)

    @property
    def resources(self) -> tuple[Scope, ...]:
        """The resource scopes only."""
        return tuple(item for item in self.items if isinstance(item, Scope))

    @property
    def specials(self) -> frozenset[str]:
        """The special scopes only."""
        return frozenset(item for item in self.items if isinstance(item, str))

    @property
    def meaningful(self) -> bool:
        """Whether a grant of this set would give the app anything at all."""
        return bool(self.resources or self.specials & MEANINGFUL_ALONE)

    def at_level(self, *levels: Level) -> ScopeSet:
        """Without the resource scopes of other levels; specials stay."""
        return ScopeSet(
            tuple(item for item in self.items if isinstance(item, str) or item.level in levels)
        )

    def has_level(self, level: Level) -> bool:
        """Whether any resource scope is of this level."""
        return any(scope.level == level for scope in self.resources)

    def without(self, *specials: str) -> ScopeSet:
        """Without these special scopes."""
        return ScopeSet(tuple(item for item in self.items if item not in specials))

    def allows(self, level: Level, resource_type: str, letter: Letter) -> bool:
        """Whether some resource of the type could be reached with this interaction."""
        return any(
            scope.level == level and scope.type in ("*", resource_type) and letter in scope.letters
            for scope in self.resources
        )

    def covers(self, other: ScopeSet) -> bool:
        """Whether everything the other set allows is allowed here, letter by letter."""
        if not other.specials <= self.specials:
            return False
        mine = {atom for scope in self.resources for atom in _atoms(scope)}
        return all(
            not mine.isdisjoint(_wider_atoms(atom))
            for scope in other.resources
            for atom in _atoms(scope)
        )

    def limit(self, most: ScopeSet) -> ScopeSet:
        """Resource scopes cut down to `most`; special scopes are not its business and stay."""
        return self.intersect(ScopeSet.of([*most.resources, *self.specials]))

    def intersect(self, allowed: ScopeSet) -> ScopeSet:
        """What is asked here and allowed there, in the words of the asking.

        Letters that are allowed only in part narrow the scope; a wildcard over limited types
        becomes those types; a wide scope over a granular one becomes granular.
        """
        kept: list[Scope | str] = []
        for item in self.items:
            if isinstance(item, str):
                if item in allowed.specials:
                    kept.append(item)
            else:
                kept.extend(_narrow(item, allowed.resources))
        return ScopeSet.of(kept)


def _letters(text: str) -> frozenset[Letter]:
    return frozenset(cast(Letter, letter) for letter in text)


def _parse_query(query: str | None, resource_type: str) -> tuple[Category, ...] | None:
    """The category tokens of a granular scope; None when the query is not one we enforce."""
    if query is None:
        return ()
    name, _, value = query.partition("=")
    if name != "category" or not value or "&" in value or resource_type not in GRANULAR_TYPES:
        return None
    tokens = [Category.parse(part) for part in value.split(",")]
    if not all(tokens):
        return None
    return tuple(dict.fromkeys(token for token in tokens if token is not None))


def _categories_cover(mine: tuple[Category, ...], other: tuple[Category, ...]) -> bool:
    if not mine:
        return True
    wide = frozenset(mine)
    return bool(other) and all(not wide.isdisjoint(_wider_tokens(token)) for token in other)


def _meet_categories(
    mine: tuple[Category, ...], other: tuple[Category, ...]
) -> tuple[Category, ...] | None:
    """The tokens both filters admit; () is no filter, None is nothing in common."""
    if not mine or not other:
        return mine or other
    if len(mine) == len(other) == 1:
        return mine if mine[0].within(other[0]) else other if other[0].within(mine[0]) else None
    theirs: dict[str, dict[Category, None]] = {}
    for token in other:
        theirs.setdefault(token.code, {})[token] = None
    common: dict[Category, None] = {}
    for token in mine:
        of_code = theirs.get(token.code, {})
        if any(wide in of_code for wide in _wider_tokens(token)):
            common[token] = None
        if token.system is None:
            common |= of_code
    return tuple(common) or None


def _wider_tokens(token: Category) -> tuple[Category, Category]:
    """The tokens that a token is within."""
    return token, Category(None, token.code)


_Atom = tuple[Level, str, Letter, Category | None]
"""A scope of one letter and one category, or none."""


def _atoms(scope: Scope) -> Iterator[_Atom]:
    """A scope cut into atoms, so that a union can be held against it."""
    for letter in scope.letters:
        for token in scope.categories or (None,):
            yield scope.level, scope.type, letter, token


def _wider_atoms(atom: _Atom) -> Iterator[_Atom]:
    """The atoms that allow everything this one does."""
    level, resource_type, letter, token = atom
    tokens = (None,) if token is None else (None, *_wider_tokens(token))
    for wide_type in ("*", resource_type):
        for wide in tokens:
            yield level, wide_type, letter, wide


def _narrow(asked: Scope, allowed: Iterable[Scope]) -> list[Scope]:
    """The parts of one asked scope that are allowed, merged, without what another part covers."""
    merged: dict[tuple[str, tuple[Category, ...]], Scope] = {}
    for limit in allowed:
        part = asked.meet(limit)
        if part is None:
            continue
        key = (part.type, part.categories)
        if key in merged:
            part = replace(part, letters=part.letters | merged[key].letters)
        merged[key] = part
    return _without_covered(list(merged.values()))


def _without_covered(parts: list[Scope]) -> list[Scope]:
    """The parts that no other covers; the first of equals stays. Each is held against those that
    share its rarest category only: apps write what is compared here."""
    holders: dict[tuple[str, Category | None], list[int]] = {}
    for place, part in enumerate(parts):
        for token in part.categories or (None,):
            holders.setdefault((part.type, token), []).append(place)

    def rivals(resource_type: str, token: Category | None) -> list[int]:
        wide = {None} if token is None else {None, *_wider_tokens(token)}
        keys = [(each, one) for each in {"*", resource_type} for one in wide]
        return [place for key in keys for place in holders.get(key, ())]

    def covered(place: int, part: Scope) -> bool:
        few = min((rivals(part.type, one) for one in part.categories or (None,)), key=len)
        return any(
            parts[other].covers(part) and (not part.covers(parts[other]) or other < place)
            for other in few
            if other != place
        )

    return [part for place, part in enumerate(parts) if not covered(place, part)]
