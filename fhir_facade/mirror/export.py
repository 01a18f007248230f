"""What an export reads: rows of a slice of ids at one revision, what was deleted since another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, or_, select, true

from fhir_facade.mirror.reach_sql import READING, ReachScope, in_group, reach_scope, reached
from fhir_facade.mirror.tables import compartment, group_member, resource_version
from fhir_facade.mirror.versions import ROW_COLUMNS, Row
from fhir_facade.policy import Reach, ReachClass

_v = resource_version.c
Condition = ColumnElement[bool]
_FEW_MEMBERS = 50


@dataclass(frozen=True)
class ExportSlice:
    """One type at a revision, ids in [`id_from`, `id_to`) (None: open).

    `since_revision` keeps what changed after it and, in a group's export, everything of patients
    who joined the group after it. `group_id` keeps what belongs to the group's members, the group
    itself and types that belong to nobody.
    """

    tenant: str
    type: str
    revision: int
    reach: Reach
    since_revision: int | None = None
    group_id: str | None = None
    id_from: str | None = None
    id_to: str | None = None


def export_rows(
    conn: Connection, slice_: ExportSlice, after_id: str | None, limit: int
) -> list[Row]:
    """The next rows of the slice after an id, by id, without tombstones."""
    query = _slice_rows(conn, slice_, None, *ROW_COLUMNS).where(_v.deleted.is_(False))
    since = slice_.since_revision
    if since is not None:
        fresh = _v.from_revision > since
        query = query.where(or_(fresh, _joined(slice_, since)) if slice_.group_id else fresh)
    return [Row._make(row) for row in conn.execute(_page(query, slice_, after_id, limit))]


def export_deleted(
    conn: Connection, slice_: ExportSlice, after_id: str | None, limit: int
) -> list[tuple[str, str]]:
    """(type, id) of what was deleted after `since_revision` up to the revision and was within
    reach, by id; nothing when there is no `since_revision`. A deleted patient is no member any more
    at the revision, so it is enough to have been one since."""
    since = slice_.since_revision
    if since is None:
        return []
    query = _slice_rows(conn, slice_, since, _v.type, _v.id)
    query = query.where(_v.deleted.is_(True), _v.from_revision > since)
    rows = conn.execute(_page(query, slice_, after_id, limit))
    return [(resource_type, resource_id) for resource_type, resource_id in rows]


def _slice_rows(
    conn: Connection, slice_: ExportSlice, members_since: int | None, *columns: Any
) -> Select[Any]:
    # A list of all rows of a group would be made anew for every page of a part.
    scope = reach_scope(conn, slice_.tenant, slice_.reach, slice_.revision, _FEW_MEMBERS)
    scope = scope._replace(members_since=members_since)
    query = select(*columns).where(
        _v.tenant == slice_.tenant,
        _v.type == slice_.type,
        _v.to_revision > slice_.revision,
        _v.from_revision <= slice_.revision,
        reached(scope, slice_.type, READING, _v),
    )
    if slice_.group_id is not None:
        query = query.where(_of_group(scope, slice_, slice_.group_id))
    return query


def _of_group(scope: ReachScope, slice_: ExportSlice, group_id: str) -> Condition:
    """The condition that a row belongs to the group's export."""
    classes = slice_.reach.classes
    kind = classes.get(slice_.type)
    if slice_.type == "Group":
        return _v.id == group_id
    theirs = in_group(scope, frozenset({group_id}), slice_.type, _v)
    if kind is ReachClass.DIRECTORY:
        return true()
    if kind is ReachClass.INHERITED:
        free = sorted(name for name, of in classes.items() if of is ReachClass.DIRECTORY)
        return or_(_v.inherits.in_(free), theirs)
    return theirs


def _joined(slice_: ExportSlice, since: int) -> Condition:
    """The condition that a patient of the row joined the group after a revision."""
    c, m = compartment.c, group_member.c
    return (
        select(c.version_pk)
        .where(
            c.version_pk == _v.pk,
            m.tenant == slice_.tenant,
            m.group_id == slice_.group_id,
            m.patient_id == c.patient_id,
            m.from_revision > since,
            m.from_revision <= slice_.revision,
            m.to_revision > slice_.revision,
        )
        .exists()
    )


def _page(query: Select[Any], slice_: ExportSlice, after_id: str | None, limit: int) -> Select[Any]:
    if after_id is not None:
        query = query.where(_v.id > after_id)
    elif slice_.id_from is not None:
        query = query.where(_v.id >= slice_.id_from)
    if slice_.id_to is not None:
        query = query.where(_v.id < slice_.id_to)
    return query.order_by(_v.id).limit(limit)
