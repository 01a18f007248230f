"""What the authorization server asks of the house it stands in.

It knows no FHIR store and no upstream.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Literal, Protocol

from smart_auth.scopes import Level


@dataclass(frozen=True)
class TenantInfo:
    """One tenant as the authorization server sees it.

    `issuer` is its canonical FHIR base, without trailing slash; `zone` is where its days begin and
    how its pages give times.
    """

    slug: str
    issuer: str
    name: str
    zone: tzinfo = UTC


@dataclass(frozen=True)
class CategoryChoice:
    """A category in use for a resource type; `system` '' where the coding has none. `text` is what
    people call it."""

    system: str
    code: str
    text: str


@dataclass(frozen=True)
class PatientChoice:
    """A patient as shown in the picker of a standalone launch."""

    id: str
    name: str
    birth_date: str
    gender: str


Step = Literal[
    "client", "redirect", "request", "aud", "pkce", "launch", "login", "consent", "scope", "code",
    "refresh", "assertion", "token", "compartment", "group", "approval", "rate", "other",
]  # fmt: skip
"""Where a request of an app failed."""


@dataclass(frozen=True)
class Refusal:
    """What its developer is told of a refused request. `expected` and `received` are short, never
    hold data of a patient, a person's name, a secret, a code or a token."""

    step: Step
    error: str
    text: str
    expected: str = ""
    received: str = ""


@dataclass(frozen=True)
class RefusalShown:
    """A refusal as it stands in an app's trace; `at` in epoch seconds."""

    at: int
    endpoint: str
    status: int | None
    correlation_id: str
    refusal: Refusal


@dataclass(frozen=True)
class AccessShown:
    """One line of a patient's access log; `at` in epoch seconds. `client_id` and `user_id` are the
    authorization server's own; `kind` is the FHIR interaction or the act (`read`, `search-type`,
    `export`, `consent`…), `outcome` success or refused. `cursor` goes on behind this line. Of an
    administrative act `actor` did it, as in `AccessEvent`, to the user or app named; `act` is the
    trail's fixed text for it."""

    at: int
    kind: str
    resource_type: str | None
    client_id: str | None
    user_id: str | None
    outcome: str
    cursor: str
    actor: str | None = None
    act: str = ""


@dataclass(frozen=True)
class AccessEvent:
    """One act worth an audit row: a login, a grant, a refusal. Holds ids, never names or values."""

    tenant: str
    action: str
    outcome: Literal["success", "refused", "error"]
    client_id: str | None = None
    user_id: str | None = None
    patient_id: str | None = None
    reason: str | None = None
    correlation_id: str | None = None
    refusal: Refusal | None = None
    actor: str | None = None
    """Who did an administrative act to the user or client named: a user id, or `operator` for the
    command line."""


class Facade(Protocol):
    """Implemented by `fhir_facade.rest.auth_ports`."""

    def tenants(self) -> Mapping[str, TenantInfo]:
        """All tenants by slug."""

    def resource_types(self, tenant: str, level: Level) -> Sequence[str]:
        """Types this tenant serves to scopes of a level, for `scopes_supported`."""

    def scope_types(self) -> Sequence[str]:
        """Every R4 type name a scope may carry; others are unknown scopes and dropped."""

    def categories(self, tenant: str, resource_type: str) -> Sequence[CategoryChoice]:
        """The categories that resources of this type have here, by text. Cheap to ask: a page does
        so for every type."""

    def choose_patients(
        self, tenant: str, allowed: frozenset[str] | None, text: str, limit: int
    ) -> Sequence[PatientChoice]:
        """Patients whose name, birth date (YYYY-MM-DD) or identifier matches `text` ('' for any).

        `allowed`: the only ones that may be shown; None for all of the tenant.
        """

    def patients(self, tenant: str, ids: Collection[str]) -> Sequence[PatientChoice]:
        """Those of the ids that are known and not deleted, by name."""

    def patients_of(self, tenant: str, reference: str) -> frozenset[str] | None:
        """The patients a relative reference (`Appointment/1`) is about, empty when it is about
        none; None when there is no such resource."""

    def refusals(
        self, tenant: str, client_id: str, *, correlation_id: str | None = None, limit: int = 50
    ) -> Sequence[RefusalShown]:
        """The app's last refused requests, newest first; with `correlation_id` only those."""

    def accesses(
        self, tenant: str, patient_id: str, *, after: str = "", limit: int = 50
    ) -> Sequence[AccessShown]:
        """Who saw or did what with a patient's data, newest first; `after` is a line's cursor."""

    def patient_exists(self, tenant: str, patient_id: str) -> bool:
        """Whether the patient is known and not deleted."""

    def record(self, *events: AccessEvent) -> None:
        """Keep an audit row for each, all or none, durably before it returns."""
