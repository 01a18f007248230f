"""Run a parsed search on the mirror: one page of matches, with its includes beside it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from fhir_facade.mirror import find
from fhir_facade.mirror.connection import Connection
from fhir_facade.mirror.find import FindRequest
from fhir_facade.mirror.versions import Row, current_revision
from fhir_facade.policy import Reach
from fhir_facade.search.cursor import Position
from fhir_facade.search.query import Include, SearchQuery

INCLUDE_LIMIT = 1000
"""Resources that one `_include` or `_revinclude` adds to a page at most."""
CHEAP_TOTAL = 10_000
"""Without `_total`, matches are counted up to this number; beyond it the total is left out."""


@dataclass(frozen=True)
class SearchPage:
    """One page. `after` is the last id given when there is more; `cut` says that an include had
    more than INCLUDE_LIMIT resources.
    """

    revision: int
    matches: tuple[Row, ...]
    included: tuple[Row, ...]
    total: int | None
    after: tuple[str, ...] | None
    cut: bool = False


class TotalCache:
    """Totals at a revision never change: remembers the latest of them.

    A reach is known by its identity, which is that of a token's facts; the entry keeps it alive.
    """

    def __init__(self, size: int = 2048) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._totals: OrderedDict[Hashable, tuple[Reach, int | None]] = OrderedDict()

    def total(
        self, request: FindRequest, exact: bool, count: Callable[[], int | None]
    ) -> int | None:
        """The total of the search, counted by `count` unless it is known."""
        reach = request.reach
        key = (request.tenant, request.revision, request.type, request.criteria, id(reach), exact)
        with self._lock:
            known = self._totals.get(key)
        if known is not None:
            return known[1]
        counted = count()
        with self._lock:
            self._totals[key] = (reach, counted)
            if len(self._totals) > self._size:
                self._totals.popitem(last=False)
        return counted


def run(
    conn: Connection,
    tenant: str,
    query: SearchQuery,
    reach: Reach,
    totals: TotalCache,
    position: Position | None = None,
) -> SearchPage:
    """One page of `query` within `reach`, after `position` or from the start.

    All pages of a search read the revision of its first. The second check of every row happens
    here, on the row's columns.
    """
    revision = current_revision(conn, tenant)[0] if position is None else position.revision
    after = None if position is None else position.after
    request = FindRequest(
        tenant=tenant,
        type=query.type,
        criteria=query.criteria,
        reach=reach,
        revision=revision,
        after=after,
        limit=query.count + 1,
    )
    rows: list[Row] = [] if query.count_only else find.find(conn, request)
    more = len(rows) > query.count
    last = rows[query.count - 1].id if more else None
    matches = find.admitted(conn, tenant, reach, revision, rows[: query.count])
    if position is not None:
        total = position.total
    elif not more and not query.count_only:
        total = len(matches)
    else:
        total = _total(conn, request, query, totals)
    included, cut = _included(conn, tenant, query.includes, matches, reach, revision)
    return SearchPage(
        revision=revision,
        matches=tuple(matches),
        included=included,
        total=None if query.total == "none" and not query.count_only else total,
        after=None if last is None else (last,),
        cut=cut,
    )


def _total(
    conn: Connection, request: FindRequest, query: SearchQuery, totals: TotalCache
) -> int | None:
    if query.total == "none" and not query.count_only:
        return None
    exact = query.count_only or query.total in ("accurate", "estimate")
    return totals.total(request, exact, lambda: _count(conn, request, exact))


def _count(conn: Connection, request: FindRequest, exact: bool) -> int | None:
    if exact:
        return find.count(conn, request)
    total = find.count(conn, request, at_most=CHEAP_TOTAL + 1)
    return total if total <= CHEAP_TOTAL else None


def _included(
    conn: Connection,
    tenant: str,
    includes: tuple[Include, ...],
    matches: list[Row],
    reach: Reach,
    revision: int,
) -> tuple[tuple[Row, ...], bool]:
    """The included rows, each once and none that is a match; and whether any was cut."""
    if not includes or not matches:
        return (), False
    seen = {(row.type, row.id) for row in matches}
    kept: list[Row] = []
    cut = False
    for include in includes:
        rows = _followed(conn, tenant, include, matches, reach, revision)
        cut = cut or len(rows) > INCLUDE_LIMIT
        for row in _readable(conn, tenant, reach, revision, rows[:INCLUDE_LIMIT]):
            if (row.type, row.id) not in seen:
                seen.add((row.type, row.id))
                kept.append(row)
    return tuple(kept), cut


def _followed(
    conn: Connection,
    tenant: str,
    include: Include,
    matches: list[Row],
    reach: Reach,
    revision: int,
) -> list[Row]:
    """What one include leads to; one more than INCLUDE_LIMIT when there is more."""
    limit = INCLUDE_LIMIT + 1
    if include.reverse:
        return find.reverse_included(
            conn, tenant, include.type, include.param, matches, reach, revision, limit
        )
    return find.included(
        conn, tenant, matches, include.param, include.targets, reach, revision, limit
    )


def _readable(
    conn: Connection, tenant: str, reach: Reach, revision: int, rows: list[Row]
) -> list[Row]:
    """Included rows need a scope that searches their type, or one that reads it."""
    kept = find.admitted(conn, tenant, reach, revision, rows, "s")
    if len(kept) == len(rows):
        return kept
    readable = {row.pk for row in find.admitted(conn, tenant, reach, revision, rows, "r")}
    readable.update(row.pk for row in kept)
    return [row for row in rows if row.pk in readable]
