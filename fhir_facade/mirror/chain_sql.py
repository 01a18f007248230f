"""Criteria on other resources: chained parameters and `_has` (R4 search.html#chaining, #has).

The reach is a condition on every resource on the way: what the principal may not search is as good
as not there.
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_facade.mirror.criteria import (
    ChainCriterion,
    Criterion,
    DateCriterion,
    DateValue,
    HasCriterion,
)
from fhir_facade.mirror.criteria_sql import condition, date_within, referring
from fhir_facade.mirror.index_sql import Scope
from fhir_facade.mirror.plan import Query
from fhir_facade.mirror.reach_sql import ReachScope, reached
from fhir_facade.mirror.sql import (
    NEVER,
    Condition,
    Sql,
    either,
    exists,
    one_of,
    run,
    unindexed,
    wrap,
)

_NOT_DELETED = Sql("v.deleted = false")
_VALID = (
    "t.tenant = ? AND t.type = ? AND t.param = ? AND t.target_type = ?"
    " AND t.to_revision > ? AND t.from_revision <= ?"
)


def conditions_within(
    criteria: Sequence[Criterion], within: ReachScope, now_us: int
) -> list[Condition]:
    """A condition for each criterion; one for all those on the same single date."""
    spans: dict[str, list[tuple[DateValue, ...]]] = {}
    others: list[Criterion] = []
    for criterion in criteria:
        match criterion:
            case DateCriterion(param, values, True):
                spans.setdefault(param, []).append(values)
            case _:
                others.append(criterion)
    dates = [
        date_within(param, span, within.scope, now_us, single=True) for param, span in spans.items()
    ]
    return [*dates, *(condition_within(other, within, now_us) for other in others)]


def condition_within(criterion: Criterion, within: ReachScope, now_us: int) -> Condition:
    """The condition that a version matches any criterion, those on other resources included.

    Inside a subquery `v` and `t` are those of the subquery: each level hides the one above, and
    refers to it only by the reference it hangs on.
    """
    match criterion:
        case ChainCriterion(param, targets):
            ways = [_chained(param, to, inner, within, now_us) for to, inner in targets]
            return either(ways)
        case HasCriterion(source, param, inner):
            return _having(source, param, inner, within, now_us)
        case _:
            return condition(criterion, within.scope, now_us)


def _chained(
    param: str, target: str, inner: Sequence[Criterion], within: ReachScope, now_us: int
) -> Condition:
    scope = within.scope
    wanted = _matching(target, inner, within, now_us)
    here = "SELECT 1 FROM index_reference t WHERE t.version_pk = v.pk AND t.param = ?"
    few = wanted.few(scope.conn)
    if few is None:
        hanging = wanted._replace(bounds=(_NOT_DELETED, Sql("v.id = t.target_id")))
        one = exists(wrap("SELECT 1 ", hanging.along(scope.conn), ""), scope.dialect)
        here = "SELECT 1 FROM index_reference t WHERE t.version_pk = v.pk AND t.param = ?"
        hop = Sql(f"{here} AND t.target_type = ? AND {one.text}", (param, target, *one.values))
        return Condition(exists(hop, scope.dialect))
    found = _column(scope, wrap("SELECT id FROM (", few, ") d"))
    return referring(param, [(target, one) for one in found], scope) if found else NEVER


def _having(
    source: str, param: str, inner: Sequence[Criterion], within: ReachScope, now_us: int
) -> Condition:
    scope = within.scope
    wanted = _matching(source, inner, within, now_us)
    valid = _valid(scope, source, param, scope.type)
    few = wanted.few(scope.conn)
    if few is None:
        hanging = wanted._replace(bounds=(_NOT_DELETED, Sql("v.pk = t.version_pk")))
        one = exists(wrap("SELECT 1 ", hanging.along(scope.conn), ""), scope.dialect)
        hop = Sql(
            f"SELECT 1 FROM index_reference t WHERE {_VALID}"  # noqa: S608
            f" AND t.target_id = v.id AND {one.text}",
            (*valid, *one.values),
        )
        return Condition(exists(hop, scope.dialect))
    # By version only: the look-up index would be gone through as a whole.
    referred = (
        "SELECT DISTINCT t.target_id FROM index_reference t WHERE t.param = ? AND t.target_type = ?"
    )
    source = f"{referred} AND t.version_pk IN (SELECT version_pk FROM ("  # noqa: S608
    listed = wrap(source, few, ") d)")
    found = _column(scope, Sql(listed.text, (param, scope.type, *few.values)))
    if not found:
        return NEVER
    named = one_of("w.id", found, scope.dialect)
    of_type = (
        "SELECT w.pk AS version_pk, w.id FROM resource_version w WHERE w.tenant = ? AND w.type = ?"
        " AND w.to_revision > ? AND"
    )
    rows = Sql(
        f"{of_type} {unindexed('w.from_revision', scope.conn)} <= ? AND {named.text}",
        (scope.tenant, scope.type, scope.revision, scope.revision, *named.values),
    )
    return Condition(one_of("v.id", found, scope.dialect), rows, exact=True)


def _column(scope: Scope, query: Sql) -> list[str]:
    """What a query that lists few rows finds. Asked at once and not as a part of the whole: the
    parser of SQLite takes queries within queries only to a depth that two steps go beyond."""
    return [str(row[0]) for row in run(scope.conn, query)]


def _valid(scope: Scope, source: str, param: str, target: str) -> tuple[str | int, ...]:
    return (scope.tenant, source, param, target, scope.revision, scope.revision)


def _matching(
    resource_type: str, criteria: Sequence[Criterion], within: ReachScope, now_us: int
) -> Query:
    """What of a type meets the criteria and may be searched."""
    scope = within.scope._replace(type=resource_type)
    inside = within._replace(scope=scope)
    conditions = conditions_within(criteria, inside, now_us)
    return Query(
        scope.tenant, resource_type, scope.revision, (reached(inside, ("s",)), *conditions)
    )
