"""What an export reads: rows of a slice of ids at one revision, what was deleted since another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from fhir_facade.mirror.criteria_sql import from_revisions
from fhir_facade.mirror.fetch import fetch
from fhir_facade.mirror.index_sql import Scope
from fhir_facade.mirror.plan import Query
from fhir_facade.mirror.reach_sql import READING, ReachScope, in_group, reached
from fhir_facade.mirror.sql import ALWAYS, Condition, Sql, either, one_of
from fhir_facade.mirror.versions import Row
from fhir_facade.policy import Reach, ReachClass

ExportRow = tuple[str, bytes, str, str, str | None]
"""(id, body, patients, categories, inherits): the columns of `versions.Row` of these names."""
_NEXT = "\x01"
"""Behind an id it makes the lowest text above it: no character of an id is lower."""


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
    conditions = _row_conditions(conn, slice_)
    return _query(slice_, conditions, after_id, "v.deleted = false").page(conn, limit)


class SliceReader:
    """The rows of a slice page by page, no more of them than an export needs; the query is put
    together once. Use it with connections of one database only."""

    def __init__(self, conn: Connection, slice_: ExportSlice) -> None:
        # One lower bound: of two, SQLite may seek to the wrong one and walk the slice every page.
        self._from = slice_.id_from or ""
        rest = replace(slice_, id_from=None)
        matches = _query(rest, _row_conditions(conn, rest), None, "v.deleted = false").matches(conn)
        columns = "v.id, v.body, v.patients, v.categories, v.inherits"
        self._text = f"SELECT {columns} {matches.text} AND v.id >= ? ORDER BY v.id LIMIT ?"
        self._values = matches.values

    def page(self, conn: Connection, after_id: str | None, limit: int) -> list[ExportRow]:
        """The next rows after an id, by id, without tombstones."""
        lowest = self._from if after_id is None else after_id + _NEXT
        rows: list[Any] = fetch(conn, self._text, (*self._values, lowest, limit))
        return rows


def export_deleted(
    conn: Connection, slice_: ExportSlice, after_id: str | None, limit: int
) -> list[tuple[str, str]]:
    """(type, id) of what was deleted after `since_revision` up to the revision and was within
    reach, by id; nothing when there is no `since_revision`. A deleted patient is no member any more
    at the revision, so it is enough to have been one since."""
    since = slice_.since_revision
    if since is None:
        return []
    within = ReachScope(_scope(conn, slice_), slice_.reach, since)
    conditions = _conditions(within, slice_)
    conditions.append(from_revisions(Sql("@ > ?", (since,)), within.scope))
    return _query(slice_, conditions, after_id, "v.deleted = true").keys(conn, limit)


def _scope(conn: Connection, slice_: ExportSlice) -> Scope:
    return Scope(conn, slice_.tenant, slice_.type, slice_.revision)


def _conditions(within: ReachScope, slice_: ExportSlice) -> list[Condition]:
    reach = reached(within, READING)
    if slice_.group_id is None:
        return [reach]
    group = _of_group(within, slice_.type, slice_.group_id)
    # A client of one group that exports it: the two ask the same.
    return [reach] if group == reach else [reach, group]


def _of_group(within: ReachScope, resource_type: str, group_id: str) -> Condition:
    """The condition that a row belongs to the group's export."""
    classes = within.reach.classes
    kind = classes.get(resource_type)
    if resource_type == "Group":
        return Condition(Sql("v.id = ?", (group_id,)))
    if kind is ReachClass.DIRECTORY:
        return ALWAYS
    theirs = in_group(within, frozenset({group_id}))
    if kind is ReachClass.INHERITED:
        free = [name for name, of in classes.items() if of is ReachClass.DIRECTORY]
        return either((Condition(one_of("v.inherits", free, within.scope.dialect)), theirs))
    return theirs


def _row_conditions(conn: Connection, slice_: ExportSlice) -> list[Condition]:
    """Reach, group and what is new since a revision, for the rows that are not deleted."""
    within = ReachScope(_scope(conn, slice_), slice_.reach)
    conditions = _conditions(within, slice_)
    since = slice_.since_revision
    if since is not None:
        ways = [from_revisions(Sql("@ > ?", (since,)), within.scope)]
        if slice_.group_id is not None:
            ways.append(in_group(within, frozenset({slice_.group_id}), joined_after=since))
        conditions.append(either(ways))
    return conditions


def _query(
    slice_: ExportSlice, conditions: list[Condition], after_id: str | None, deleted: str
) -> Query:
    bounds = [Sql(deleted)]
    if slice_.id_from is not None and after_id is None:
        bounds.append(Sql("v.id >= ?", (slice_.id_from,)))
    if slice_.id_to is not None:
        bounds.append(Sql("v.id < ?", (slice_.id_to,)))
    return Query(
        slice_.tenant, slice_.type, slice_.revision, tuple(conditions), tuple(bounds), after_id
    )
