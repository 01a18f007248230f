"""What a principal may reach, and the second check of it on every entry that leaves the house.

`smart_auth` verifies a token; `compile_reach` turns its scopes, its patient and what its user and
client are assigned into a `Reach`. `mirror.find` applies the reach as a predicate to every resource
alias of a query; `admits` repeats the decision on the columns of a row as it is written out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, Protocol

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


class _CategoryToken(Protocol):
    @property
    def system(self) -> str | None: ...
    @property
    def code(self) -> str: ...


class _Scope(Protocol):
    @property
    def level(self) -> Literal["patient", "user", "system"]: ...
    @property
    def type(self) -> str: ...
    @property
    def letters(self) -> frozenset[Letter]: ...
    @property
    def categories(self) -> Sequence[_CategoryToken]: ...


class _Scopes(Protocol):
    @property
    def resources(self) -> Sequence[_Scope]: ...


class Principal(Protocol):
    """What `compile_reach` reads of a verified token (`smart_auth.verify.VerifiedToken` is one)."""

    @property
    def kind(self) -> str: ...
    @property
    def patient(self) -> str | None: ...
    @property
    def fhir_user(self) -> str | None: ...
    @property
    def scopes(self) -> _Scopes: ...
    @property
    def client_groups(self) -> frozenset[str]: ...
    @property
    def client_whole_tenant(self) -> bool: ...
    @property
    def client_patients(self) -> frozenset[str] | None: ...
    @property
    def user_whole_tenant(self) -> bool: ...
    @property
    def user_patients(self) -> frozenset[str]: ...
    @property
    def user_role(self) -> str | None: ...


class _Definition(Protocol):
    @property
    def reach(self) -> ReachClass: ...


def compile_reach(token: Principal, definitions: Mapping[str, _Definition]) -> Reach:
    """What a verified token may reach among the served types (design section 4 "Scopes and reach").

    Fails closed: a `patient/` scope without a patient, `system/` scopes of a person's token and
    `user/` scopes of a backend's give nothing. A patient the user may no longer see is out of reach
    of tokens issued before, too. An operator is an administrator, through an app that is kept to no
    list of patients, or a backend that was given the whole tenant.
    """
    return Reach(
        grants=tuple(
            Grant(
                level=scope.level,
                type=scope.type,
                letters=scope.letters,
                patients=patients,
                categories=tuple(CategoryFilter(c.system, c.code) for c in scope.categories),
            )
            for scope in token.scopes.resources
            for patients in _patients(scope.level, token)
        ),
        classes={name: definition.reach for name, definition in definitions.items()},
        members=_members(token),
        operator=_is_operator(token),
    )


def _is_operator(token: Principal) -> bool:
    if token.kind == "backend":
        return token.client_whole_tenant
    return token.user_role == "admin" and token.client_patients is None


def _members(token: Principal) -> frozenset[str] | None:
    backend_with_groups = token.kind == "backend" and not token.client_whole_tenant
    return token.client_groups if backend_with_groups else None


def _patients(level: str, token: Principal) -> tuple[PatientSet, ...]:
    """The patients that a scope of this level reaches for this token; empty for none at all.

    A backend reaches the members of its groups and the patients it was assigned by name.
    """
    if token.kind == "backend":
        if level != "system":
            return ()
        if token.client_whole_tenant:
            return (AllPatients(),)
        named = (SomePatients(token.client_patients),) if token.client_patients else ()
        return (GroupMembers(token.client_groups), *named)
    if level == "system":
        return ()
    seen = _user_patients(token)
    if level == "user":
        return (seen,)
    if not token.patient:
        return ()
    if isinstance(seen, SomePatients) and token.patient not in seen.ids:
        return ()
    return (SomePatients(frozenset({token.patient})),)


def _user_patients(token: Principal) -> AllPatients | SomePatients:
    """The patients a person may see through this app: a patient only the own record, staff those
    assigned or all, and of these only the app's where it has a list."""
    resource_type, _, own = (token.fhir_user or "").rpartition("/")
    if resource_type.rpartition("/")[2] == "Patient":
        seen = frozenset({own})
    elif not token.user_whole_tenant:
        seen = token.user_patients
    elif token.client_patients is None:
        return AllPatients()
    else:
        return SomePatients(token.client_patients)
    return SomePatients(seen if token.client_patients is None else seen & token.client_patients)


def covers_type(reach: Reach, resource_type: str, letter: Letter) -> bool:
    """Whether the token's scopes name the type, served here or not: tells 403 from 404."""
    return any(
        letter in grant.letters and grant.type in ("*", resource_type) for grant in reach.grants
    )


def admits(
    reach: Reach,
    resource_type: str,
    letter: Letter,
    facts: RowFacts,
    memberships: Mapping[str, frozenset[str]] | None = None,
) -> bool:
    """The second check: whether the principal may have a row with these columns.

    `memberships` gives the groups of each patient at the revision of the query; without it grants
    to group members admit nothing. Denies whatever no grant allows.
    """
    own = reach.grants_for(resource_type, letter)
    kind = reach.classes.get(resource_type)
    if facts.type != resource_type or not own or kind is None:
        return False
    if kind is not ReachClass.INHERITED:
        return _any_covers(reach, resource_type, own, facts, memberships or {})
    return any(
        _covers_through(reach, target, own, facts, memberships or {})
        for target in (facts.inherits or "").split("\n")
        if reach.classes.get(target, kind) is not kind
    )


def _covers_through(
    reach: Reach,
    target: str,
    own: Iterable[Grant],
    facts: RowFacts,
    memberships: Mapping[str, frozenset[str]],
) -> bool:
    through = (*reach.grants_for(target, "r"), *reach.grants_for(target, "s"))
    return _any_covers(reach, target, own, facts, memberships) and _any_covers(
        reach, target, through, facts, memberships
    )


def admits_every_row(reach: Reach, resource_type: str, letter: Letter) -> bool:
    """Whether the second check admits all rows of the type, whatever their columns say."""
    match reach.classes.get(resource_type):
        case ReachClass.DIRECTORY:
            return bool(reach.grants_for(resource_type, letter))
        case ReachClass.PATIENT:
            return any(
                isinstance(grant.patients, AllPatients) and not grant.categories
                for grant in reach.grants_for(resource_type, letter)
            )
        case _:
            return False


def _any_covers(
    reach: Reach,
    decisive_type: str,
    grants: Iterable[Grant],
    facts: RowFacts,
    memberships: Mapping[str, frozenset[str]],
) -> bool:
    """Any of the grants, as the class of `decisive_type` has it: the target's, for heirs."""
    return any(
        _covers_patients(reach, decisive_type, grant.patients, facts, memberships)
        for grant in grants
        if not grant.categories or any(one.matches(facts.categories) for one in grant.categories)
    )


def _covers_patients(
    reach: Reach,
    decisive_type: str,
    patients: PatientSet,
    facts: RowFacts,
    memberships: Mapping[str, frozenset[str]],
) -> bool:
    if reach.classes[decisive_type] in (ReachClass.DIRECTORY, ReachClass.OPERATOR):
        return True
    if decisive_type == "Group":
        if reach.members is None:
            return isinstance(patients, AllPatients)
        return facts.type == "Group" and facts.id in reach.members
    match patients:
        case AllPatients():
            return True
        case SomePatients(ids):
            return not ids.isdisjoint(facts.patients)
        case GroupMembers(group_ids):
            nowhere: frozenset[str] = frozenset()
            return any(
                not group_ids.isdisjoint(memberships.get(patient, nowhere))
                for patient in facts.patients
            )
