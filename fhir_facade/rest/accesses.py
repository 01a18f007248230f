"""The audit rows of a request: who touched what, and how it ended. Ids only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_facade.audit import AccessRow
from fhir_facade.mirror.versions import Row
from fhir_facade.policy import Reach
from fhir_facade.rest.correlation import correlation_id
from fhir_facade.rest.parts import RestParts, TenantParts
from fhir_facade.telemetry import log
from smart_auth.ports import Refusal
from smart_auth.verify import VerifiedToken

NO_ROUTE = "other"
"""The interaction of a request that no route takes, or that came without a good token."""


@dataclass(slots=True)
class Access:
    """One authorized request; what is not known from the start is set as it becomes known.
    `principal` is what cursors are bound to: client, user, patient and scopes, hashed; `environ`
    the request as WSGI has it.

    `query` are the names of the search parameters applied; `out_of_reach`: what was asked for
    exists, and the answer does not say so. `job_id` and `revision` are those of an export.
    """

    tenant: TenantParts
    token: VerifiedToken
    reach: Reach
    principal: str
    environ: Mapping[str, Any]
    interaction: str = ""
    type: str | None = None
    resource_id: str | None = None
    query: tuple[str, ...] = ()
    out_of_reach: bool = False
    job_id: str | None = None
    revision: int | None = None


def record(parts: RestParts, access: Access, status: int, rows: Iterable[Row] = ()) -> None:
    """Queue the row of a data access that succeeded; `rows` are the resources that left."""
    parts.audit.access(_row(access, "success", status, _patients(rows)))


def record_durably(parts: RestParts, access: Access, status: int) -> None:
    """Write the row of an export or a write before the answer leaves."""
    parts.audit.record_now(_row(access, "success", status, ()))


def record_stranger(
    parts: RestParts, tenant: TenantParts, client_id: str | None, reason: str, why: Refusal | None
) -> None:
    """Queue the row of a request without a good token. Not written at once, so that nobody can make
    the database busy with them. `client_id` is that of a token that was good once."""
    row = AccessRow(
        tenant.slug,
        "rest",
        "refused",
        client_id=client_id,
        interaction=NO_ROUTE,
        status=401,
        reason=reason,
        correlation_id=correlation_id(),
    )
    parts.audit.access(_explained(row, why))


def record_failure(
    parts: RestParts, access: Access, status: int, issue: str, why: Refusal | None
) -> None:
    """Write the row of an authorized request that failed, a refusal before the answer leaves.

    What exists and is out of reach is only queued, as what does not exist is: the time of the
    answer would tell them apart.
    """
    refused = status == 403 or access.out_of_reach
    row = _explained(_row(access, "refused" if refused else "error", status, (), issue), why)
    if access.out_of_reach:
        row = row._replace(reason="out of reach")
    if status != 403:
        parts.audit.access(row)
        return
    try:
        parts.audit.record_now(row)
    except Exception as error:
        # The refusal stands whatever the database does; the queue tries until it takes the row.
        log("rest").error("audit.write_delayed", error=type(error).__name__)
        parts.audit.access(row)


def _explained(row: AccessRow, why: Refusal | None) -> AccessRow:
    return row if why is None else row._replace(**vars(why))


def _patients(rows: Iterable[Row]) -> tuple[str, ...]:
    lines = "\n".join([row.patients for row in rows if row.patients])
    return tuple(dict.fromkeys(lines.split("\n"))) if lines else ()


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
        fhir_user=token.fhir_user,
        patient_ids=patients,
        type=access.type,
        interaction=access.interaction or NO_ROUTE,
        resource_id=access.resource_id,
        query=tuple(dict.fromkeys(access.query)),
        job_id=access.job_id,
        revision=access.revision,
        status=status,
        reason=reason,
        correlation_id=correlation_id(),
    )
