"""What a principal may reach: the grants of a token, compiled, and the class of every type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

Letter = Literal["c", "r", "u", "d", "s"]


class ReachClass(Enum):
    """How resources of a type are reached (design section 4)."""

    PATIENT = "patient"
    """Through the patients of the row."""
    DIRECTORY = "directory"
    """By anyone with scope for the type: organizations, locations, practitioners, conformance."""
    INHERITED = "inherited"
    """As its target is (Provenance, Binary): the row copies the target's facts."""
    STAFF = "staff"
    """By user and system scopes only, never under `patient/`."""
    OPERATOR = "operator"
    """By operators only, whatever scopes others hold: the audit trail."""


@dataclass(frozen=True)
class AllPatients:
    """Every patient of the tenant, and resources that have no patient yet."""


@dataclass(frozen=True)
class SomePatients:
    """These patients only, by logical id without type."""

    ids: frozenset[str]


@dataclass(frozen=True)
class GroupMembers:
    """The members of these groups at the revision of the query."""

    group_ids: frozenset[str]


PatientSet = AllPatients | SomePatients | GroupMembers


@dataclass(frozen=True)
class CategoryFilter:
    """A granular scope's token: `system` None matches any system, as in token search."""

    system: str | None
    code: str

    def matches(self, categories: Iterable[str]) -> bool:
        """`categories` are `system|code` texts as stored in the row."""
        for text in categories:
            system, _, code = text.rpartition("|")
            if code == self.code and (self.system is None or system == self.system):
                return True
        return False


@dataclass(frozen=True)
class Grant:
    """One scope, compiled. `type` is a resource type or `*`."""

    level: Literal["patient", "user", "system"]
    type: str
    letters: frozenset[Letter]
    patients: PatientSet
    categories: tuple[CategoryFilter, ...] = ()
    """Empty: no restriction. Several: any of them (they come from one scope's OR)."""


@dataclass(frozen=True)
class RowFacts:
    """The columns of a mirror row that decide on it."""

    type: str
    id: str
    patients: tuple[str, ...]
    categories: tuple[str, ...]
    inherits: str | None
    """The targets' types for inherited resources, one a line: as any of them is reached."""


@dataclass(frozen=True)
class Reach:
    """The union of grants, with the reach class of every served type."""

    grants: tuple[Grant, ...]
    classes: Mapping[str, ReachClass]
    members: frozenset[str] | None = None
    """For backend clients: group ids that may be read and exported; None when not limited."""
    operator: bool = False
    """Whether the bearer runs the tenant (see `compile_reach`)."""
    _granted: dict[tuple[str, Letter], tuple[Grant, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Answers of `grants_for`, which every row asks."""

    def grants_for(self, resource_type: str, letter: Letter) -> tuple[Grant, ...]:
        """Grants that allow this interaction on this type at all (wildcards do not open staff types
        to `patient/` scopes, nor operators' types to anybody else)."""
        known = self._granted.get((resource_type, letter))
        if known is None:
            known = self._granted[resource_type, letter] = self._grants(resource_type, letter)
        return known

    def _grants(self, resource_type: str, letter: Letter) -> tuple[Grant, ...]:
        if resource_type not in self.classes:
            return ()
        kind = self.classes[resource_type]
        if kind is ReachClass.OPERATOR and not self.operator:
            return ()
        no_patients = kind in (ReachClass.STAFF, ReachClass.OPERATOR)
        return tuple(
            grant
            for grant in self.grants
            if letter in grant.letters
            and grant.type in ("*", resource_type)
            and not (no_patients and grant.level == "patient")
        )

    def allows_type(self, resource_type: str, letter: Letter) -> bool:
        """Whether any resource of the type could be reached: the 403 check."""
        return bool(self.grants_for(resource_type, letter))

    def only_patient(self) -> str | None:
        """The one patient of a token that reaches a single patient and nothing wider."""
        ids: set[str] = set()
        for grant in self.grants:
            if not isinstance(grant.patients, SomePatients):
                return None
            ids |= grant.patients.ids
        return next(iter(ids)) if len(ids) == 1 else None


def covers_type(reach: Reach, resource_type: str, letter: Letter) -> bool:
    """Whether the token's scopes name the type, served here or not: tells 403 from 404."""
    return any(
        letter in grant.letters and grant.type in ("*", resource_type) for grant in reach.grants
    )
