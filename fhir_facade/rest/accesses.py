"""The audit rows of a request: who touched what, and how it ended. Ids only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flask import g

from fhir_facade.audit import AccessRow
from fhir_facade.mirror.versions import Row
from fhir_facade.policy import Reach
from fhir_facade.rest.correlation import correlation_id
from fhir_facade.rest.parts import RestParts, TenantParts
from fhir_facade.telemetry import log
from smart_auth.verify import VerifiedToken

MAX_PATIENTS = 1000


@dataclass(slots=True)
class Access:
    """One authorized request; `type`, `interaction` and `resource_id` are set as they are known."""

    tenant: TenantParts
    token: VerifiedToken
    reach: Reach
    interaction: str = ""
    type: str | None = None
    resource_id: str | None = None


def record(parts: RestParts, access: Access, status: int, rows: Iterable[Row] = ()) -> None:
    """Queue the row of a data access that succeeded; `rows` are the resources that left."""
    parts.audit.access(_row(access, "success", status, _patients(rows)))


def record_durably(parts: RestParts, access: Access, status: int) -> None:
    """Write the row of an export or a write before the answer leaves."""
    parts.audit.record_now(_row(access, "success", status, ()))


def record_failure(parts: RestParts, status: int, issue: str) -> None:
    """Write the row of a request that failed. Refusals of a known client are durable; a request
    without a good token is only queued, so that nobody can make the database busy with them.
    """
    access: Access | None = g.get("access")
    if access is None:
        tenant: TenantParts | None = g.get("tenant")
        if tenant is not None and status == 401:
            parts.audit.access(
                AccessRow(
                    tenant.slug,
                    "rest",
                    "refused",
                    status=status,
                    reason=g.get("refusal"),
                    correlation_id=correlation_id(),
                )
            )
        return
    row = _row(access, "refused" if status == 403 else "error", status, (), issue)
    if status != 403:
        parts.audit.access(row)
        return
    try:
        parts.audit.record_now(row)
    except Exception as error:
        # The refusal stands whatever the database does; the queue tries until it takes the row.
        log("rest").error("audit.write_delayed", error=type(error).__name__)
        parts.audit.access(row)


def _patients(rows: Iterable[Row]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for row in rows:
        if row.patients:
            found.update(dict.fromkeys(row.patients.split("\n")))
    return tuple(found)[:MAX_PATIENTS]


def _row(
    access: Access,
    result: str,
    status: int,
    patients: tuple[str, ...],
    reason: str | None = None,
) -> AccessRow:
    token = access.token
    return AccessRow(
        tenant=access.tenant.slug,
        action="rest",
        outcome=result,
        client_id=token.client_id,
        user_id=token.user_id,
        patient_ids=patients,
        type=access.type,
        interaction=access.interaction,
        resource_id=access.resource_id,
        status=status,
        reason=reason,
        correlation_id=correlation_id(),
    )
