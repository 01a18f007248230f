"""Which way a query goes: along the ids, testing each row, or from the few rows that one of its
conditions lists.

PostgreSQL decides by itself. SQLite keeps no figures that would let it, so the conditions are asked
how many rows they list, which stops at a small number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from fhir_facade.mirror.sql import ALWAYS, Condition, Sql, join, run, unindexed
from fhir_facade.mirror.versions import ROW_NAMES, Row

FEW_ROWS = 1_000
"""Up to so many listed rows are visited one by one and sorted; more are met along the ids."""
_ENOUGH = 20


class Query(NamedTuple):
    """Rows of a type that are valid at a revision and pass all conditions. `extra` is further
    conditions on `v`, of its own columns."""

    tenant: str
    type: str
    revision: int
    conditions: tuple[Condition, ...]
    extra: Sql = Sql("v.deleted = false")

    def matches(self, conn: Connection) -> Sql:
        """`FROM … WHERE …`, with `v` as the version."""
        conditions = [condition for condition in self.conditions if condition != ALWAYS]
        driver = _driver(conn, conditions)
        source = Sql("FROM resource_version v")
        if driver is not None and driver.rows is not None:
            source = Sql(
                f"FROM (SELECT DISTINCT version_pk FROM ({driver.rows.text})) d"  # noqa: S608
                " CROSS JOIN resource_version v ON v.pk = d.version_pk",
                driver.rows.values,
            )
        tests = [c.test for c in conditions if c is not driver or not c.exact]
        valid = Sql(
            "v.tenant = ? AND v.type = ? AND v.to_revision > ?"
            f" AND {unindexed('v.from_revision', conn)} <= ?",
            (self.tenant, self.type, self.revision, self.revision),
        )
        where = join(" AND ", (valid, self.extra, *tests))
        return Sql(f"{source.text} WHERE {where.text}", (*source.values, *where.values))


def rows(conn: Connection, query: Query, limit: int) -> list[Row]:
    """The first rows by id."""
    matches = query.matches(conn)
    # The page is cut on keys alone; only its own bodies are read.
    page = f"SELECT v.pk {matches.text} ORDER BY v.id LIMIT ?"
    text = f"SELECT {ROW_NAMES} FROM resource_version WHERE pk IN ({page}) ORDER BY id"  # noqa: S608
    return [Row._make(row) for row in run(conn, Sql(text, (*matches.values, limit)))]


def keys(conn: Connection, query: Query, limit: int) -> list[tuple[str, str]]:
    """(type, id) of the first rows by id."""
    matches = query.matches(conn)
    text = f"SELECT v.type, v.id {matches.text} ORDER BY v.id LIMIT ?"
    return [(row[0], row[1]) for row in run(conn, Sql(text, (*matches.values, limit)))]


def count(conn: Connection, query: Query, at_most: int | None) -> int:
    """How many rows there are; counting stops at `at_most`."""
    matches = query.matches(conn)
    if at_most is None:
        total = Sql(f"SELECT count(*) {matches.text}", matches.values)
    else:
        some = f"SELECT 1 AS one {matches.text} LIMIT ?"
        total = Sql(f"SELECT count(*) FROM ({some}) s", (*matches.values, at_most))  # noqa: S608
    counted: int = run(conn, total)[0][0]
    return counted


def _driver(conn: Connection, conditions: Sequence[Condition]) -> Condition | None:
    """The condition that lists the fewest rows, if those are few."""
    if conn.dialect.name != "sqlite":
        return None
    best: Condition | None = None
    fewest = FEW_ROWS + 1
    for condition in conditions:
        if condition.rows is None:
            continue
        listed = _listed(conn, condition.rows, fewest)
        if listed < fewest:
            best, fewest = condition, listed
        if fewest <= _ENOUGH:
            break
    return best


def _listed(conn: Connection, listing: Sql, at_most: int) -> int:
    """How many rows a listing has, counted up to `at_most`."""
    text = f"SELECT count(*) FROM (SELECT 1 FROM ({listing.text}) LIMIT ?)"  # noqa: S608
    counted: int = run(conn, Sql(text, (*listing.values, at_most)))[0][0]
    return counted
