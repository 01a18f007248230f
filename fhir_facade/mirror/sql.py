"""SQL text with its values, for queries that are put together anew for each request.

A search is one of endlessly many shapes, and building it as an expression tree costs several times
what the database needs to answer. Text here is only ever made of constants of this package; every
value is bound. `?` marks a value, on both databases.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection

from fhir_facade.fhir import json
from fhir_facade.mirror.fetch import fetch
from fhir_facade.resources.extract import storable

_FEW_VALUES = 100
_GROUP = 50


class Sql(NamedTuple):
    """Text with `?` marks and a value for each."""

    text: str
    values: tuple[Any, ...] = ()


class Walk(NamedTuple):
    """Rows of the alias `t` that lie in the order of their ids, or are few: what ended since."""

    source: str
    where: Sql


class Span(NamedTuple):
    """A condition as ranges of the look-up of a parameter that comes once in each resource: `parts`
    are conditions on a row `t`, of which it meets one at most."""

    param: str
    parts: tuple[Sql, ...]


class Condition(NamedTuple):
    """A condition on the alias `v` of `resource_version`.

    `test` decides on one row of `v`. `rows`, where there is such a query, lists the versions that
    can pass it, as `version_pk` and `id`; `walks` lead to the same in the order of ids. `exact`
    says that all of them do, `living` that no tombstone nor version of another revision is among
    them. `span` leads to the same in the order of values.
    """

    test: Sql
    rows: Sql | None = None
    exact: bool = False
    living: bool = False
    walks: tuple[Walk, ...] = ()
    span: Span | None = None


ALWAYS = Condition(Sql("1 = 1"))
NEVER = Condition(Sql("1 = 0"))


def join(separator: str, parts: Iterable[Sql]) -> Sql:
    """The parts with a separator in between."""
    listed = list(parts)
    text = separator.join([part.text for part in listed])
    return Sql(text, tuple(chain.from_iterable([part.values for part in listed])))


def wrap(before: str, part: Sql, after: str = ")") -> Sql:
    """A part between two texts."""
    return Sql(f"{before}{part.text}{after}", part.values)


def any_of(parts: Sequence[Sql]) -> Sql:
    """At least one of the parts; none of no parts. Many are put together in groups: SQLite reads
    each OR as a level of its own, and takes a thousand levels."""
    if len(parts) == 1:
        return parts[0]
    if len(parts) > _GROUP:
        groups = range(0, len(parts), _GROUP)
        return any_of([any_of(parts[start : start + _GROUP]) for start in groups])
    return wrap("(", join(" OR ", parts)) if parts else NEVER.test


def either(conditions: Sequence[Condition]) -> Condition:
    """At least one of the conditions; never for none."""
    if not conditions:
        return NEVER
    if len(conditions) == 1:
        return conditions[0]
    rows = [condition.rows for condition in conditions if condition.rows is not None]
    listed = join(" UNION ALL ", rows) if len(rows) == len(conditions) else None
    exact = all(condition.exact for condition in conditions)
    return Condition(any_of([condition.test for condition in conditions]), listed, exact)


def both(first: Condition, second: Condition) -> Condition:
    """Both conditions; either of them may list the rows."""
    if first == ALWAYS:
        return second
    if second in (ALWAYS, first):
        return first
    test = wrap("(", join(" AND ", (first.test, second.test)))
    return Condition(test, first.rows or second.rows)


def one_of(column: str, values: Iterable[str], dialect: str) -> Sql:
    """Whether a column holds one of the values, however many they are."""
    wanted = sorted({storable(value) for value in values})
    if not wanted:
        return NEVER.test
    if len(wanted) <= _FEW_VALUES:
        marks = ", ".join("?" * len(wanted))
        return Sql(f"{column} IN ({marks})", tuple(wanted))
    if dialect == "postgresql":
        return Sql(f"{column} = ANY(?)", (wanted,))
    # More values than a statement may have marks.
    each = f"{column} IN (SELECT value FROM json_each(?))"  # noqa: S608 - a column of ours
    return Sql(each, (json.dumps(wanted).decode(),))


def exists(part: Sql, dialect: str) -> Sql:
    """That a query which hangs on the row has an answer, asked row by row: PostgreSQL turns others
    into joins of whole tables, as its estimates take tenant, type and value to be independent."""
    return wrap("EXISTS (", part, ")" if dialect == "sqlite" else " OFFSET 0)")


def unindexed(column: str, conn: Connection) -> str:
    """The column, so spelled that SQLite does not take its index for the way in."""
    return f"+{column}" if conn.dialect.name == "sqlite" else column


def run(conn: Connection, sql: Sql) -> list[tuple[Any, ...]]:
    """All rows of a query, plain (see `fetch`)."""
    return fetch(conn, sql.text, sql.values)
