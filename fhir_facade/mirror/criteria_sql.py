"""Criteria as SQL: each becomes a condition on an alias of `resource_version`, answered by an index
table at one revision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, Table, and_, false, func, not_, or_, select, true

from fhir_facade.fhir import json
from fhir_facade.mirror.criteria import (
    Criterion,
    DateCriterion,
    DateValue,
    IdCriterion,
    MissingCriterion,
    NothingCriterion,
    ReferenceCriterion,
    StringCriterion,
    TokenCriterion,
    TokenValue,
)
from fhir_facade.mirror.tables import (
    index_date,
    index_reference,
    index_string,
    index_token,
    revision_log,
)
from fhir_facade.resources.extract import FOLDED_LENGTH, fold, storable, token_key

Condition = ColumnElement[bool]
_INSTANT_WIDTH_US = 1_000
"""Instants are shown in whole milliseconds, so `_lastUpdated` names a millisecond."""
_TABLES = {
    "token": index_token,
    "string": index_string,
    "date": index_date,
    "reference": index_reference,
}


class Scope(NamedTuple):
    """Where a search looks. `correlated` asks the index once for every row, for criteria that match
    too many rows to list first. `now_us` is what `ap` measures from."""

    tenant: str
    type: str
    revision: int
    dialect: str
    now_us: int
    correlated: frozenset[Criterion] = frozenset()


def condition(criterion: Criterion, scope: Scope, version: Any) -> Condition:
    """The condition that `version`, the columns of an alias, matches the criterion."""
    match criterion:
        case IdCriterion(values):
            return listed(version.id, values, scope.dialect)
        case NothingCriterion():
            return false()
        case DateCriterion("_lastUpdated", dates):
            return or_(*(_last_updated(value, scope, version) for value in dates))
        case MissingCriterion(missing=missing):
            found = _among(index_rows(criterion, scope), criterion, scope, version)
            return not_(found) if missing else found
        case TokenCriterion(negated=True):
            return not_(_among(index_rows(criterion, scope), criterion, scope, version))
        case _:
            return _among(index_rows(criterion, scope), criterion, scope, version)


def index_rows(criterion: Criterion, scope: Scope) -> Select[Any]:
    """The index rows that answer the criterion, as `version_pk`; `:not` is left to the caller."""
    match criterion:
        case TokenCriterion(param, values):
            wanted = or_(*(_token(value) for value in values))
            return _at(index_token, param, scope).where(wanted)
        case StringCriterion(param, _, values):
            wanted = or_(*(_string(criterion.mode, value, scope.dialect) for value in values))
            return _at(index_string, param, scope).where(wanted)
        case DateCriterion(param, values):
            wanted = or_(*(_date(value, scope.now_us) for value in values))
            return _at(index_date, param, scope).where(wanted)
        case ReferenceCriterion(param, values):
            wanted = or_(*(_reference(*value) for value in values))
            return _at(index_reference, param, scope).where(wanted)
        case MissingCriterion(param):
            return _at(_TABLES[criterion.type], param, scope)
        case _:
            raise TypeError("this criterion is not answered by an index")


def listed(column: Any, values: Any, dialect: str) -> Condition:
    """Whether a column is one of the values, however many they are."""
    wanted = sorted(storable(value) for value in values)
    if len(wanted) <= 200:
        return column.in_(wanted)  # type: ignore[no-any-return]
    if dialect == "postgresql":
        return column == func.any(wanted)  # type: ignore[no-any-return]
    # More values than a statement may have parameters.
    each = func.json_each(json.dumps(wanted).decode()).table_valued("value")
    return column.in_(select(each.c.value))  # type: ignore[no-any-return]


def _among(rows: Select[Any], criterion: Criterion, scope: Scope, version: Any) -> Condition:
    if criterion in scope.correlated:
        table: Any = rows.get_final_froms()[0]
        return rows.where(table.c.version_pk == version.pk).exists()
    return version.pk.in_(rows)  # type: ignore[no-any-return]


def _at(table: Table, param: str, scope: Scope) -> Select[Any]:
    columns = table.c
    return select(columns.version_pk).where(
        columns.tenant == scope.tenant,
        columns.type == scope.type,
        columns.param == param,
        columns.to_revision > scope.revision,
        columns.from_revision <= scope.revision,
    )


def _token(value: TokenValue) -> Condition:
    columns = index_token.c
    wanted: list[Condition] = []
    if value.code is not None:
        wanted.append(columns.code == token_key(value.code))
    if value.system is not None:
        wanted.append(columns.system == token_key(value.system))
    return and_(true(), *wanted)


def _string(mode: str, value: str, dialect: str) -> Condition:
    columns = index_string.c
    folded = fold(value)[:FOLDED_LENGTH]
    if mode == "exact":
        return and_(columns.folded == folded, columns.exact == storable(value))
    if mode == "contains":
        position = func.instr if dialect == "sqlite" else func.strpos
        return position(columns.folded, folded) > 0
    after = _successor(folded)
    begins = columns.folded >= folded
    return begins if after is None else and_(begins, columns.folded < after)


def _successor(prefix: str) -> str | None:
    """The least string after every string that begins with the prefix; None when there is none."""
    while prefix:
        point = ord(prefix[-1]) + 1
        if point == 0xD800:
            point = 0xE000
        if point <= 0x10FFFF:
            return prefix[:-1] + chr(point)
        prefix = prefix[:-1]
    return None


def _reference(target_type: str, target_id: str) -> Condition:
    columns = index_reference.c
    same = columns.target_id == storable(target_id)
    return and_(same, columns.target_type == storable(target_type)) if target_type else same


def _date(value: DateValue, now_us: int) -> Condition:
    """R4 search.html#prefix on intervals. Bounds that follow from the rule are spelled out where
    they give the index a range."""
    columns = index_date.c
    return _interval(value, columns.lo_us, columns.hi_us, now_us)


def _interval(value: DateValue, lo: Any, hi: Any, now_us: int) -> Condition:
    first, end = value.lo_us, value.hi_us
    rules: dict[str, Callable[[], Condition]] = {
        "eq": lambda: and_(lo >= first, lo < end, hi <= end),
        "ne": lambda: or_(lo < first, hi > end),
        "gt": lambda: hi > end,
        "lt": lambda: lo < first,
        "ge": lambda: and_(hi > first, or_(hi > end, lo >= first)),
        "le": lambda: and_(lo < end, or_(lo < first, hi <= end)),
        "sa": lambda: lo >= end,
        "eb": lambda: hi <= first,
    }
    if value.prefix != "ap":
        return rules[value.prefix]()
    # R4: a tenth of the distance between now and the date.
    slack = abs(now_us - (first + end) // 2) // 10
    return and_(lo < end + slack, hi > first - slack)


def _last_updated(value: DateValue, scope: Scope, version: Any) -> Condition:
    """Instants grow with revisions, so a bound on the instant is a bound on `from_revision`, which
    has an index."""
    first, end = value.lo_us, value.hi_us
    start = version.from_revision

    def not_before(instant_us: int) -> Condition:
        log = revision_log.c
        earlier = (
            select(func.coalesce(func.max(log.revision), 0))
            .where(log.tenant == scope.tenant, log.instant_us < instant_us)
            .scalar_subquery()
        )
        return start > earlier  # type: ignore[no-any-return]

    def before(instant_us: int) -> Condition:
        return not_(not_before(instant_us))

    width = _INSTANT_WIDTH_US
    slack = abs(scope.now_us - (first + end) // 2) // 10
    contained = and_(not_before(first), before(end - width + 1))
    rules: dict[str, Callable[[], Condition]] = {
        "eq": lambda: contained,
        "ne": lambda: not_(contained),
        "gt": lambda: not_before(end - width + 1),
        "lt": lambda: before(first),
        "ge": lambda: or_(not_before(end - width + 1), contained),
        "le": lambda: or_(before(first), contained),
        "sa": lambda: not_before(end),
        "eb": lambda: before(first - width + 1),
        "ap": lambda: and_(not_before(first - slack - width + 1), before(end + slack)),
    }
    return rules[value.prefix]()
