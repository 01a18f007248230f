"""Sets of SMART scopes: what an app asks for, was granted, or may have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from smart_auth.scopes.scope import Category, Letter, Level, Scope

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
    tokens = (None,) if token is None else (None, *token.wider)
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
        wide = {None} if token is None else {None, *token.wider}
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
