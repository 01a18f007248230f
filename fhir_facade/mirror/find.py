"""Finding versions: searches, includes, and the check of every row before it leaves.

Every query names a revision and sees what is valid there; the reach is a condition on every alias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, func, or_, select

from fhir_facade import clock
from fhir_facade.mirror.criteria import Criterion, DateCriterion
from fhir_facade.mirror.criteria_sql import Scope, condition
from fhir_facade.mirror.export import ExportSlice, export_deleted, export_rows
from fhir_facade.mirror.memberships import memberships
from fhir_facade.mirror.reach_sql import READING, ReachScope, reach_scope, reached
from fhir_facade.mirror.tables import index_reference, resource_version
from fhir_facade.mirror.versions import ROW_COLUMNS, Row, current_revision, instant_of
from fhir_facade.policy import GroupMembers, Letter, Reach, RowFacts, admits

__all__ = [
    "ExportSlice",
    "FindRequest",
    "admitted",
    "count",
    "export_deleted",
    "export_rows",
    "find",
    "included",
    "reverse_included",
]

_CHUNK = 500
_v = resource_version.c


@dataclass(frozen=True)
class FindRequest:
    """A search of one type at a revision, after the id in `after`, `limit` rows at most."""

    tenant: str
    type: str
    criteria: tuple[Criterion, ...]
    reach: Reach
    revision: int
    after: tuple[str, ...] | None
    limit: int


def find(conn: Connection, request: FindRequest) -> list[Row]:
    """The matches that the principal may search, by id, without tombstones."""
    page = _matches(conn, request, _v.pk)
    if request.after is not None:
        page = page.where(_v.id > request.after[0])
    page = page.order_by(_v.id).limit(request.limit)
    other = resource_version.alias().c
    columns = [other[column.name] for column in ROW_COLUMNS]
    # The page is cut on keys alone; only its own bodies are read.
    query = select(*columns).where(other.pk.in_(page)).order_by(other.id)
    return [Row._make(row) for row in conn.execute(query)]


def count(conn: Connection, request: FindRequest, at_most: int | None = None) -> int:
    """How many matches there are in all, whatever `after` and `limit` say; counting stops at
    `at_most`."""
    matches = _matches(conn, request, _v.pk)
    if at_most is not None:
        matches = matches.limit(at_most)
    return conn.execute(select(func.count()).select_from(matches.subquery())).scalar_one()


def included(
    conn: Connection,
    tenant: str,
    sources: Sequence[Row],
    param: str,
    targets: Sequence[str],
    reach: Reach,
    revision: int,
    limit: int,
) -> list[Row]:
    """What the sources refer to by `param`, of the types `targets`, as far as the reach goes (to
    read or to search); by type and id, each once, `limit` rows at most."""
    keys: set[tuple[str, str]] = set()
    reference = index_reference.c
    pks = [source.pk for source in sources]
    for start in range(0, len(pks), _CHUNK):
        query = select(reference.target_type, reference.target_id).where(
            reference.version_pk.in_(pks[start : start + _CHUNK]), reference.param == param
        )
        keys.update((row[0], row[1]) for row in conn.execute(query) if row[0] in targets)
    scope = reach_scope(conn, tenant, reach, revision)
    rows: list[Row] = []
    for target in sorted({key[0] for key in keys}):
        ids = sorted(key[1] for key in keys if key[0] == target)
        for start in range(0, len(ids), _CHUNK):
            page = _reached_rows(scope, target).where(_v.id.in_(ids[start : start + _CHUNK]))
            page = page.order_by(_v.id).limit(limit - len(rows))
            rows.extend(Row._make(row) for row in conn.execute(page))
            if len(rows) >= limit:
                return rows
    return rows


def reverse_included(
    conn: Connection,
    tenant: str,
    resource_type: str,
    param: str,
    targets: Sequence[Row],
    reach: Reach,
    revision: int,
    limit: int,
) -> list[Row]:
    """What of `resource_type` refers to the targets by `param`, as far as the reach goes (to read
    or to search); by id, each once, `limit` rows at most."""
    scope = reach_scope(conn, tenant, reach, revision)
    reference = index_reference.c
    rows: dict[int, Row] = {}
    for start in range(0, len(targets), _CHUNK):
        wanted = [
            and_(reference.target_type == target.type, reference.target_id == target.id)
            for target in targets[start : start + _CHUNK]
        ]
        referring = select(reference.version_pk).where(
            reference.tenant == tenant,
            reference.type == resource_type,
            reference.param == param,
            reference.to_revision > revision,
            reference.from_revision <= revision,
            or_(*wanted),
        )
        query = _reached_rows(scope, resource_type).where(_v.pk.in_(referring))
        for row in conn.execute(query.order_by(_v.id).limit(limit)):
            rows[row[0]] = Row._make(row)
    return sorted(rows.values(), key=lambda row: row.id)[:limit]


def admitted(
    conn: Connection,
    tenant: str,
    reach: Reach,
    revision: int | None,
    rows: Sequence[Row],
    letter: Letter = "s",
) -> list[Row]:
    """The second check: those of the rows, tombstones too, whose columns say that the principal may
    have them. Group members are resolved in one query, at `revision` or at the present one; for a
    tombstone also as they were before the deletion, which ends a patient's membership."""
    groups = frozenset[str]().union(
        *(g.patients.group_ids for g in reach.grants if isinstance(g.patients, GroupMembers))
    )
    facts = [row.facts for row in rows]
    if not groups or not rows:
        return [
            row
            for row, fact in zip(rows, facts, strict=True)
            if admits(reach, fact.type, letter, fact)
        ]
    at = current_revision(conn, tenant)[0] if revision is None else revision
    patients = {patient for fact in facts for patient in fact.patients}
    now = memberships(conn, tenant, patients, groups, at)

    def admit(row: Row, fact: RowFacts) -> bool:
        if admits(reach, fact.type, letter, fact, now):
            return True
        if not row.deleted:
            return False
        before = memberships(conn, tenant, fact.patients, groups, row.from_revision - 1)
        return admits(reach, fact.type, letter, fact, before)

    return [row for row, fact in zip(rows, facts, strict=True) if admit(row, fact)]


def _matches(conn: Connection, request: FindRequest, *columns: Any) -> Select[Any]:
    scope = Scope(
        request.tenant,
        request.type,
        request.revision,
        conn.dialect.name,
        _now_us(conn, request),
    )
    query = _valid(request.tenant, request.type, request.revision, *columns).where(
        *(condition(criterion, scope, _v) for criterion in request.criteria)
    )
    within = reach_scope(conn, request.tenant, request.reach, request.revision)
    return query.where(reached(within, request.type, ("s",), _v))


def _reached_rows(scope: ReachScope, resource_type: str) -> Select[Any]:
    query = _valid(scope.tenant, resource_type, scope.revision, *ROW_COLUMNS)
    return query.where(reached(scope, resource_type, READING, _v))


def _valid(tenant: str, resource_type: str, revision: int, *columns: Any) -> Select[Any]:
    return select(*columns).where(
        _v.tenant == tenant,
        _v.type == resource_type,
        _v.to_revision > revision,
        _v.from_revision <= revision,
        _v.deleted.is_(False),
    )


def _now_us(conn: Connection, request: FindRequest) -> int:
    """What `ap` measures from: the instant of the revision, the same on every page."""
    approximate = any(
        value.prefix == "ap"
        for criterion in request.criteria
        if isinstance(criterion, DateCriterion)
        for value in criterion.values
    )
    if not approximate:
        return 0
    instant = instant_of(conn, request.tenant, request.revision)
    return clock.now_us() if instant is None else instant
