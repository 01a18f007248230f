"""What of a request a person may tick apart, and what the ticks make of it.

A scope for everything opens into the types served here, a type into the categories in use; codes
that people have one name for (radiology in two code systems) are one box. What stays ticked as a
whole is granted in the words it was asked in; what does not, as scopes for the parts, in the v2
words where v1 has none (categories).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from smart_auth.core import Core
from smart_auth.ports import CategoryChoice, TenantInfo
from smart_auth.scope_words import category_name
from smart_auth.scopes import GRANULAR_TYPES, Category, Level, Scope, ScopeSet


@dataclass(frozen=True)
class Part:
    """One type of a scope, with its categories as `leaves`; without leaves it is one itself."""

    scope: Scope
    leaves: tuple[Scope, ...] = ()

    def granted(self, ticked: Collection[str]) -> Scope | None:
        """What the ticked values make of it."""
        if str(self.scope) in ticked:
            return self.scope
        kept = [leaf for leaf in self.leaves if str(leaf) in ticked]
        if len(kept) == len(self.leaves):
            return self.scope if kept else None
        if not kept:
            return None
        categories = tuple(category for leaf in kept for category in leaf.categories)
        return replace(self.scope, categories=categories, dialect="v2")


@dataclass(frozen=True)
class Choice:
    """One scope that was asked for, with its parts; without parts it is ticked or not."""

    item: Scope | str
    parts: tuple[Part, ...] = ()

    @property
    def values(self) -> Iterator[str]:
        """The values of its boxes: scope texts."""
        if not self.parts:
            yield str(self.item)
        for part in self.parts:
            if part.leaves:
                yield from map(str, part.leaves)
            else:
                yield str(part.scope)

    def granted(self, ticked: Collection[str]) -> Sequence[Scope | str]:
        """What the ticked values make of it; its own text counts as all of its boxes."""
        if str(self.item) in ticked:
            return [self.item]
        parts = [part.granted(ticked) for part in self.parts]
        if parts and all(got == part.scope for got, part in zip(parts, self.parts, strict=True)):
            return [self.item]
        return [part for part in parts if part is not None]


def choices_of(core: Core, tenant: TenantInfo, asked: ScopeSet) -> list[Choice]:
    """The choices of a request, in its order."""
    return open_up(
        asked,
        lambda level: core.ports.resource_types(tenant.slug, level),
        lambda resource_type: core.ports.categories(tenant.slug, resource_type),
    )


def open_up(
    asked: ScopeSet,
    types: Callable[[Level], Sequence[str]],
    categories: Callable[[str], Sequence[CategoryChoice]],
) -> list[Choice]:
    """The same, from the types served at a level and the categories in use of a type."""
    return [_choice(item, types, categories) for item in asked]


def granted(choices: Sequence[Choice], ticked: Collection[str]) -> ScopeSet:
    """What is granted when these values are ticked; values that no box has are ignored."""
    return ScopeSet.of(item for choice in choices for item in choice.granted(ticked))


def _choice(
    item: Scope | str,
    types: Callable[[Level], Sequence[str]],
    categories: Callable[[str], Sequence[CategoryChoice]],
) -> Choice:
    if isinstance(item, str):
        return Choice(item)
    if item.type == "*":
        served = [replace(item, type=name) for name in types(item.level)]
        return Choice(item, tuple(_part(scope, categories) for scope in served))
    part = _part(item, categories)
    return Choice(item, (part,) if part.leaves else ())


def _part(scope: Scope, categories: Callable[[str], Sequence[CategoryChoice]]) -> Part:
    known = categories(scope.type) if scope.type in GRANULAR_TYPES else ()
    tokens = scope.categories or tuple(Category(it.system, it.code) for it in known)
    of_name: dict[str, list[Category]] = {}
    for token in tokens:
        of_name.setdefault(category_name(token, known), []).append(token)
    if len(of_name) < 2:
        return Part(scope)
    return Part(
        scope,
        tuple(replace(scope, categories=tuple(it), dialect="v2") for it in of_name.values()),
    )
