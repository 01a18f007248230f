"""Groups as operators define them: what is asked of a definition, and its rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Connection, delete, exists, select, update

from fhir_facade.errors import Conflict, InvalidRequest, NotFound
from fhir_facade.fhir.ids import is_id
from fhir_facade.mirror.tables import OPEN, group_definition, group_listed, resource_version
from fhir_facade.mirror.upsert import insert_ignore
from fhir_facade.mirror.version_writer import insert_rows
from fhir_facade.resources.group import GroupMember

Rule = Literal["listed", "tenant", "site"]
RULES: tuple[str, ...] = get_args(Rule)
SHORTEST_US = 1_000
"""Of a period: what a resource can tell apart."""
_BATCH = 5_000
_g, _p = group_definition.c, group_listed.c
_COLUMNS = (_p.patient_id, _p.period_start_us, _p.period_end_us, _p.inactive)


@dataclass(frozen=True)
class GroupDefinition:
    """`rule`: `listed` (the patients in `members`, as far as they exist, while their periods last),
    `tenant` (every patient) or `site` (patients with an Appointment at the Location whose id is
    `rule_value`). `version` is the store's business."""

    group_id: str
    name: str
    rule: Rule
    rule_value: str = ""
    members: tuple[GroupMember, ...] = ()
    active: bool = True
    version: int = 0


def check(definition: GroupDefinition) -> None:
    """Raise InvalidRequest when the id is no FHIR id or the rule does not fit its value."""
    if not is_id(definition.group_id):
        raise InvalidRequest("The id of a group must be a FHIR id.", expression=["Group.id"])
    if not definition.name.strip():
        raise InvalidRequest("A group needs a name.", expression=["Group.name"])
    if definition.rule not in RULES:
        raise InvalidRequest("The rule of a group must be listed, tenant or site.")
    if definition.rule == "site" and not is_id(definition.rule_value):
        raise InvalidRequest("The rule site needs the id of a Location.")
    check_members(definition.members)


def check_members(members: Sequence[GroupMember]) -> None:
    """Raise InvalidRequest for what is no patient's id, a patient named twice, or a period that
    ends before it starts (invariant per-1)."""
    if not all(is_id(member.patient_id) for member in members):
        raise InvalidRequest("The members of a group must be ids of patients.")
    if len({member.patient_id for member in members}) < len(members):
        raise InvalidRequest("A group names each of its members once.")
    for member in members:
        start, end = member.start_us, member.end_us
        if start is not None and end is not None and end - start < SHORTEST_US:
            raise InvalidRequest("A member's period must end after it starts.")


def read(
    conn: Connection, tenant: str, group_ids: Iterable[str] | None = None, *, members: bool = True
) -> list[GroupDefinition]:
    """The tenant's groups, or these of them, by id; `members` False leaves those out."""
    query = select(
        _g.group_id, _g.name, _g.rule, _g.rule_value, _g.active, _g.version
    ).where(_g.tenant == tenant)  # fmt: skip
    if group_ids is not None:
        query = query.where(_g.group_id.in_(list(group_ids)))
    return [
        GroupDefinition(
            group_id=row.group_id,
            name=row.name,
            rule=row.rule,
            rule_value=row.rule_value,
            members=tuple(listed_page(conn, tenant, row.group_id)) if members else (),
            active=row.active,
            version=row.version,
        )
        for row in conn.execute(query.order_by(_g.group_id)).all()
    ]


def listed_page(
    conn: Connection, tenant: str, group_id: str, after: str = "", limit: int | None = None
) -> list[GroupMember]:
    """Whom an operator put into the group, by id, active or not; `after` pages on."""
    query = select(*_COLUMNS).where(*_of(tenant, group_id), _p.patient_id > after)
    rows = conn.execute(query.order_by(_p.patient_id).limit(limit))
    return [GroupMember(*row) for row in rows]


def listed_of(
    conn: Connection, tenant: str, group_id: str, patients: Sequence[str]
) -> dict[str, GroupMember]:
    """The rows of these patients; who has none is left out."""
    found: dict[str, GroupMember] = {}
    for start in range(0, len(patients), _BATCH):
        some = patients[start : start + _BATCH]
        query = select(*_COLUMNS).where(*_of(tenant, group_id), _p.patient_id.in_(some))
        found.update({row[0]: GroupMember(*row) for row in conn.execute(query)})
    return found


