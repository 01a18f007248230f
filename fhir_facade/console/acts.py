"""What an administrator or the operator does, for the audit trail: upon groups as well."""

from __future__ import annotations

from dataclasses import dataclass

from fhir_facade.audit import AccessRow, AuditLog
from fhir_facade.telemetry import correlation_id
from smart_auth.acts import Acts


@dataclass(frozen=True)
class ProviderActs(Acts):
    """Keeps both in one trail."""

    audit: AuditLog

    def record_group(self, act: str, group_id: str, patient_id: str | None = None) -> None:
        """Keep an act upon a group, durably. `act` is a fixed text."""
        self.audit.record_now(
            AccessRow(
                tenant=self.tenant,
                action="admin",
                outcome="success",
                type="Group",
                resource_id=group_id,
                patient_ids=() if patient_id is None else (patient_id,),
                reason=act,
                actor=self.actor,
                correlation_id=correlation_id() or None,
            )
        )
