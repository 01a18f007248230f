"""Which way a query goes: along the ids, testing each row, or from the few rows that one of its
conditions lists.

The conditions are asked how many rows they list, which stops at a small number. SQLite keeps no
figures to decide by; those of PostgreSQL mislead it, and the tables grow between two looks at them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from fhir_facade.mirror.sql import ALWAYS, Condition, Sql, Walk, join, run, unindexed, wrap
from fhir_facade.mirror.tables import OPEN
from fhir_facade.mirror.versions import ROW_NAMES, Row

FEW_ROWS = 4_000
"""Up to so many listed rows are visited one by one and sorted; more are met along the ids, soon
enough to fill a page of a type with a million rows."""
SOME_ROWS = 20_000
"""Up to so many are visited where rows along another order are tested each, and may all be far."""
_RARER_TOGETHER = 5
"""Rows that must pass several conditions are met less often, so so many times more are visited."""
_HANDFUL = 200
"""What lists up to so many is found without counting the others to the end."""
_ENOUGH = 20
"""A list as short as this needs no comparing with others."""
FIRST_STEPS = 2_000
"""Rows along an order that are tried before a longer list is visited."""
_PAGES_LISTED = 20
"""From so many pages' worth of listed rows on, a page is likely to be filled by a part of the steps
that visiting them all would take."""
_PART_OF_LIST = 4


_LIVING = (Sql("v.deleted = false"),)


class Query(NamedTuple):
    """Rows of a type that are valid at a revision and pass all conditions. `bounds` are further
    conditions on `v`, of its own columns; `after` is the id that the rows come after."""

    tenant: str
    type: str
    revision: int
    conditions: tuple[Condition, ...]
    bounds: tuple[Sql, ...] = _LIVING
    after: str | None = None

    def matches(self, conn: Connection) -> Sql:
        """`FROM … WHERE …`, with `v` as the version, for a query that is run page after page."""
        return self._by(conn, shortest(conn, self._restricting(), FEW_ROWS))

    def total(self, conn: Connection, at_most: int | None) -> int:
        """How many rows there are; counting stops at `at_most`."""
        only = self._only()
        if only is not None and only.rows is not None and self.after is None:
            listed = only.rows
            if only.span is None:
                listed = wrap("SELECT DISTINCT version_pk FROM (", listed, ") z")
            return _listed(conn, listed, OPEN if at_most is None else at_most)
        few = shortest(conn, self._restricting(), FEW_ROWS)
        matches = self._by(conn, few or self._longer_list(conn))
        counting = Sql(f"SELECT count(*) {matches.text}", matches.values)
        if at_most is not None:
            some = f"SELECT 1 AS one {matches.text} LIMIT ?"
            counting = Sql(f"SELECT count(*) FROM ({some}) s", (*matches.values, at_most))  # noqa: S608
        counted: int = run(conn, counting)[0][0]
        return counted

    def page(self, conn: Connection, limit: int) -> list[Row]:
        """The first rows by id."""
        restricting = self._restricting()
        if len(restricting) == 1 and restricting[0].walks:
            return self._walked(conn, restricting[0], limit)
        few, listed = _shortest_of(conn, restricting, FEW_ROWS)
        longer = few is None and len(restricting) > 1
        visited = few is not None and not self._decides(few)
        steps = FIRST_STEPS if longer else listed // _PART_OF_LIST
        if longer or (visited and listed > _PAGES_LISTED * limit):
            page = self._near_page(conn, limit, steps)
            if page is not None:
                return page
        if longer:
            few = self._longer_list(conn)
        if few is None:
            walked = next((one for one in restricting if one.walks), None)
            if walked is None:
                return self._along_ids(conn, limit)
            return self._walked(conn, walked, limit)
        return self._sorted(conn, few, limit)

    def few(self, conn: Connection) -> Sql | None:
        """`SELECT … version_pk, id` of all rows, starting from a condition that lists few; None
        without one."""
        few = self.fewest(conn)
        return None if few is None else self.listed(conn, few)

    def fewest(self, conn: Connection) -> Condition | None:
        """The condition that lists the fewest rows, if those are few."""
        return shortest(conn, self._restricting(), FEW_ROWS)

    def reachable(self, conn: Connection) -> Sql | None:
        """As `few`, starting from what the first condition lists, the reach, if that is not too
        much; None otherwise. Along another order than by id, a group's rows may all be far."""
        reach = tuple(condition for condition in self.conditions[:1] if condition != ALWAYS)
        some = shortest(conn, reach, SOME_ROWS)
        return None if some is None else self.listed(conn, some)

    def along(self, conn: Connection) -> Sql:
        """`FROM … WHERE …` that tests each row."""
        return self._by(conn, None)

    def keys(self, conn: Connection, limit: int) -> list[tuple[str, str]]:
        """(type, id) of the first rows by id."""
        matches = self.matches(conn)
        text = f"SELECT v.type, v.id {matches.text} ORDER BY v.id LIMIT ?"
        return [(row[0], row[1]) for row in run(conn, Sql(text, (*matches.values, limit)))]

    def _only(self) -> Condition | None:
        """The condition that lists all rows and none beside them, if one does."""
        restricting = self._restricting()
        if len(restricting) != 1 or not self._decides(restricting[0]):
            return None
        return restricting[0]

    def _decides(self, driver: Condition) -> bool:
        """Whether what a condition lists need not be looked at again, but for the ids."""
        alone = self._restricting() == (driver,) and self.bounds == _LIVING
        return alone and driver.exact and driver.living

    def only(self, condition: Condition) -> bool:
        """Whether there is no other condition."""
        return self._restricting() == (condition,)

    def without(self, condition: Condition) -> Query:
        """All that meets the others."""
        rest = tuple(one for one in self.conditions if one is not condition)
        return self._replace(conditions=rest)

    @property
    def unconditional(self) -> bool:
        """Whether every living row meets the conditions."""
        return not self._restricting() and self.bounds == _LIVING

    def _restricting(self) -> tuple[Condition, ...]:
        return tuple(condition for condition in self.conditions if condition != ALWAYS)

    def _longer_list(self, conn: Connection) -> Condition | None:
        restricting = self._restricting()
        if len(restricting) < 2:
            return None
        return shortest(conn, restricting, FEW_ROWS * _RARER_TOGETHER)

    def _near_page(self, conn: Connection, limit: int, steps: int) -> list[Row] | None:
        """The page, if the first steps along the ids fill it."""
        start = "" if self.after is None else self.after
        text = (
            "SELECT id FROM resource_version WHERE tenant = ? AND type = ? AND id > ?"
            " AND to_revision > ? ORDER BY id LIMIT 1 OFFSET ?"
        )
        values = (self.tenant, self.type, start, self.revision, steps)
        last = run(conn, Sql(text, values))
        if not last:
            return None
        near = Sql("v.id <= ?", (last[0][0],))
        rows = self._replace(bounds=(*self.bounds, near))._along_ids(conn, limit)
        return rows if len(rows) == limit else None

    def _along_ids(self, conn: Connection, limit: int) -> list[Row]:
        """Rows met in the order of their ids: nothing is sorted, no row too many is read."""
        matches = self._by(conn, None)
        text = f"SELECT {ROW_NAMES} {matches.text} ORDER BY v.id LIMIT ?"
        return [Row._make(row) for row in run(conn, Sql(text, (*matches.values, limit)))]

    def _walked(self, conn: Connection, driver: Condition, limit: int) -> list[Row]:
        """The page from where rows of the condition lie by id, a part of a page from each place."""
        parts = []
        for walk in driver.walks:
            source, where = self._visited(conn, walk, driver)
            part = f"SELECT DISTINCT t.id, t.version_pk FROM {source} WHERE {where.text}"  # noqa: S608
            part = f"SELECT id, version_pk FROM ({part} ORDER BY t.id LIMIT ?) p"  # noqa: S608
            parts.append(Sql(part, (*where.values, limit)))
        return _bodies(conn, join(" UNION ", parts), limit)

    def _visited(self, conn: Connection, walk: Walk, driver: Condition) -> tuple[str, Sql]:
        """A walk behind `after`, with its versions as `v` where something is left to be tested."""
        after = () if self.after is None else (Sql("t.id > ?", (self.after,)),)
        if self._decides(driver):
            return walk.source, join(" AND ", (walk.where, *after))
        tests = self._replace(after=None).where(conn, driver)
        source = f"{walk.source} {visiting(conn, 't.version_pk')}"
        return source, join(" AND ", (walk.where, *after, tests))

    def _sorted(self, conn: Connection, driver: Condition, limit: int) -> list[Row]:
        """The page of what a condition lists: cut on keys alone, and only its bodies are read."""
        return _bodies(conn, self.listed(conn, driver), limit)

    def listed(self, conn: Connection, driver: Condition) -> Sql:
        """`SELECT … id, version_pk` of all rows, starting from a condition."""
        if driver.rows is not None and self._decides(driver):
            after = Sql("") if self.after is None else Sql(" WHERE x.id > ?", (self.after,))
            distinct = wrap("SELECT DISTINCT x.id, x.version_pk FROM (", driver.rows, ") x")
            return join("", (distinct, after))
        matches = self._by(conn, driver)
        return Sql(f"SELECT v.id, v.pk AS version_pk {matches.text}", matches.values)

    def _by(self, conn: Connection, driver: Condition | None) -> Sql:
        source = Sql("FROM resource_version v")
        if driver is not None and driver.rows is not None:
            source = from_list(conn, driver.rows)
        where = self.where(conn, driver)
        return Sql(f"{source.text} WHERE {where.text}", (*source.values, *where.values))

    def where(self, conn: Connection, driver: Condition | None = None) -> Sql:
        """The conditions on `v`, without those that `driver` lists exactly."""
        valid = Sql(
            "v.tenant = ? AND v.type = ? AND v.to_revision > ?"
            f" AND {unindexed('v.from_revision', conn)} <= ?",
            (self.tenant, self.type, self.revision, self.revision),
        )
        after = () if self.after is None else (Sql("v.id > ?", (self.after,)),)
        tests = [c.test for c in self._restricting() if c is not driver or not c.exact]
        return join(" AND ", (valid, *after, *self.bounds, *tests))


