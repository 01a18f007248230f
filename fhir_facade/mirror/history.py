"""Past versions of an instance, of a type, of everything: newest first (R4 http.html#history).

Reach is judged twice: on the version itself and on the one that is valid now. What a principal may
not have now, it may not have as it was before, and the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy import Connection

from fhir_facade.mirror.find import admitted
from fhir_facade.mirror.index_sql import Scope
from fhir_facade.mirror.plan import SOME_ROWS, from_list, shortest
from fhir_facade.mirror.reach_sql import ReachScope, reached
from fhir_facade.mirror.sql import Sql, join, one_of, run
from fhir_facade.mirror.tables import OPEN
from fhir_facade.mirror.versions import ROW_NAMES, Row, as_row
from fhir_facade.policy import Reach

_ROW = ", ".join(f"v.{name}" for name in ROW_NAMES.split(", "))
_NEWEST_FIRST = "ORDER BY v.from_revision DESC, v.pk DESC LIMIT ?"
_LAST_BEFORE = "SELECT max(revision) FROM revision_log WHERE tenant = ? AND instant_us < ?"


class Span(NamedTuple):
    """Versions made after revision `made_after` and up to `made_until`, that were still valid after
    `valid_after`."""

    made_until: int
    made_after: int = 0
    valid_after: int = 0


class Place(NamedTuple):
    """Where a page ended: revision and key of its last version."""

    from_revision: int
    pk: int


@dataclass(frozen=True)
class HistoryRequest:
    """`types`: those to look at; `resource_id`: one resource of the only type. At most `limit`
    versions behind the place `after`."""

    tenant: str
    types: tuple[str, ...]
    reach: Reach
    span: Span
    limit: int
    resource_id: str | None = None
    after: Place | None = None


def span_of(
    conn: Connection,
    tenant: str,
    revision: int,
    since_us: int | None = None,
    at_us: tuple[int, int] | None = None,
) -> Span:
    """Versions up to a revision, made at `since_us` or later, and valid at some time of the
    half-open interval `at_us`; instants in microseconds UTC."""

    def last_before(instant_us: int) -> int:
        return run(conn, Sql(_LAST_BEFORE, (tenant, instant_us)))[0][0] or 0

    made_after = 0 if since_us is None else last_before(since_us)
    if at_us is None:
        return Span(revision, made_after)
    first, end = at_us
    return Span(min(revision, last_before(end)), made_after, last_before(first + 1))


def history(conn: Connection, request: HistoryRequest) -> list[Row]:
    """The versions within reach, newest first, tombstones included."""
    pages = [_Walk(conn, replace(request, types=(name,))).fill() for name in request.types]
    rows = sorted((row for page in pages for row in page), key=_order, reverse=True)
    return rows[: request.limit]


def _order(row: Row) -> tuple[int, int]:
    return row.from_revision, row.pk


class _Walk:
    """Versions of one type: fetches until enough of them are within reach."""

    def __init__(self, conn: Connection, request: HistoryRequest) -> None:
        self._conn = conn
        self._request = request
        self._type = request.types[0]

    def fill(self) -> list[Row]:
        kept: list[Row] = []
        after = self._request.after
        while len(kept) < self._request.limit:
            found = self._fetched(after)
            kept += self._within_reach(found)
            if len(found) < self._request.limit:
                break
            after = Place(*_order(found[-1]))
        return kept[: self._request.limit]

    def _fetched(self, after: Place | None) -> list[Row]:
        request, span = self._request, self._request.span
        source, tests = self._source()
        bounds = [
            Sql("v.tenant = ? AND v.type = ?", (request.tenant, self._type)),
            Sql(
                "v.from_revision <= ? AND v.from_revision > ? AND v.to_revision > ?",
                (span.made_until, span.made_after, span.valid_after),
            ),
        ]
        if after is not None:
            behind = "v.from_revision <= ? AND (v.from_revision < ? OR v.pk < ?)"
            bounds.append(Sql(behind, (after.from_revision, after.from_revision, after.pk)))
        where = join(" AND ", (*bounds, *tests))
        text = f"SELECT {_ROW} {source.text} WHERE {where.text} {_NEWEST_FIRST}"
        values = (*source.values, *where.values, request.limit)
        return [as_row(row) for row in run(self._conn, Sql(text, values))]

    def _source(self) -> tuple[Sql, Sequence[Sql]]:
        """Where the rows come from, and what of the reach is left to test."""
        request = self._request
        everything = Sql("FROM resource_version v")
        if request.resource_id is not None:
            return everything, (Sql("v.id = ?", (request.resource_id,)),)
        scope = Scope(self._conn, request.tenant, self._type, request.span.made_until, True)
        within = reached(ReachScope(scope, request.reach), ("r",))
        few = shortest(self._conn, (within,), SOME_ROWS)
        if few is None or few.rows is None:
            return everything, (within.test,)
        return from_list(self._conn, few.rows), () if few.exact else (within.test,)

    def _within_reach(self, found: list[Row]) -> list[Row]:
        """The second check of each version, and of the version of each resource that is valid
        now."""
        if not found:
            return []
        tenant, reach = self._request.tenant, self._request.reach
        kept = admitted(self._conn, tenant, reach, None, found, "r")
        ids = {row.id for row in kept}
        now = one_of("v.id", ids, self._conn.dialect.name)
        text = (
            f"SELECT {_ROW} FROM resource_version v"  # noqa: S608
            f" WHERE v.tenant = ? AND v.type = ? AND v.to_revision = ? AND {now.text}"
        )
        values = (tenant, self._type, OPEN, *now.values)
        current = [as_row(row) for row in run(self._conn, Sql(text, values))]
        allowed = {row.id for row in admitted(self._conn, tenant, reach, None, current, "r")}
        return [row for row in kept if row.id in allowed]
