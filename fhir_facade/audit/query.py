"""Asking the audit trail: rows by what they say, newest first, page by page.

Conditions are plain values, so that rooms that know no SQL may ask. Keys follow time, so a page is
one walk along an index of the tenant, of a client, a user, a resource or a patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    union,
)
from sqlalchemy.engine import Engine

from fhir_facade.audit.store import key_at
from fhir_facade.audit.tables import audit_event, audit_patient

Column = Literal[
    "action", "outcome", "client_id", "user_id", "type", "interaction", "resource_id", "status",
    "correlation_id", "actor", "fhir_user", "job_id", "revision", "step", "pk", "patients", "query",
]  # fmt: skip
"""The columns that can be asked for."""


class AuditRow(NamedTuple):
    """One row of the trail. `recorded_us` is in microseconds UTC; the other members are those of
    `log.AccessRow`."""

    pk: int
    recorded_us: int
    tenant: str
    action: str
    outcome: str
    client_id: str | None
    user_id: str | None
    patients: str
    type: str | None
    interaction: str | None
    resource_id: str | None
    status: int | None
    reason: str | None
    correlation_id: str | None
    actor: str | None
    fhir_user: str | None
    query: str | None
    job_id: str | None
    revision: int | None
    step: str | None
    error: str | None
    text: str | None
    expected: str | None
    received: str | None

    @property
    def patient_ids(self) -> tuple[str, ...]:
        """The patients whose data the act touched."""
        return tuple(self.patients.split("\n")) if self.patients else ()


@dataclass(frozen=True)
class Among:
    """The column has one of the values."""

    column: Column
    values: tuple[str | int, ...]


@dataclass(frozen=True)
class Present:
    """The column has a value."""

    column: Column


@dataclass(frozen=True)
class Begins:
    """The column's value begins so; `text` holds no `%` and no `_`."""

    column: Column
    text: str


@dataclass(frozen=True)
class Recorded:
    """Recorded in the half-open interval, microseconds UTC; None is open."""

    from_us: int | None = None
    to_us: int | None = None


@dataclass(frozen=True)
class Revisions:
    """An export that read a revision from `first` until before `end`."""

    first: int
    end: int


