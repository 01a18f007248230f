"""Who should be in a group by its rule, against who is."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, exists, false, func, select, true

from fhir_facade.mirror.tables import (
    OPEN,
    compartment,
    group_definition,
    group_listed,
    group_member,
    index_reference,
    resource_version,
)

Condition = ColumnElement[bool]


class RuleNow(NamedTuple):
    """A group's rule at an instant; `kind` `none` is that of a group that is not active."""

    tenant: str
    group_id: str
    kind: str
    value: str
    now_us: int


def joining(conn: Connection, rule: RuleNow, limit: int) -> list[str]:
    """Patients who should be members and are not, by id, `limit` at most."""
    v, m = resource_version.c, group_member.c
    member = exists().where(
        m.tenant == rule.tenant,
        m.group_id == rule.group_id,
        m.patient_id == v.id,
        m.to_revision == OPEN,
    )
    query = (
        select(v.id)
        .where(*_present_patient(rule.tenant, v), _qualifies(rule, v.id), ~member)
        .order_by(v.id)
        .limit(limit)
    )
    return list(conn.execute(query).scalars())


def leaving(conn: Connection, rule: RuleNow, limit: int) -> list[str]:
    """Members who should be none, by id, `limit` at most."""
    v, m = resource_version.c, group_member.c
    stays = exists().where(
        *_present_patient(rule.tenant, v),
        v.id == m.patient_id,
        _qualifies(rule, m.patient_id),
    )
    query = (
        select(m.patient_id)
        .where(m.tenant == rule.tenant, m.group_id == rule.group_id, m.to_revision == OPEN, ~stays)
        .order_by(m.patient_id)
        .limit(limit)
    )
    return list(conn.execute(query).scalars())


def _present_patient(tenant: str, version: Any) -> tuple[Condition, ...]:
    return (
        version.tenant == tenant,
        version.type == "Patient",
        version.to_revision == OPEN,
        version.deleted.is_(False),
    )


def _qualifies(rule: RuleNow, patient_id: Any) -> Condition:
    if rule.kind == "tenant":
        return true()
    if rule.kind == "listed":
        listed: Condition = patient_id.in_(_listed_now(rule))
        return listed
    if rule.kind != "site":
        return false()
    c, r = compartment.c, index_reference.c
    return exists().where(
        c.tenant == rule.tenant,
        c.type == "Appointment",
        c.patient_id == patient_id,
        c.to_revision == OPEN,
        r.version_pk == c.version_pk,
        r.param == "location",
        r.target_type == "Location",
        r.target_id == rule.value,
    )


def _listed_now(rule: RuleNow) -> Any:
    """Ids of those who were put into the group and whose period includes now."""
    p = group_listed.c
    return select(p.patient_id).where(
        p.tenant == rule.tenant,
        p.group_id == rule.group_id,
        p.inactive.is_(False),
        p.period_start_us.is_(None) | (p.period_start_us <= rule.now_us),
        p.period_end_us.is_(None) | (p.period_end_us > rule.now_us),
    )


def due(conn: Connection, tenant: str, now_us: int) -> list[str]:
    """Groups that changed, or in which a period began or ended, since their members were found."""
    g, p = group_definition.c, group_listed.c
    query = select(g.group_id, g.refreshed_us).where(g.tenant == tenant)
    refreshed: dict[str, int] = {group_id: at for group_id, at in conn.execute(query)}
    found = {group_id for group_id, at in refreshed.items() if at == 0}
    oldest = min(refreshed.values(), default=now_us)
    for boundary in (p.period_start_us, p.period_end_us):
        last = (
            select(p.group_id, func.max(boundary))
            .where(p.tenant == tenant, boundary > oldest, boundary <= now_us)
            .group_by(p.group_id)
        )
        found |= {group for group, at in conn.execute(last) if at > refreshed.get(group, at)}
    return sorted(found)