def left_of(
    conn: Connection, tenant: str, group_id: str, now_us: int, limit: int
) -> list[GroupMember]:
    """Those on the list who are in the group no more, as far as they are known: a reference to them
    must lead somewhere."""
    v = resource_version.c
    known = exists().where(
        v.tenant == _p.tenant,
        v.type == "Patient",
        v.id == _p.patient_id,
        v.to_revision == OPEN,
        v.deleted.is_(False),
    )
    query = (
        select(*_COLUMNS)
        .where(*_of(tenant, group_id), known)
        .where(_p.inactive.is_(True) | (_p.period_end_us <= now_us))
        .order_by(_p.patient_id)
        .limit(limit)
    )
    return [replace(GroupMember(*row), inactive=True) for row in conn.execute(query)]


def is_current(conn: Connection, tenant: str, definition: GroupDefinition) -> bool:
    """Whether the definition is as it was read."""
    query = select(_g.version).where(_g.tenant == tenant, _g.group_id == definition.group_id)
    return conn.execute(query).scalar() == definition.version


def note_refresh(conn: Connection, tenant: str, definition: GroupDefinition, now_us: int) -> None:
    """The members are those of this instant; unless the definition changed since: then they are to
    be found anew."""
    conn.execute(
        update(group_definition)
        .where(
            _g.tenant == tenant,
            _g.group_id == definition.group_id,
            _g.version == definition.version,
        )
        .values(refreshed_us=now_us)
    )


def write(conn: Connection, tenant: str, definition: GroupDefinition, as_of: int | None) -> None:
    """Add or change a group, members and all. Raises as `touch` does."""
    key = {"tenant": tenant, "group_id": definition.group_id}
    values: dict[str, Any] = {
        "name": definition.name,
        "rule": definition.rule,
        "rule_value": definition.rule_value,
        "active": definition.active,
    }
    insert_ignore(conn, group_definition, [{**key, **values, "version": 0, "refreshed_us": 0}])
    touch(conn, tenant, definition.group_id, as_of, **values)
    conn.execute(delete(group_listed).where(*_of(tenant, definition.group_id)))
    put_members(conn, tenant, definition.group_id, definition.members)


def touch(conn: Connection, tenant: str, group_id: str, as_of: int | None, **values: Any) -> None:
    """The group's next version, whose members are still to be found. `as_of`: the version that was
    looked at, 0 for a new one, None for any. Raises NotFound, Conflict."""
    mine = (_g.tenant == tenant, _g.group_id == group_id)
    version = conn.execute(select(_g.version).where(*mine).with_for_update()).scalar()
    if version is None or (version == 0 and as_of):
        raise NotFound("There is no such group.")
    if as_of is not None and version != as_of:
        raise Conflict("There is a group of that id." if as_of == 0 else "The group was changed.")
    conn.execute(
        update(group_definition)
        .where(*mine)
        .values(**values, version=_g.version + 1, refreshed_us=0)
    )


def put_members(
    conn: Connection, tenant: str, group_id: str, members: Sequence[GroupMember]
) -> None:
    """Add these members, or give those who are there these periods."""
    take_members(conn, tenant, group_id, [member.patient_id for member in members])
    insert_rows(
        conn,
        group_listed,
        [
            (tenant, group_id, one.patient_id, one.start_us, one.end_us, one.inactive)
            for one in members
        ],
    )


def take_members(conn: Connection, tenant: str, group_id: str, patients: Sequence[str]) -> None:
    """Strike these patients from the group's list."""
    for start in range(0, len(patients), _BATCH):
        named = _p.patient_id.in_(patients[start : start + _BATCH])
        conn.execute(delete(group_listed).where(*_of(tenant, group_id), named))


def erase(conn: Connection, tenant: str, group_id: str) -> None:
    """Remove the definition and its list."""
    conn.execute(delete(group_listed).where(*_of(tenant, group_id)))
    conn.execute(delete(group_definition).where(_g.tenant == tenant, _g.group_id == group_id))


def _of(tenant: str, group_id: str) -> tuple[ColumnElement[bool], ...]:
    return (_p.tenant == tenant, _p.group_id == group_id)