@dataclass(frozen=True)
class OfPatients:
    """The act touched data of one of the patients."""

    ids: tuple[str, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one holds; none of nothing."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class AllOf:
    """All hold."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    """It does not hold, or the column has no value."""

    condition: Condition


Condition = Among | Present | Begins | Recorded | Revisions | OfPatients | AnyOf | AllOf | Not


@dataclass(frozen=True)
class AuditQuery:
    """Rows of a tenant for which all conditions hold: at most `limit`, behind the key `after`."""

    tenant: str
    conditions: tuple[Condition, ...] = ()
    after: int | None = None
    limit: int = 50
    oldest_first: bool = False


_e, _p = audit_event.c, audit_patient.c
_COLUMNS = tuple(getattr(_e, name) for name in AuditRow._fields)
# Spelled as in the indexes: SQLite uses a partial index only for what says the same.
_FAILED = literal_column("audit_event.outcome") != literal_column("'success'")


_WALKED: frozenset[Column] = frozenset(
    {"client_id", "user_id", "fhir_user", "actor", "action", "interaction", "resource_id"}
)
"""Columns with an index in the order of keys: one value of them is one walk."""
_NAMING: frozenset[Column] = frozenset(
    {"client_id", "user_id", "fhir_user", "actor", "resource_id", "correlation_id", "pk"}
)
"""Columns that name somebody or something."""
_MOST_WALKS = 40


class Trail:
    """The rows that are written, to be read."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, query: AuditQuery) -> list[AuditRow]:
        """One page, newest first unless the query says otherwise; the key of its last row is the
        `after` of the next."""
        with self._engine.connect() as connection:
            found = [
                [AuditRow._make(row) for row in connection.execute(statement(walk))]
                for walk in walks(query)
            ]
        if len(found) == 1:
            return found[0]
        rows = {row.pk: row for page in found for row in page}
        order = sorted(rows, reverse=not query.oldest_first)
        return [rows[key] for key in order[: query.limit]]

    def count(self, query: AuditQuery, at_most: int | None = None) -> int:
        """How many rows there are in all; counting stops at `at_most`. `after` and `limit` do not
        matter."""
        keys = [_matching(walk, (_e.pk,)).limit(at_most) for walk in walks(query)]
        # Each walk within a query of its own, so that its limit stops it.
        rows = keys[0] if len(keys) == 1 else union(*(select(one.subquery()) for one in keys))
        with self._engine.connect() as connection:
            counted = select(func.count()).select_from(rows.subquery())
            found = connection.execute(counted).scalar_one()
        return found if at_most is None else min(found, at_most)

    def get(self, tenant: str, key: int) -> AuditRow | None:
        """One row by its key."""
        found = self.find(AuditQuery(tenant, (Among("pk", (key,)),), limit=1))
        return found[0] if found else None


def walks(query: AuditQuery) -> list[AuditQuery]:
    """The query as several, each of which walks along one index and stops at a full page: a
    database asked for alternatives would collect all of them before it sorts.

    Of several conditions the one that names somebody or something leads; the rest are looked at on
    the way.
    """
    conditions = query.conditions
    ways = {place: _alternatives(one) for place, one in enumerate(conditions)}
    leading = [place for place in ways if _names_one(conditions[place])] or list(ways)
    if any(len(ways[place]) == 1 and _names_one(conditions[place]) for place in leading):
        return [query]
    for place in leading:
        if 1 < len(ways[place]) <= _MOST_WALKS:
            rest = conditions[:place] + conditions[place + 1 :]
            return [replace(query, conditions=(way, *rest)) for way in ways[place]]
    return [query]


def _names_one(condition: Condition) -> bool:
    """Whether few of all rows can meet it."""
    match condition:
        case OfPatients():
            return True
        case Among(column):
            return column in _NAMING
        case AllOf(conditions):
            return any(_names_one(one) for one in conditions)
        case AnyOf(conditions):
            return bool(conditions) and all(_names_one(one) for one in conditions)
        case _:
            return False


def _alternatives(condition: Condition) -> tuple[Condition, ...]:
    match condition:
        case AnyOf(conditions):
            return conditions
        case OfPatients(ids):
            return tuple(OfPatients((one,)) for one in dict.fromkeys(ids))
        case Among(column, values) if column in _WALKED:
            return tuple(Among(column, (value,)) for value in dict.fromkeys(values))
        case _:
            return (condition,)


def statement(query: AuditQuery) -> Select[Any]:
    """The query as SQL."""
    rows = _matching(query, _COLUMNS)
    key = _walked(query)
    if query.after is not None:
        rows = rows.where(key > query.after if query.oldest_first else key < query.after)
    return rows.order_by(key.asc() if query.oldest_first else key.desc()).limit(query.limit)


def _one_patient(query: AuditQuery) -> OfPatients | None:
    """The patient whose rows the page walks along."""
    single = (c for c in query.conditions if isinstance(c, OfPatients) and len(c.ids) == 1)
    return next(single, None)


def _walked(query: AuditQuery) -> ColumnElement[int]:
    return _e.pk if _one_patient(query) is None else _p.event_pk


def _matching(query: AuditQuery, columns: Iterable[Any]) -> Select[Any]:
    key = _walked(query)
    rows = select(*columns)
    leading = _one_patient(query)
    if leading is not None:
        rows = rows.join_from(audit_patient, audit_event, _e.pk == _p.event_pk)
        rows = rows.where(_p.tenant == query.tenant, _p.patient_id == leading.ids[0])
    rest = [condition for condition in query.conditions if condition is not leading]
    return rows.where(_e.tenant == query.tenant, *(_sql(one, query.tenant, key) for one in rest))


def _sql(condition: Condition, tenant: str, key: ColumnElement[int]) -> ColumnElement[bool]:
    match condition:
        case Among("outcome", values) if "success" not in values:
            return and_(_e.outcome.in_(values), _FAILED)
        case Among("action", values) if "rest" not in values:
            rest = literal_column("audit_event.action") != literal_column("'rest'")
            return and_(_in("action", values), rest)
        case Among(column, values):
            return _in(column, values)
        case Present(column):
            return _e[column].is_not(None)
        case Begins(column, begin):
            return _e[column].like(f"{begin}%")
        case Recorded(from_us, to_us):
            first = [] if from_us is None else [key >= key_at(from_us)]
            last = [] if to_us is None else [key < key_at(to_us)]
            return and_(true(), *first, *last)
        case Revisions(first, end):
            return and_(_e.revision >= first, _e.revision < end)
        case OfPatients(ids):
            theirs = select(_p.event_pk).where(_p.tenant == tenant, _p.patient_id.in_(ids))
            return _e.pk.in_(theirs)
        case AnyOf(conditions):
            return or_(false(), *(_sql(one, tenant, key) for one in conditions))
        case AllOf(conditions):
            return and_(true(), *(_sql(one, tenant, key) for one in conditions))
        case Not(inner):
            return not_(func.coalesce(_sql(inner, tenant, key), literal_column("FALSE")))


def _in(column: Column, values: Sequence[str | int]) -> ColumnElement[bool]:
    name = _e[column]
    return name == values[0] if len(values) == 1 else name.in_(values)