def from_list(conn: Connection, listing: Sql) -> Sql:
    """`FROM …`: the listed versions as `v`, visited one by one."""
    distinct = f"FROM (SELECT DISTINCT version_pk FROM ({listing.text}) x) d"  # noqa: S608
    return Sql(f"{distinct} {visiting(conn, 'd.version_pk')}", listing.values)


def visiting(conn: Connection, pk: str) -> str:
    """Behind a source of versions: each as `v`, in the order of the source."""
    if conn.dialect.name == "sqlite":
        return f"CROSS JOIN resource_version v ON v.pk = {pk}"
    # Which keeps PostgreSQL to the order, as SQLite keeps to that of any CROSS JOIN.
    each = f"SELECT * FROM resource_version WHERE pk = {pk} OFFSET 0"  # noqa: S608
    return f"CROSS JOIN LATERAL ({each}) v"


def _bodies(conn: Connection, listing: Sql, limit: int) -> list[Row]:
    """The first of the listed versions by id."""
    page = f"SELECT version_pk FROM ({listing.text}) l ORDER BY id LIMIT ?"  # noqa: S608
    text = f"SELECT {ROW_NAMES} FROM resource_version WHERE pk IN ({page}) ORDER BY id"  # noqa: S608
    return [Row._make(row) for row in run(conn, Sql(text, (*listing.values, limit)))]


