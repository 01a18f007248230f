"""One search over several types (R4 http.html#search, `GET [base]?_type=…`).

Every parameter has to be one of every searched type. Without `_sort` the matches come type by type,
in the order of the queries; with it they are merged, and equals come in that order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from fhir_facade.errors import FacadeError
from fhir_facade.mirror import find
from fhir_facade.mirror.connection import Connection
from fhir_facade.mirror.criteria import Place
from fhir_facade.mirror.find import FindRequest
from fhir_facade.mirror.versions import Row, current_revision
from fhir_facade.policy import Reach
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.search.cursor import Position
from fhir_facade.search.includes import Includes
from fhir_facade.search.parse import parse
from fhir_facade.search.query import Pair, SearchContext, SearchQuery
from fhir_facade.search.run import SearchPage, TotalCache, total_of
from fhir_facade.search.values.text import malformed

TYPE = "_type"
_INCLUDES = ("_include", "_revinclude")
_BEHIND_ALL_IDS = "~"


class _Placed(NamedTuple):
    row: Row
    place: Place


def parse_types(
    definitions: Sequence[ResourceDefinition], pairs: Sequence[Pair], context: SearchContext
) -> tuple[SearchQuery, ...]:
    """The search of each type, all with the same shape and order. `pairs` come without `_type`.

    An include counts for the types that have it, and is an error when none has. Raises as `parse`
    does.
    """
    plain = [pair for pair in pairs if pair[0].partition(":")[0] not in _INCLUDES]
    queries = [parse(definition, plain, context) for definition in definitions]
    if len({tuple(key.kind for key in query.sort) for query in queries}) > 1:
        raise malformed("_sort", "parameters that are of one kind in every searched type")
    for pair in pairs:
        if pair[0].partition(":")[0] in _INCLUDES:
            queries = _with_include(definitions, queries, pair, context)
    used = tuple(pair for pair in pairs if pair[0] not in queries[0].ignored)
    return tuple(replace(query, used=used) for query in queries)


def _with_include(
    definitions: Sequence[ResourceDefinition],
    queries: Sequence[SearchQuery],
    pair: Pair,
    context: SearchContext,
) -> list[SearchQuery]:
    strict = replace(context, lenient=False)
    extended: list[SearchQuery] = []
    refusal: FacadeError | None = None
    taken = False
    for definition, query in zip(definitions, queries, strict=True):
        try:
            more = parse(definition, [pair], strict).includes
        except FacadeError as error:
            refusal, more = error, ()
        else:
            taken = True
        extended.append(replace(query, includes=tuple(dict.fromkeys((*query.includes, *more)))))
    if not taken and refusal is not None:
        raise refusal
    return extended


def run_types(
    conn: Connection,
    tenant: str,
    queries: Sequence[SearchQuery],
    reach: Reach,
    totals: TotalCache,
    position: Position | None = None,
) -> SearchPage:
    """One page over all the queries' types, after `position` or from the start; see `run.run`."""
    revision = current_revision(conn, tenant)[0] if position is None else position.revision
    after = None if position is None else position.after
    first = queries[0]
    requests = [
        FindRequest(
            tenant=tenant,
            type=query.type,
            criteria=query.criteria,
            reach=reach,
            revision=revision,
            after=_after(number, after),
            limit=query.count + 1,
            sort=query.sort,
        )
        for number, query in enumerate(queries)
    ]
    rows = [] if first.count_only else _merged(conn, requests, after, first.count + 1)
    page = rows[: first.count]
    matches = find.admitted(conn, tenant, reach, revision, [one.row for one in page])
    if position is not None:
        total = position.total
    elif len(rows) <= first.count and not first.count_only:
        total = len(matches)
    else:
        counted = [total_of(conn, r, q, totals) for r, q in zip(requests, queries, strict=True)]
        known = [number for number in counted if number is not None]
        total = sum(known) if len(known) == len(counted) else None
    includes = dict.fromkeys(include for query in queries for include in query.includes)
    included, cut = Includes(conn, tenant, reach, revision).collect(tuple(includes), matches)
    return SearchPage(
        revision=revision,
        matches=tuple(matches),
        included=included,
        total=None if first.total == "none" and not first.count_only else total,
        after=_place(queries, page[-1]) if len(rows) > len(page) else None,
        cut=cut,
    )


def _place(queries: Sequence[SearchQuery], last: _Placed) -> Place:
    """Values of the sort keys, then the number of the query and the id."""
    number = next(n for n, query in enumerate(queries) if query.type == last.row.type)
    return (*last.place[:-1], number, last.row.id)


def _after(number: int, after: Place | None) -> Place | None:
    """Where a query goes on when the page before ended at a row of, perhaps, another one."""
    if after is None:
        return None
    *values, last_number, last_id = after
    if number == last_number:
        return (*values, last_id)
    return (*values, _BEHIND_ALL_IDS if number < int(str(last_number)) else "")


def _merged(
    conn: Connection, requests: Sequence[FindRequest], after: Place | None, limit: int
) -> list[_Placed]:
    """The first rows of all types together."""
    found: list[_Placed] = []
    keys = requests[0].sort
    first = 0 if keys or after is None else int(str(after[-2]))
    for request in requests[first:]:
        rows = find.find(conn, request)
        places = find.places_after(conn, request, rows)
        found += [_Placed(row, place) for row, place in zip(rows, places, strict=True)]
        if not keys and len(found) >= limit:
            break
    for number, key in reversed(list(enumerate(keys))):
        # Sorting keeps the order of equals; what has no value comes last either way.
        there = [one for one in found if one.place[number] is not None]
        there.sort(key=lambda one: one.place[number], reverse=key.descending)  # type: ignore[arg-type, return-value]
        found = there + [one for one in found if one.place[number] is None]
    return found[:limit]
