"""Rows of the index tables and of the compartments as conditions on a version.

A look-up holds what is valid still apart from what has ended: the first lies by value and id, and a
page of it is read from neighbours; of the second, a revision of now has nothing and one of a moment
ago little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from fhir_facade.mirror.sql import Condition, Sql, Walk, exists, join, wrap
from fhir_facade.mirror.tables import CATEGORY_PARAM, IS_CATEGORY, OPEN

FEW_WAYS = 10
"""So many values are walked along side by side; rows of more are met along the ids."""


class Scope(NamedTuple):
    """Where a search looks: a type of a tenant at a revision, on the database behind `conn`; with
    `at_any_time` at all its versions."""

    conn: Connection
    tenant: str
    type: str
    revision: int
    at_any_time: bool = False

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.conn.dialect.name


def indexed(
    table: str, param: str, wanted: Sql | None, scope: Scope, ways: Sequence[Sql] = ()
) -> Condition:
    """The condition that the version has a row `t` in an index table, of this parameter and as
    `wanted` says; `ways` are the single values that it names, if it does nothing else."""
    given = Sql("", ()) if wanted is None else wrap(" AND ", wanted, "")
    here = f"SELECT 1 FROM {table} t WHERE t.version_pk = v.pk AND t.param = ?{given.text}"  # noqa: S608
    listed = [
        wrap(f"SELECT t.version_pk, t.id FROM {table} t WHERE ", where, "")  # noqa: S608
        for where in _looked_up(param, given, scope)
    ]
    walks = [
        Walk(f"{table} t", where)
        for way in ways
        for where in _looked_up(param, wrap(" AND ", way, ""), scope)
    ]
    return Condition(
        test=exists(Sql(here, (param, *given.values)), scope.dialect),
        rows=join(" UNION ALL ", listed),
        exact=True,
        # A tombstone keeps its categories and nothing else.
        living=param != CATEGORY_PARAM and not scope.at_any_time,
        walks=tuple(walks) if len(ways) <= FEW_WAYS and not scope.at_any_time else (),
    )


def _looked_up(param: str, given: Sql, scope: Scope) -> list[Sql]:
    """The conditions that lead to the rows `t` of a parameter by its look-up, each to a part."""
    if scope.at_any_time:
        # Categories alone are asked for so, and have a look-up for it.
        text = f"t.tenant = ? AND t.type = ? AND t.{IS_CATEGORY}{given.text}"
        return [Sql(text, (scope.tenant, scope.type, *given.values))]
    head = "t.tenant = ? AND t.type = ? AND t.param = ?"
    return [
        Sql(
            f"{head}{valid.text}{given.text}",
            (scope.tenant, scope.type, param, *valid.values, *given.values),
        )
        for valid in valid_parts(scope.revision)
    ]


def compartments(
    scope: Scope, wanted: Sql, listing: str = "compartment t", listed: Sql | None = None
) -> Condition:
    """The condition that a row `t` of the version's compartments is as wanted. `listing`: the
    tables to list such rows from, which on SQLite is the order of the look-ups, where they pass
    `listed`; without them what is wanted is one patient, or several."""
    valid = valid_at(scope)
    head = "t.tenant = ? AND t.type = ?"
    here = "SELECT 1 FROM compartment t WHERE t.version_pk = v.pk AND "
    all_of_them = f"SELECT t.version_pk, t.id FROM {listing} WHERE {head}{valid.text} AND "  # noqa: S608
    return Condition(
        test=exists(wrap(here, wanted, ""), scope.dialect),
        rows=join(
            "", (Sql(all_of_them, (scope.tenant, scope.type, *valid.values)), listed or wanted)
        ),
        exact=True,
    )


def valid_at(scope: Scope) -> Sql:
    """` AND …`: that rows `t` of an index or compartment table are of versions the scope looks
    at."""
    if scope.at_any_time:
        return Sql("")
    text = " AND t.to_revision > ? AND t.from_revision <= ?"
    return Sql(text, (scope.revision, scope.revision))


def valid_parts(revision: int, *, by_value: bool = False) -> tuple[Sql, ...]:
    """` AND …`: that rows `t` of an index table are valid at the revision, in two parts, each a
    place in the look-ups: what is valid still, and what has ended since, which is little.
    `by_value`: in one, for the look-up of references, which has the value before the end."""
    ends, begun = " AND t.to_revision", " AND t.from_revision <= ?"
    if by_value:
        return (Sql(f"{ends} > ?{begun}", (revision, revision)),)
    return (
        Sql(f"{ends} = {OPEN}{begun}", (revision,)),
        Sql(f"{ends} > ?{ends} < {OPEN}{begun}", (revision, revision)),
    )
