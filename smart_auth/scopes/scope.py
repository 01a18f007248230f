"""One SMART scope: read, written, held against another.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html. Both dialects are read
(`.read` is `.rs`, `.write` is `.cud`, `.*` is `.cruds`), and each scope is written back in the
dialect it was asked in. A text that is not a scope this server knows is dropped, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal, cast
from urllib.parse import quote, unquote

Level = Literal["patient", "user", "system"]
Letter = Literal["c", "r", "u", "d", "s"]
Dialect = Literal["v1", "v2"]

LETTERS = "cruds"
V1_LETTERS = {"read": "rs", "write": "cud", "*": "cruds"}
V1_NAMES = {letters: name for name, letters in V1_LETTERS.items()}

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

    @property
    def wider(self) -> tuple[Category, Category]:
        """The tokens that this one is within: itself, and its code in any system."""
        return self, Category(None, self.code)

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
    return bool(other) and all(not wide.isdisjoint(token.wider) for token in other)


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
        if any(wide in of_code for wide in token.wider):
            common[token] = None
        if token.system is None:
            common |= of_code
    return tuple(common) or None
