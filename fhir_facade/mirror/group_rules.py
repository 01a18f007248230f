"""Who should be in a group by its rule, against who is."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    String,
    any_,
    exists,
    false,
    func,
    literal,
    select,
    true,
)

from fhir_facade.fhir import json
from fhir_facade.mirror.tables import (
    OPEN,
    compartment,
    group_member,
    index_reference,
    resource_version,
)

Condition = ColumnElement[bool]


class Rule(NamedTuple):
    """A group's rule; `kind` `none` is that of a group that is not active."""

    tenant: str
    group_id: str
    kind: str
    value: str
    members: Collection[str]


def joining(conn: Connection, rule: Rule, limit: int) -> list[str]:
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
        .where(*_present_patient(rule.tenant, v), _qualifies(conn, rule, v.id), ~member)
        .order_by(v.id)
        .limit(limit)
    )
    return list(conn.execute(query).scalars())


def leaving(conn: Connection, rule: Rule, limit: int) -> list[str]:
    """Members who should be none, by id, `limit` at most."""
    v, m = resource_version.c, group_member.c
    stays = exists().where(
        *_present_patient(rule.tenant, v),
        v.id == m.patient_id,
        _qualifies(conn, rule, m.patient_id),
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


def _qualifies(conn: Connection, rule: Rule, patient_id: Any) -> Condition:
    if rule.kind == "tenant":
        return true()
    if rule.kind == "listed":
        return _listed(patient_id, rule.members, conn.dialect.name)
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


def _listed(patient_id: Any, members: Collection[str], dialect: str) -> Condition:
    """Whether the patient is one of the members, who may be more than a statement takes values."""
    listed: Condition
    if dialect == "postgresql":
        listed = patient_id == any_(literal(list(members), ARRAY(String)))
    else:
        each = func.json_each(json.dumps(list(members)).decode()).table_valued("value")
        listed = patient_id.in_(select(each.c.value))
    return listed
