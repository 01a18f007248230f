"""`audit`: what is in the audit trail."""

from __future__ import annotations

from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import click

from fhir_facade.cli.inputs import read_instant
from fhir_facade.cli.operator import TENANT, Operator, operator
from fhir_facade.cli.printing import JSON, instant, print_list

if TYPE_CHECKING:
    from fhir_facade.audit.query import AuditRow, Condition

COLUMNS = (
    "at", "action", "outcome", "client_id", "user_id", "actor", "type", "interaction",
    "resource_id", "patients", "reason", "correlation_id",
)  # fmt: skip


@click.group("audit")
def audit() -> None:
    """The audit trail: who did what, when, to whose data."""


@audit.command("search")
@TENANT
@click.option("--from", "start", help="From this day or instant.")
@click.option("--to", "end", help="To the end of this day, or before this instant.")
@click.option("--app", "client_id", help="By or upon this app (client_id).")
@click.option("--user", "username", help="By or upon this user.")
@click.option("--actor", help="Administrative acts of this user; `operator` for commands.")
@click.option("--patient", help="Upon data of this patient (id).")
@click.option("--action", help="Such as rest, authorize, token or admin.")
@click.option("--outcome", type=click.Choice(["success", "refused", "error"]))
@click.option("--correlation-id", help="One request.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@JSON
def search(tenant: str | None, limit: int, as_json: bool, **asked: str | None) -> None:
    """Find acts, newest first, by any of these together."""
    from fhir_facade.audit.query import AuditQuery

    with operator(tenant) as at:
        query = AuditQuery(at.tenant, tuple(_conditions(at, asked)), limit=limit)
        found = [_described(row, at.zone) for row in at.parts.audit.trail.find(query)]
        patient = asked["patient"]
        known = patient and at.parts.auth.ports.patient_exists(at.tenant, patient)
        at.acts.record("audit trail read", patient_id=patient if known else None)
    print_list(found, COLUMNS, as_json)


def _conditions(at: Operator, asked: dict[str, str | None]) -> list[Condition]:
    from fhir_facade.audit.query import Among, OfPatients, Recorded
    from smart_auth.admin import OPERATOR

    found: list[Condition] = []
    start, end = asked["start"], asked["end"]
    if start or end:
        from_us = read_instant(start, at.zone) if start else None
        to_us = read_instant(end, at.zone, "end") if end else None
        found.append(Recorded(from_us, to_us))
    if asked["patient"]:
        found.append(OfPatients((asked["patient"],)))
    if asked["username"]:
        found.append(Among("user_id", (at.former_too(asked["username"]),)))
    if actor := asked["actor"]:
        found.append(Among("actor", (actor if actor == OPERATOR else at.former_too(actor),)))
    for name in ("client_id", "action", "outcome", "correlation_id"):
        if value := asked[name]:
            found.append(Among(name, (value,)))
    return found


def _described(row: AuditRow, zone: tzinfo) -> dict[str, Any]:
    values = row._asdict()
    values["at"] = instant(row.recorded_us // 1_000_000, zone)
    values["patients"] = list(row.patient_ids)
    for name in ("pk", "recorded_us", "tenant"):
        del values[name]
    return values
