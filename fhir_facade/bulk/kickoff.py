"""`Group/{id}/$export`: check what is asked, fix the revision, store the job (Bulk Data Access 2.0,
"Kick-off").

Nothing is counted or planned here: a kick-off costs a few small queries whatever the size of the
export.
"""

from __future__ import annotations

import secrets

from fhir_facade import clock
from fhir_facade.bulk.model import (
    Accepted,
    BulkParts,
    ExportPrincipal,
    Job,
    JobState,
    KickoffRequest,
    LeftOut,
)
from fhir_facade.bulk.parameters import (
    ExportOrder,
    Handling,
    check_accept,
    parse_order,
    parse_prefer,
)
from fhir_facade.bulk.scope import export_reach, group_reach, may_use_group
from fhir_facade.bulk.store import JobStore
from fhir_facade.errors import Forbidden, InvalidRequest, NotFound, Throttled
from fhir_facade.mirror import versions
from fhir_facade.policy import Reach

_BUSY_RETRY_SECONDS = 30


def kickoff(
    parts: BulkParts, tenant: str, principal: ExportPrincipal, request: KickoffRequest
) -> Accepted:
    """Accept an export; the job is durable when this returns, and a worker will find it.

    It sees the tenant's data at the revision that is current now. Raises Forbidden without a
    `system/` scope or when all types asked for are out of scope, NotFound for a group that is
    unknown or not the client's, InvalidRequest or UnsupportedParameter for what is wrong with the
    request, Throttled beyond the client's limit of unfinished jobs.
    """
    reach = export_reach(principal.reach)
    if not reach.grants:
        raise Forbidden(
            "The token has no scope to export with.",
            diagnostics="Ask for system/ scopes that read and search, such as system/*.rs.",
        )
    with parts.db.read() as conn:
        revision, instant_us = versions.current_revision(conn, tenant)
        group = versions.read(conn, tenant, "Group", request.group_id, revision)
    if group is None or group.deleted or not may_use_group(principal, request.group_id):
        raise NotFound(
            "There is no such group for this client.",
            diagnostics="Search Group for those that are.",
            expression=["Group.id"],
        )
    check_accept(request.accept)
    handling = parse_prefer(request.prefer)
    now_us = clock.now_us()
    order = parse_order(request.params, handling, zone=parts.zone(tenant), now_us=now_us)
    types, left_out = _choose_types(parts, reach, order, handling)
    job = Job(
        tenant=tenant,
        id=secrets.token_hex(16),
        client_id=principal.client_id,
        level=request.level,
        group_id=request.group_id,
        request_url=request.url,
        revision=revision,
        since_revision=_since_revision(parts, tenant, order, revision),
        transaction_us=instant_us,
        types=types,
        left_out=left_out,
        reach=group_reach(reach, request.group_id),
        state=JobState.PLANNING,
        created_us=now_us,
    )
    if not JobStore(parts.db).add(job, parts.settings.running_limit):
        raise Throttled(
            f"This client already has {parts.settings.running_limit} exports at work.",
            retry_after=_BUSY_RETRY_SECONDS,
        )
    return Accepted(job.id, status_url(parts, job), job.revision)


def status_url(parts: BulkParts, job: Job) -> str:
    """Where to poll, absolute."""
    return f"{parts.base(job.tenant)}/bulkstatus/{job.id}"


def exportable_types(parts: BulkParts) -> tuple[str, ...]:
    """The types that an export may hold, in the order of the manifest."""
    definitions = parts.registry.values()
    return tuple(sorted(d.type for d in definitions if d.exportable and d.stored))


def _choose_types(
    parts: BulkParts, reach: Reach, order: ExportOrder, handling: Handling
) -> tuple[tuple[str, ...], tuple[LeftOut, ...]]:
    """The types to export, and all that is left out; design section 4, "Errors", for `_type`."""
    served = exportable_types(parts)
    wanted = served if order.types is None else order.types
    types = tuple(name for name in served if name in wanted and reach.allows_type(name, "r"))
    unserved = tuple(name for name in wanted if name not in served)
    unreached = tuple(name for name in wanted if name in served and name not in types)
    if not types:
        _refuse_all(reach, wanted)
    if order.types is None:
        return types, order.left_out
    if handling == "strict" and (unserved or unreached):
        raise InvalidRequest(
            f"_type names what cannot be exported: {', '.join((*unserved, *unreached))}.",
            diagnostics="Leave these types out, or do not send Prefer: handling=strict.",
            expression=["_type"],
        )
    left_out = [
        *(
            LeftOut("not-supported", f"{name} is not exported by this server.", "_type")
            for name in unserved
        ),
        *(
            LeftOut("forbidden", f"{name} is outside the scopes of the token.", "_type")
            for name in unreached
        ),
    ]
    return types, (*order.left_out, *left_out)


def _refuse_all(reach: Reach, wanted: tuple[str, ...]) -> None:
    """Raise for an order of which nothing is left: 403 if all was out of scope, else 400."""
    if not any(grant.type in ("*", name) for grant in reach.grants for name in wanted):
        raise Forbidden(
            "None of the resource types asked for is in the scopes of the token.",
            diagnostics="Ask for others in _type, or for a token with more scopes.",
            expression=["_type"],
        )
    raise InvalidRequest(
        "None of the resource types asked for can be exported.",
        diagnostics="Name others in _type, or leave it out.",
        expression=["_type"],
    )


def _since_revision(parts: BulkParts, tenant: str, order: ExportOrder, revision: int) -> int | None:
    """The revision that was current at `_since`; None without one."""
    if order.since_us is None:
        return None
    with parts.db.read() as conn:
        since_revision = versions.revision_at(conn, tenant, order.since_us)
        if since_revision < versions.floor_revision(conn, tenant):
            raise InvalidRequest(
                "_since lies further back than the deletions that are still known.",
                diagnostics="Export without _since, and go on from the transactionTime of that.",
                expression=["_since"],
            )
    return min(since_revision, revision)
