"""The boxes of the consent page: what each choice is called, and each value once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from smart_auth.consent_choices import Choice, Part
from smart_auth.core import Core
from smart_auth.ports import CategoryChoice, TenantInfo
from smart_auth.records import Role
from smart_auth.scope_words import describe, name_of
from smart_auth.scopes import Scope

FOLDED_FROM = 7
"""A choice with so many boxes is folded, and opens without a script."""


@dataclass(frozen=True)
class Box:
    """A box to untick: the scope text it stands for, and what it is called."""

    value: str
    text: str


@dataclass(frozen=True)
class Section:
    """The boxes of one type; more than one of them are categories of `text`."""

    text: str
    boxes: Sequence[Box]


@dataclass(frozen=True)
class Group:
    """One thing an app asks: a sentence with a box, or with the sections it is made of."""

    text: str
    box: Box | None = None
    sections: Sequence[Section] = field(default_factory=tuple)

    @property
    def count(self) -> int:
        """How many boxes its sections have."""
        return sum(len(section.boxes) for section in self.sections)

    @property
    def folded(self) -> bool:
        """Whether the sections are too many to be shown at once."""
        return self.count >= FOLDED_FROM


def groups_of(
    core: Core, tenant: TenantInfo, choices: Iterable[Choice], role: Role
) -> Sequence[Group]:
    """What the page shows of the choices; a value that two of them have is shown in the first."""
    seen: set[str] = set()
    groups = []
    for choice in choices:
        known = _known(core, tenant, choice.item)
        text = describe(choice.item, role, known)
        if not choice.parts:
            boxes = _new([Box(str(choice.item), text)], seen)
            groups += [Group(text, box) for box in boxes]
            continue
        sections = [_section(core, tenant, part, seen) for part in choice.parts]
        sections = [section for section in sections if section.boxes]
        if sections:
            groups.append(Group(text, sections=sections))
    return groups


def _section(core: Core, tenant: TenantInfo, part: Part, seen: set[str]) -> Section:
    known = _known(core, tenant, part.scope)
    whole = name_of(part.scope)
    boxes = [Box(str(leaf), name_of(leaf, known)) for leaf in part.leaves]
    return Section(whole, _new(boxes or [Box(str(part.scope), whole)], seen))


def _known(core: Core, tenant: TenantInfo, item: Scope | str) -> Sequence[CategoryChoice]:
    if isinstance(item, str) or item.type == "*":
        return ()
    return core.ports.categories(tenant.slug, item.type)


def _new(boxes: Iterable[Box], seen: set[str]) -> list[Box]:
    kept = [box for box in boxes if box.value not in seen]
    seen.update(box.value for box in kept)
    return kept
