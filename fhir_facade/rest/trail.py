"""The audit trail as people are shown it: an app's refusals, a patient's access log."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import cast

from fhir_facade.audit.query import (
    AllOf,
    Among,
    AnyOf,
    AuditQuery,
    AuditRow,
    Condition,
    Not,
    OfPatients,
    Present,
    Recorded,
    Revisions,
    Trail,
)
from fhir_facade.mirror.memberships import Membership
from smart_auth.ports import AccessShown, Refusal, RefusalShown, Step

EXPORT = "export"
"""The interaction of a kick-off."""
_NOT_SHOWN = ("authorize", "token", "refresh", "introspect")
"""Acts of a grant's life that show nothing of the patient; that it was given and ended is shown."""


def refusals(
    trail: Trail, tenant: str, client_id: str, correlation_id: str | None, limit: int
) -> Sequence[RefusalShown]:
    """The app's last refused requests, newest first."""
    conditions: list[Condition] = [Among("client_id", (client_id,)), Present("step")]
    if correlation_id is not None:
        conditions.append(Among("correlation_id", (correlation_id,)))
    rows = trail.find(AuditQuery(tenant, tuple(conditions), limit=limit))
    return [_refusal(row) for row in rows]


def accesses(
    trail: Trail,
    tenant: str,
    patient_id: str,
    memberships: Iterable[Membership],
    after: str,
    limit: int,
) -> Sequence[AccessShown]:
    """The patient's log: acts on its own data, and exports of a group while it was a member."""
    key = int(after) if after.isascii() and after.isdigit() else None
    own = (OfPatients((patient_id,)), Not(Among("action", _NOT_SHOWN)))
    found = [trail.find(AuditQuery(tenant, own, key, limit))]
    if times := list(memberships):
        found.append(trail.find(AuditQuery(tenant, _exports(times), key, limit)))
    newest = heapq.merge(*found, key=lambda row: -row.pk)
    return [_access(row) for row, _ in zip(newest, range(limit), strict=False)]


def _exports(times: Iterable[Membership]) -> tuple[Condition, ...]:
    """Kick-offs that read a revision at which the patient was a member. That they were made after
    it joined is asked, too: a mirror that was set up anew counts its revisions from 1 again."""
    groups = tuple({time.group_id: None for time in times})
    while_member = tuple(
        AllOf(
            (
                Among("resource_id", (time.group_id,)),
                Recorded(from_us=time.from_us),
                Revisions(time.from_revision, time.to_revision),
            )
        )
        for time in times
    )
    return (
        Among("type", ("Group",)),
        Among("resource_id", groups),
        Among("interaction", (EXPORT,)),
        Among("outcome", ("success",)),
        AnyOf(while_member),
    )


def _refusal(row: AuditRow) -> RefusalShown:
    return RefusalShown(
        at=row.recorded_us // 1_000_000,
        endpoint=" ".join(filter(None, (row.interaction or row.action, row.type))),
        status=row.status,
        correlation_id=row.correlation_id or "",
        refusal=Refusal(
            step=cast(Step, row.step),
            error=row.error or "",
            text=row.text or "",
            expected=row.expected or "",
            received=row.received or "",
        ),
    )


def _access(row: AuditRow) -> AccessShown:
    return AccessShown(
        at=row.recorded_us // 1_000_000,
        kind=row.interaction or row.action,
        resource_type=row.type,
        client_id=row.client_id,
        user_id=row.user_id,
        outcome=row.outcome,
        cursor=str(row.pk),
        actor=row.actor,
        act=row.reason or "",
    )
