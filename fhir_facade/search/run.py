"""Run a parsed search on the mirror: one page of matches, with its includes beside it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from fhir_facade.mirror import find
from fhir_facade.mirror.connection import Connection
from fhir_facade.mirror.criteria import Criterion, DateCriterion, Place, SortKey
from fhir_facade.mirror.find import FindRequest
from fhir_facade.mirror.versions import Row, current_revision
from fhir_facade.policy import Reach
from fhir_facade.search.cursor import Position
from fhir_facade.search.includes import Includes
from fhir_facade.search.query import SearchQuery

CHEAP_TOTAL = 10_000
"""Without `_total`, matches are counted up to this number; beyond it the total is left out."""


@dataclass(frozen=True)
class SearchPage:
    """One page. `after` is where it ended when there is more; `cut` says that not all included
    resources are on it.
    """

    revision: int
    matches: tuple[Row, ...]
    included: tuple[Row, ...]
    total: int | None
    after: Place | None
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
        sort=query.sort or natural_order(query.criteria),
    )
    rows: list[Row] = [] if query.count_only else find.find(conn, request)
    more = len(rows) > query.count
    ended = find.places_after(conn, request, rows[query.count - 1 : query.count]) if more else ()
    matches = find.admitted(conn, tenant, reach, revision, rows[: query.count])
    if position is not None:
        total = position.total
    elif not more and not query.count_only:
        total = len(matches)
    else:
        total = total_of(conn, request, query, totals)
    included, cut = Includes(conn, tenant, reach, revision).collect(query.includes, matches)
    return SearchPage(
        revision=revision,
        matches=tuple(matches),
        included=included,
        total=None if query.total == "none" and not query.count_only else total,
        after=ended[0] if ended else None,
        cut=cut,
    )


def natural_order(criteria: Sequence[Criterion]) -> tuple[SortKey, ...]:
    """The order of a search that asks for none: by the date it asks for, so that its pages are
    read from neighbours; by id if it asks for no date."""
    for criterion in criteria:
        match criterion:
            case DateCriterion(param, _, True):
                return (SortKey(param, "date"),)
    return ()


def total_of(
    conn: Connection, request: FindRequest, query: SearchQuery, totals: TotalCache
) -> int | None:
    """The total of a search as its `_total` asks for it; None for none, or for too many to count
    unasked."""
    if query.total == "none" and not query.count_only:
        return None
    exact = query.count_only or query.total in ("accurate", "estimate")
    return totals.total(request, exact, lambda: _count(conn, request, exact))


def _count(conn: Connection, request: FindRequest, exact: bool) -> int | None:
    if exact:
        return find.count(conn, request)
    total = find.count(conn, request, at_most=CHEAP_TOTAL + 1)
    return total if total <= CHEAP_TOTAL else None