def shortest(conn: Connection, conditions: Sequence[Condition], most: int) -> Condition | None:
    """The condition that lists the fewest rows, if those are at most so many."""
    return _shortest_of(conn, conditions, most)[0]


def _shortest_of(
    conn: Connection, conditions: Sequence[Condition], most: int
) -> tuple[Condition | None, int]:
    """The same, and how many rows it lists. Of several, all are asked for a handful first, reaches
    before others, as they stand in front; what lists many is counted only when all of them do, and
    then the reach last, as that of a group takes long to count."""
    listing = [(one, one.rows) for one in conditions if one.rows is not None]
    if len(listing) > 1 and most > _HANDFUL:
        best, fewest = _fewest_of(conn, listing, _HANDFUL)
        if best is not None:
            return best, fewest
    return _fewest_of(conn, listing[::-1], most)


def _fewest_of(
    conn: Connection, listing: Sequence[tuple[Condition, Sql]], most: int
) -> tuple[Condition | None, int]:
    best: Condition | None = None
    fewest = most + 1
    for condition, rows in listing:
        listed = _listed(conn, rows, fewest)
        if listed < fewest:
            best, fewest = condition, listed
        if fewest <= _ENOUGH:
            break
    return best, fewest


def _listed(conn: Connection, listing: Sql, at_most: int) -> int:
    """How many rows a listing has, counted up to `at_most`."""
    text = f"SELECT count(*) FROM (SELECT 1 FROM ({listing.text}) x LIMIT ?) y"  # noqa: S608
    counted: int = run(conn, Sql(text, (*listing.values, at_most)))[0][0]
    return counted
