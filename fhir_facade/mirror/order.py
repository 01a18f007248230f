"""Pages in another order than by id (R4 search.html#sort).

Where a condition lists few rows these are sorted. Otherwise the rows are met along the index of the
first key, so that a page costs the same in a large type as in a small one; rows without a value
come behind, by the other keys and by id. Rows of one value lie by id: only further keys have all of
those sorted with which a page ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from fhir_facade.mirror.criteria import Place, SortKey
from fhir_facade.mirror.index_sql import valid_parts
from fhir_facade.mirror.plan import FIRST_STEPS, Query, visiting
from fhir_facade.mirror.sql import Condition, Sql, any_of, exists, join, run, wrap
from fhir_facade.mirror.versions import ROW_NAMES, Row

_COLUMNS = {
    "token": ("index_token", "code"),
    "string": ("index_string", "folded"),
    "date": ("index_date", "lo_us"),
    "reference": ("index_reference", "target_id"),
    "number": ("index_number", "lo"),
    "quantity": ("index_quantity", "lo"),
}


class _At(NamedTuple):
    """Where a row's key, id and first revision stand in a query."""

    pk: str = "v.pk"
    id: str = "v.id"
    revision: str = "v.from_revision"


class _Term(NamedTuple):
    """A key as an expression, the way it goes, and whether it may be null."""

    value: Sql
    descending: bool = False
    nullable: bool = False


_VERSIONS = _At()
_LISTED = _At("d.version_pk", "d.id")
_WALKED = _At("t.version_pk", "t.id", "t.from_revision")


def sorted_page(
    conn: Connection, query: Query, keys: Sequence[SortKey], after: Place | None, limit: int
) -> list[Row]:
    """The next rows in the order of the keys, then of ids."""
    spanned = _spanned(query, keys[0])
    walked = keys[0].kind not in ("id", "revision") and (after is None or after[0] is not None)
    walk = _Walk(conn, query, keys, spanned) if walked else None
    if spanned is None or not query.only(spanned):
        fewest = query.fewest(conn)
        if fewest is None and walk is not None and not query.unconditional:
            near = walk.near_page(after, limit)
            if near is not None:
                return _rows(conn, near)
        if fewest is None or fewest is not spanned:
            few = query.reachable(conn) if fewest is None else query.listed(conn, fewest)
            if few is not None:
                return _of_few(conn, few, keys, after, limit)
    if keys[0].kind in ("id", "revision"):
        return _page(conn, query.along(conn), _terms(keys), after, limit)
    rows = [] if walk is None else _rows(conn, walk.page(after, limit))
    if len(rows) < limit and spanned is None:
        behind = after[1:] if after is not None and after[0] is None else None
        rows += _without_value(conn, query, keys, behind, limit - len(rows))
    return rows


def _spanned(query: Query, key: SortKey) -> Condition | None:
    """The condition that is a span of the key's own look-up, if there is one."""
    if key.kind != "date":
        return None
    spans = (one for one in query.conditions if one.span is not None)
    return next((one for one in spans if one.span and one.span.param == key.param), None)


def _of_few(
    conn: Connection, few: Sql, keys: Sequence[SortKey], after: Place | None, limit: int
) -> list[Row]:
    at, visit = _LISTED, ""
    if any(key.kind == "revision" for key in keys):
        at, visit = _VERSIONS, visiting(conn, "d.version_pk")
    source = wrap("FROM (", few, f") d {visit} WHERE 1 = 1")
    return _page(conn, source, _terms(keys, at), after, limit, at)


def places_of(conn: Connection, keys: Sequence[SortKey], rows: Sequence[Row]) -> list[Place]:
    """For each row, where a page ends whose last row it is."""
    if not rows:
        return []
    listed = join(", ", (Sql("v.pk"), *(term.value for term in _terms(keys))))
    marks = ", ".join("?" * len(rows))
    text = f"SELECT {listed.text} FROM resource_version v WHERE v.pk IN ({marks})"  # noqa: S608
    found = run(conn, Sql(text, (*listed.values, *(row.pk for row in rows))))
    places = {row[0]: tuple(row[1:]) for row in found}
    return [places[row.pk] for row in rows]


