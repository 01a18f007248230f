"""What the authorization server asks of the house it stands in.

It knows no FHIR store and no upstream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from smart_auth.scopes import Level


@dataclass(frozen=True)
class TenantInfo:
    """One tenant as the authorization server sees it.

    `issuer` is its canonical FHIR base, without trailing slash.
    """

    slug: str
    issuer: str
    name: str


@dataclass(frozen=True)
class PatientChoice:
    """A patient as shown in the picker of a standalone launch."""

    id: str
    name: str
    birth_date: str
    gender: str


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
    detail: Mapping[str, str] = field(default_factory=dict)


class Facade(Protocol):
    """Implemented by `fhir_facade.rest.auth_ports`."""

    def tenants(self) -> Mapping[str, TenantInfo]:
        """All tenants by slug."""

    def resource_types(self, tenant: str, level: Level) -> Sequence[str]:
        """Types this tenant serves to scopes of a level, for `scopes_supported`."""

    def scope_types(self) -> Sequence[str]:
        """Every R4 type name a scope may carry; others are unknown scopes and dropped."""

    def choose_patients(
        self, tenant: str, allowed: frozenset[str] | None, text: str, limit: int
    ) -> Sequence[PatientChoice]:
        """Patients whose name or identifier matches `text` ('' for any).

        `allowed`: the only ones that may be shown; None for all of the tenant.
        """

    def patient_exists(self, tenant: str, patient_id: str) -> bool:
        """Whether the patient is known and not deleted."""

    def record(self, event: AccessEvent) -> None:
        """Keep an audit row, durably before it returns."""
