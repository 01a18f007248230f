"""Pages in another order than by id (R4 search.html#sort).

Where a condition lists few rows these are sorted. Otherwise the rows are met along the index of the
first key, so that a page costs the same in a large type as in a small one; rows without a value
come behind, by the other keys and by id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from fhir_facade.mirror.criteria import Place, SortKey
from fhir_facade.mirror.plan import Query
from fhir_facade.mirror.sql import Sql, any_of, exists, join, run, wrap
from fhir_facade.mirror.versions import ROW_NAMES, Row

_COLUMNS = {
    "token": ("index_token", "code"),
    "string": ("index_string", "folded"),
    "date": ("index_date", "lo_us"),
    "reference": ("index_reference", "target_id"),
    "number": ("index_number", "lo"),
    "quantity": ("index_quantity", "lo"),
}


class _Term(NamedTuple):
    """A key as an expression on `v`, the way it goes, and whether it may be null."""

    value: Sql
    descending: bool
    nullable: bool


_BY_ID = _Term(Sql("v.id"), descending=False, nullable=False)


def sorted_page(
    conn: Connection, query: Query, keys: Sequence[SortKey], after: Place | None, limit: int
) -> list[Row]:
    """The next rows in the order of the keys, then of ids."""
    few = query.few(conn) or query.reachable(conn)
    if few is not None or keys[0].kind in ("id", "revision"):
        source = few if few is not None else query.along(conn)
        return _page(conn, source, [_term(key) for key in keys], after, limit)
    rows: list[Row] = []
    if after is None or after[0] is not None:
        rows = _along_index(conn, query, keys, after, limit)
    if len(rows) < limit:
        behind = after[1:] if after is not None and after[0] is None else None
        rows += _without_value(conn, query, keys, behind, limit - len(rows))
    return rows


def places_of(conn: Connection, keys: Sequence[SortKey], rows: Sequence[Row]) -> list[Place]:
    """For each row, where a page ends whose last row it is."""
    if not rows:
        return []
    listed = join(", ", (Sql("v.pk"), *(_term(key).value for key in keys), Sql("v.id")))
    marks = ", ".join("?" * len(rows))
    text = f"SELECT {listed.text} FROM resource_version v WHERE v.pk IN ({marks})"  # noqa: S608
    found = run(conn, Sql(text, (*listed.values, *(row.pk for row in rows))))
    places = {row[0]: tuple(row[1:]) for row in found}
    return [places[row.pk] for row in rows]


def _along_index(
    conn: Connection, query: Query, keys: Sequence[SortKey], after: Place | None, limit: int
) -> list[Row]:
    table, column = _COLUMNS[keys[0].kind]
    param, revision = keys[0].param, query.revision
    visit = "resource_version v ON v.pk = o.version_pk"
    if conn.dialect.name != "sqlite":
        # Which keeps it to this order, as SQLite keeps to that of any CROSS JOIN.
        visit = "LATERAL (SELECT * FROM resource_version WHERE pk = o.version_pk OFFSET 0) v"
    source = f"FROM {table} o CROSS JOIN {visit} WHERE "
    valid = Sql(
        "o.tenant = ? AND o.type = ? AND o.param = ?"
        " AND o.to_revision > ? AND o.from_revision <= ?",
        (query.tenant, query.type, param, revision, revision),
    )
    firsts = f"SELECT t.n FROM {table} t WHERE t.version_pk = v.pk AND t.param = ?"  # noqa: S608
    once = Sql(f"o.n = ({firsts} ORDER BY t.{column}{_way(keys[0])}, t.n LIMIT 1)", (param,))
    walked = wrap(source, join(" AND ", (valid, once, query.where(conn))), "")
    first = _Term(Sql(f"o.{column}"), keys[0].descending, nullable=False)
    terms = [first, *(_term(key) for key in keys[1:])]
    if after is not None:
        # Follows from the place, and gives the walk its start.
        start = Sql(f"o.{column} {'<=' if first.descending else '>='} ?", (after[0],))
        walked = join(" AND ", (walked, start))
    return _page(conn, walked, terms, after, limit)


def _without_value(
    conn: Connection, query: Query, keys: Sequence[SortKey], after: Place | None, limit: int
) -> list[Row]:
    table, _ = _COLUMNS[keys[0].kind]
    value = Sql(
        f"SELECT 1 FROM {table} t WHERE t.version_pk = v.pk AND t.param = ?",  # noqa: S608
        (keys[0].param,),
    )
    none = wrap("NOT ", exists(value, conn.dialect.name), "")
    rest = query._replace(bounds=(*query.bounds, none))
    if len(keys) == 1:
        return rest._replace(after=None if after is None else str(after[0])).page(conn, limit)
    return _page(conn, rest.along(conn), [_term(key) for key in keys[1:]], after, limit)


def _page(
    conn: Connection, source: Sql, terms: Sequence[_Term], after: Place | None, limit: int
) -> list[Row]:
    ordered = [*terms, _BY_ID]
    if after is not None:
        source = join(" AND ", (source, _behind(ordered, after)))
    order = join(", ", [part for term in ordered for part in _ordering(term)])
    text = f"SELECT v.pk {source.text} ORDER BY {order.text} LIMIT ?"
    pks = [row[0] for row in run(conn, Sql(text, (*source.values, *order.values, limit)))]
    if not pks:
        return []
    marks = ", ".join("?" * len(pks))
    bodies = f"SELECT {ROW_NAMES} FROM resource_version WHERE pk IN ({marks})"  # noqa: S608
    found = {row[0]: Row._make(row) for row in run(conn, Sql(bodies, tuple(pks)))}
    return [found[pk] for pk in pks]


def _term(key: SortKey) -> _Term:
    if key.kind == "id":
        return _Term(Sql("v.id"), key.descending, nullable=False)
    if key.kind == "revision":
        return _Term(Sql("v.from_revision"), key.descending, nullable=False)
    table, column = _COLUMNS[key.kind]
    end = "max" if key.descending else "min"
    value = Sql(
        f"(SELECT {end}(t.{column}) FROM {table} t WHERE t.version_pk = v.pk AND t.param = ?)",  # noqa: S608
        (key.param,),
    )
    return _Term(value, key.descending, nullable=True)


def _way(key: SortKey) -> str:
    return " DESC" if key.descending else ""


def _ordering(term: _Term) -> list[Sql]:
    way = " DESC" if term.descending else ""
    by_value = Sql(f"{term.value.text}{way}", term.value.values)
    if not term.nullable:
        return [by_value]
    return [Sql(f"({term.value.text} IS NULL)", term.value.values), by_value]


def _behind(terms: Sequence[_Term], after: Sequence[Any]) -> Sql:
    """The condition that a row comes behind a place in the order of the terms."""
    ways: list[Sql] = []
    for depth in range(len(terms)):
        same = [_same(term, value) for term, value in zip(terms[:depth], after, strict=False)]
        later = _later(terms[depth], after[depth])
        if later is not None:
            ways.append(join(" AND ", (*same, later)))
    return any_of([Sql(f"({way.text})", way.values) for way in ways])


def _same(term: _Term, value: Any) -> Sql:
    if value is None:
        return Sql(f"{term.value.text} IS NULL", term.value.values)
    return Sql(f"{term.value.text} = ?", (*term.value.values, value))


def _later(term: _Term, value: Any) -> Sql | None:
    if value is None:
        return None
    sign = "<" if term.descending else ">"
    later = Sql(f"{term.value.text} {sign} ?", (*term.value.values, value))
    if not term.nullable:
        return later
    return any_of([later, Sql(f"{term.value.text} IS NULL", term.value.values)])
