"""From a verified token to what it may reach (design section 4 "Scopes and reach")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from fhir_facade.policy.reach import (
    AllPatients,
    CategoryFilter,
    Grant,
    GroupMembers,
    Letter,
    PatientSet,
    Reach,
    ReachClass,
    SomePatients,
)


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
