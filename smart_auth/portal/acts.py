"""What developers do to themselves and their apps, for the audit trail."""

from __future__ import annotations

from smart_auth.core import Core
from smart_auth.ports import AccessEvent, TenantInfo
from smart_auth.records import User


def record(
    core: Core,
    tenant: TenantInfo,
    developer: User,
    act: str,
    *,
    client_id: str | None = None,
    user_id: str | None = None,
    patient_id: str | None = None,
) -> None:
    """Keep an act of this developer, durably. `act` is a fixed text."""
    core.ports.record(
        AccessEvent(
            tenant=tenant.slug,
            action="admin",
            outcome="success",
            client_id=client_id,
            user_id=user_id,
            patient_id=patient_id,
            reason=act,
            actor=developer.user_id,
        )
    )
