"""Finding versions: searches, includes, and the check of every row before it leaves.

Every query names a revision and sees what is valid there; the reach is a condition on every alias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from fhir_facade import clock
from fhir_facade.mirror.chain_sql import conditions_within
from fhir_facade.mirror.criteria import (
    ChainCriterion,
    Criterion,
    DateCriterion,
    HasCriterion,
    Place,
    SortKey,
)
from fhir_facade.mirror.criteria_sql import referring
from fhir_facade.mirror.export import ExportSlice, export_deleted, export_rows
from fhir_facade.mirror.index_sql import Scope
from fhir_facade.mirror.memberships import memberships
from fhir_facade.mirror.order import places_of, sorted_page
from fhir_facade.mirror.plan import Query
from fhir_facade.mirror.reach_sql import READING, ReachScope, reached
from fhir_facade.mirror.sql import Condition, Sql, one_of, run
from fhir_facade.mirror.versions import Row, current_revision, instant_of
from fhir_facade.policy import GroupMembers, Letter, Reach, RowFacts, admits, admits_every_row

__all__ = [
    "ExportSlice",
    "FindRequest",
    "admitted",
    "count",
    "export_deleted",
    "export_rows",
    "find",
    "included",
    "places_after",
    "reverse_included",
]

_CHUNK = 500


@dataclass(frozen=True)
class FindRequest:
    """A search of one type at a revision, behind the place `after`, `limit` rows at most. Without
    `sort` rows come by id."""

    tenant: str
    type: str
    criteria: tuple[Criterion, ...]
    reach: Reach
    revision: int
    after: Place | None
    limit: int
    sort: tuple[SortKey, ...] = ()


def find(conn: Connection, request: FindRequest) -> list[Row]:
    """The matches that the principal may search, in order, without tombstones."""
    query = _query(conn, request)
    if request.sort:
        return sorted_page(conn, query, request.sort, request.after, request.limit)
    after = None if request.after is None else str(request.after[0])
    return query._replace(after=after).page(conn, request.limit)


def places_after(conn: Connection, request: FindRequest, rows: Sequence[Row]) -> list[Place]:
    """For each row, what `FindRequest.after` is of the page behind it."""
    return places_of(conn, request.sort, rows) if request.sort else [(row.id,) for row in rows]


def count(conn: Connection, request: FindRequest, at_most: int | None = None) -> int:
    """How many matches there are in all, whatever `after` and `limit` say; counting stops at
    `at_most`."""
    return _query(conn, request).total(conn, at_most)


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
    pks = [source.pk for source in sources]
    for start in range(0, len(pks), _CHUNK):
        chunk = pks[start : start + _CHUNK]
        text = (
            "SELECT DISTINCT target_type, target_id FROM index_reference"  # noqa: S608
            f" WHERE version_pk IN ({', '.join('?' * len(chunk))}) AND param = ?"
        )
        keys.update((row[0], row[1]) for row in run(conn, Sql(text, (*chunk, param))))
    rows: list[Row] = []
    for target in sorted(set(targets)):
        ids = {key[1] for key in keys if key[0] == target}
        if ids and len(rows) < limit:
            wanted = Condition(one_of("v.id", ids, conn.dialect.name))
            query = _within_reach(conn, tenant, target, reach, revision, wanted)
            rows.extend(query.page(conn, limit - len(rows)))
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
    scope = Scope(conn, tenant, resource_type, revision)
    rows: dict[int, Row] = {}
    for start in range(0, len(targets), _CHUNK):
        chunk = targets[start : start + _CHUNK]
        wanted = referring(param, [(one.type, one.id) for one in chunk], scope)
        query = _within_reach(conn, tenant, resource_type, reach, revision, wanted)
        rows.update({row.pk: row for row in query.page(conn, limit)})
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
    if all(admits_every_row(reach, name, letter) for name in {row.type for row in rows}):
        return list(rows)
    groups = frozenset[str]().union(
        *(g.patients.group_ids for g in reach.grants if isinstance(g.patients, GroupMembers))
    )
    if not groups:
        return [row for row in rows if admits(reach, row.type, letter, row.facts)]
    facts = [row.facts for row in rows]
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


def _query(conn: Connection, request: FindRequest) -> Query:
    scope = Scope(conn, request.tenant, request.type, request.revision)
    now_us = _now_us(conn, request)
    within = ReachScope(scope, request.reach)
    criteria = conditions_within(request.criteria, within, now_us)
    return Query(
        request.tenant, request.type, request.revision, (reached(within, ("s",)), *criteria)
    )


def _within_reach(
    conn: Connection,
    tenant: str,
    resource_type: str,
    reach: Reach,
    revision: int,
    wanted: Condition,
) -> Query:
    scope = Scope(conn, tenant, resource_type, revision)
    within = reached(ReachScope(scope, reach), READING)
    return Query(tenant, resource_type, revision, (within, wanted))


def _now_us(conn: Connection, request: FindRequest) -> int:
    """What `ap` measures from: the instant of the revision, the same on every page."""
    if not any(_approximate(criterion) for criterion in request.criteria):
        return 0
    instant = instant_of(conn, request.tenant, request.revision)
    return clock.now_us() if instant is None else instant


def _approximate(criterion: Criterion) -> bool:
    match criterion:
        case DateCriterion(_, values):
            return any(value.prefix == "ap" for value in values)
        case HasCriterion(_, _, inner):
            return any(map(_approximate, inner))
        case ChainCriterion(_, targets):
            return any(_approximate(one) for _, inner in targets for one in inner)
        case _:
            return False