class _Walk:
    """Along the index of the first key, where each version is met at its first value; within a span
    of the index if there is one."""

    def __init__(
        self, conn: Connection, query: Query, keys: Sequence[SortKey], spanned: Condition | None
    ) -> None:
        self._conn = conn
        table, column = _COLUMNS[keys[0].kind]
        self._value = f"t.{column}"
        self._way = " DESC" if keys[0].descending else ""
        self._beyond = "<" if keys[0].descending else ">"
        self._behind_ties = _terms(keys[1:], _WALKED)
        self._by_ids = len(keys) == 1
        once = (
            f"t.n = (SELECT k.n FROM {table} k WHERE k.version_pk = t.version_pk AND k.param = ?"  # noqa: S608
            f" ORDER BY k.{column}{self._way}, k.n LIMIT 1)"
        )
        spans: tuple[Sql, ...] = (Sql(once, (keys[0].param,)),)
        if spanned is not None and spanned.span is not None:
            spans, query = spanned.span.parts, query.without(spanned)
        source, tests = f"FROM {table} t", list[Sql]()
        if not query.unconditional:
            source += f" {visiting(conn, 't.version_pk')}"
            tests.append(query.where(conn))
        owner = (query.tenant, query.type, keys[0].param)
        head = " WHERE t.tenant = ? AND t.type = ? AND t.param = ?"
        valid = valid_parts(query.revision, by_value=table == "index_reference")
        self._parts = [
            join(" AND ", (join("", (Sql(f"{source}{head}", owner), part)), span, *tests))
            for span in spans
            for part in valid
        ]
        untested = join("", (Sql(f"FROM {table} t{head}", owner), valid[0]))
        self._untested = join(" AND ", (untested, *(() if spanned is None else spans[:1])))

    def near_page(self, after: Place | None, limit: int) -> list[int] | None:
        """Keys of the next versions, if they are among the first so many rows along the index."""
        rows = self._untested
        if after is not None:
            start = Sql(f"{self._value} {self._beyond}= ?", (after[0],))
            rows = join(" AND ", (rows, start))
        text = (
            f"SELECT {self._value} {rows.text} ORDER BY {self._value}{self._way} LIMIT 1 OFFSET ?"
        )
        last = run(self._conn, Sql(text, (*rows.values, FIRST_STEPS)))
        if not last:
            return None
        before = Sql(f"{self._value} {'>' if self._way else '<'} ?", (last[0][0],))
        every = self._parts
        self._parts = [join(" AND ", (part, before)) for part in every]
        found = self.page(after, limit)
        self._parts = every
        return found if len(found) == limit else None

    def page(self, after: Place | None, limit: int) -> list[int]:
        """Keys of the next versions."""
        if after is None:
            return self._from(None, limit)
        tied = Sql(f"{self._value} = ?", (after[0],))
        rest = _behind(self._behind_ties, after[1:])
        found = self._read(join(" AND ", (tied, rest)), self._behind_ties, limit)
        if len(found) < limit:
            beyond = Sql(f"{self._value} {self._beyond} ?", (after[0],))
            found += self._from(beyond, limit - len(found))
        return found

    def _from(self, bound: Sql | None, limit: int) -> list[int]:
        by_value = _Term(Sql(self._value), descending=bool(self._way))
        bounds = () if bound is None else (bound,)
        if self._by_ids and not self._way:
            return self._read(bound, (by_value, *self._behind_ties), limit)
        values = self._read(bound, (by_value,), limit, self._value)
        if not values:
            return []
        before = Sql(f"{self._value} {'>' if self._way else '<'} ?", (values[-1],))
        found: list[int] = []
        if values[0] != values[-1]:
            terms = (by_value, *self._behind_ties)
            found = self._read(join(" AND ", (*bounds, before)), terms, limit)
        tied = Sql(f"{self._value} = ?", (values[-1],))
        return found + self._read(tied, self._behind_ties, limit - len(found))

    def _read(
        self, bound: Sql | None, terms: Sequence[_Term], limit: int, what: str = "t.version_pk"
    ) -> list[Any]:
        parts = []
        names = [f"k{number}" for number in range(len(terms))]
        values = [
            Sql(f"{term.value.text} AS {name}", term.value.values)
            for term, name in zip(terms, names, strict=True)
        ]
        columns = join(", ", (Sql(f"{what} AS found"), *values))
        order = join(", ", [part for term in terms for part in _ordering(term)])
        for source in self._parts:
            where = source if bound is None else join(" AND ", (source, bound))
            text = f"SELECT {columns.text} {where.text} ORDER BY {order.text} LIMIT ?"
            marked = (*columns.values, *where.values, *order.values, limit)
            parts.append(Sql(f"SELECT * FROM ({text}) p", marked))  # noqa: S608
        merged = [
            term._replace(value=Sql(f"u.{name}")) for term, name in zip(terms, names, strict=True)
        ]
        last = join(", ", [part for term in merged for part in _ordering(term)])
        union = join(" UNION ALL ", parts)
        text = f"SELECT found FROM ({union.text}) u ORDER BY {last.text} LIMIT ?"  # noqa: S608
        return [row[0] for row in run(self._conn, Sql(text, (*union.values, limit)))]


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
    return _page(conn, rest.along(conn), _terms(keys[1:]), after, limit)


def _page(
    conn: Connection,
    source: Sql,
    terms: Sequence[_Term],
    after: Place | None,
    limit: int,
    at: _At = _VERSIONS,
) -> list[Row]:
    if after is not None:
        source = join(" AND ", (source, _behind(terms, after)))
    order = join(", ", [part for term in terms for part in _ordering(term)])
    text = f"SELECT {at.pk} {source.text} ORDER BY {order.text} LIMIT ?"
    found = run(conn, Sql(text, (*source.values, *order.values, limit)))
    return _rows(conn, [row[0] for row in found])


def _rows(conn: Connection, pks: Sequence[int]) -> list[Row]:
    """The versions, in this order."""
    if not pks:
        return []
    marks = ", ".join("?" * len(pks))
    bodies = f"SELECT {ROW_NAMES} FROM resource_version WHERE pk IN ({marks})"  # noqa: S608
    found = {row[0]: Row._make(row) for row in run(conn, Sql(bodies, tuple(pks)))}
    return [found[pk] for pk in pks]


def _terms(keys: Sequence[SortKey], at: _At = _VERSIONS) -> list[_Term]:
    """The keys, then the id."""
    return [*(_term(key, at) for key in keys), _Term(Sql(at.id))]


def _term(key: SortKey, at: _At) -> _Term:
    if key.kind == "id":
        return _Term(Sql(at.id), key.descending)
    if key.kind == "revision":
        return _Term(Sql(at.revision), key.descending)
    table, column = _COLUMNS[key.kind]
    end = "max" if key.descending else "min"
    value = f"SELECT {end}(k.{column}) FROM {table} k WHERE k.version_pk = {at.pk} AND k.param = ?"  # noqa: S608
    return _Term(Sql(f"({value})", (key.param,)), key.descending, nullable=True)


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
