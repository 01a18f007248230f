"""Criteria as SQL: each becomes a condition on a version, answered by an index table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from fhir_facade.mirror.amounts_sql import number_is, quantity_is
from fhir_facade.mirror.criteria import (
    CompartmentCriterion,
    DateCriterion,
    DateValue,
    IdCriterion,
    MissingCriterion,
    NothingCriterion,
    NumberCriterion,
    OwnCriterion,
    QuantityCriterion,
    ReferenceCriterion,
    StringCriterion,
    TokenCriterion,
    TokenValue,
    UriCriterion,
)
from fhir_facade.mirror.dates_sql import WIDE, dates_are, slack_of, starts_if_narrow
from fhir_facade.mirror.index_sql import FEW_WAYS, Scope, compartments, indexed
from fhir_facade.mirror.sql import (
    NEVER,
    Condition,
    Span,
    Sql,
    any_of,
    join,
    one_of,
    run,
    unindexed,
    wrap,
)
from fhir_facade.resources.extract import FOLDED_LENGTH, fold, storable, token_key
from fhir_facade.resources.index_rows import identifier_of

INSTANT_WIDTH_US = 1_000
"""Instants are shown in whole milliseconds, so `_lastUpdated` names a millisecond."""


def condition(criterion: OwnCriterion, scope: Scope, now_us: int) -> Condition:
    """The condition that a version matches the criterion; `now_us` is what `ap` measures from."""
    match criterion:
        case IdCriterion(values):
            return Condition(one_of("v.id", values, scope.dialect))
        case NothingCriterion():
            return NEVER
        case CompartmentCriterion(patient_id):
            return compartments(scope, Sql("t.patient_id = ?", (patient_id,)))
        case DateCriterion("_lastUpdated", dates):
            return _last_updated(dates, scope, now_us)
        case DateCriterion(param, dates):
            return date_within(param, (dates,), scope, now_us)
        case TokenCriterion(param, tokens, negated):
            wanted = _any_token(tokens, scope.dialect)
            found = indexed("index_token", param, wanted, scope, _single_tokens(tokens))
            return _negated(found) if negated else found
        case StringCriterion(param, mode, texts):
            each = [_string(mode, text, scope.dialect) for text in texts]
            ways = each if mode == "exact" else ()
            return indexed("index_string", param, any_of(each), scope, ways)
        case UriCriterion(param, mode, uris):
            wanted = any_of([_uri(mode, uri, scope.dialect) for uri in uris])
            return indexed("index_token", param, wanted, scope)
        case NumberCriterion(param, numbers):
            wanted = any_of([number_is(number) for number in numbers])
            return indexed("index_number", param, wanted, scope)
        case QuantityCriterion(param, quantities):
            wanted = any_of([quantity_is(quantity) for quantity in quantities])
            return indexed("index_quantity", param, wanted, scope)
        case ReferenceCriterion(param, targets):
            return referring(param, targets, scope)
        case MissingCriterion(param, kind, missing):
            found = indexed(f"index_{kind}", param, None, scope)
            if kind == "reference":
                found = _either(found, indexed("index_token", identifier_of(param), None, scope))
            return _negated(found) if missing else found


def date_within(
    param: str,
    bounds: Sequence[Sequence[DateValue]],
    scope: Scope,
    now_us: int,
    *,
    single: bool = False,
) -> Condition:
    """The condition that one value of a date parameter meets each of the bounds. `single`: no
    resource has several."""
    wanted = dates_are(bounds, now_us)
    parts: tuple[Sql, ...] = (wanted,)
    starts = starts_if_narrow(bounds, now_us)
    if starts is not None:
        # A range of starts for most of them; the few wide ones are listed by an index of their own.
        narrow = join(" AND ", (starts, wrap("NOT (", WIDE), wanted))
        parts = (narrow, join(" AND ", (WIDE, wanted)))
    listed = [indexed("index_date", param, part, scope).rows for part in parts]
    found = indexed("index_date", param, wanted, scope)
    return found._replace(
        rows=join(" UNION ALL ", [one for one in listed if one is not None]),
        span=Span(param, parts) if single else None,
    )


def referring(param: str, targets: Sequence[tuple[str, str]], scope: Scope) -> Condition:
    """The condition that the version refers by `param` to one of the resources, given by type and
    id; of any type when that is ''."""
    ways = [_references_to([target], scope.dialect) for target in targets[: FEW_WAYS + 1]]
    wanted = _references_to(targets, scope.dialect)
    return indexed("index_reference", param, wanted, scope, ways)


def _references_to(targets: Iterable[tuple[str, str]], dialect: str) -> Sql:
    """The condition that an index row `t` refers to one of the resources, given by type and id; of
    any type when that is ''."""
    by_type: dict[str, list[str]] = {}
    for target_type, target_id in targets:
        by_type.setdefault(target_type, []).append(target_id)
    ways = []
    for target_type, ids in by_type.items():
        named = one_of("t.target_id", ids, dialect)
        if target_type:
            typed = Sql("t.target_type = ?", (storable(target_type),))
            named = wrap("(", join(" AND ", (named, typed)))
        ways.append(named)
    if len(ways) < 2:
        return any_of(ways)
    # Follows from the rest, and gives the index its way in.
    every = one_of("t.target_id", [one for ids in by_type.values() for one in ids], dialect)
    return wrap("(", join(" AND ", (every, any_of(ways))))


def token_of(system: str | None, code: str | None) -> Sql:
    """The condition that an index row `t` is the token; None stands for any."""
    parts, values = [], []
    for column, value in (("t.code", code), ("t.system", system)):
        if value is not None:
            parts.append(f"{column} = ?")
            values.append(token_key(value))
    return Sql(f"({' AND '.join(parts)})", tuple(values)) if parts else Sql("1 = 1")


def _either(one: Condition, other: Condition) -> Condition:
    listed = [part.rows for part in (one, other) if part.rows is not None]
    rows = join(" UNION ALL ", listed) if len(listed) == 2 else None
    return Condition(any_of((one.test, other.test)), rows)


def _negated(found: Condition) -> Condition:
    return Condition(wrap("NOT ", found.test, ""))


def _single_tokens(values: Sequence[TokenValue]) -> list[Sql]:
    if any(value.code is None for value in values):
        return []
    return [token_of(value.system, value.code) for value in values[: FEW_WAYS + 1]]


def _any_token(values: Sequence[TokenValue], dialect: str) -> Sql:
    wanted = any_of([token_of(value.system, value.code) for value in values])
    codes = [token_key(value.code) for value in values if value.code is not None]
    if len(values) < 2 or len(codes) < len(values):
        return wanted
    # Follows from the rest, and gives the index its way in.
    return wrap("(", join(" AND ", (one_of("t.code", codes, dialect), wanted)))


def _string(mode: str, value: str, dialect: str) -> Sql:
    if mode == "exact":
        folded = fold(value)[:FOLDED_LENGTH]
        return Sql("(t.folded = ? AND t.exact = ?)", (folded, storable(value)))
    folded = storable(value)[:FOLDED_LENGTH]
    if mode == "contains":
        position = "instr" if dialect == "sqlite" else "strpos"
        return Sql(f"{position}(t.folded, ?) > 0", (folded,))
    after = _successor(folded)
    if after is None:
        return Sql("t.folded >= ?", (folded,))
    return Sql("(t.folded >= ? AND t.folded < ?)", (folded, after))


def _uri(mode: str, uri: str, dialect: str) -> Sql:
    """R4 search.html#uri. A URI so long that the index holds its hash is found whole only."""
    whole = storable(uri)
    if mode == "above":
        position = "instr" if dialect == "sqlite" else "strpos"
        return Sql(f"(t.code = ? OR {position}(?, t.code) = 1)", (token_key(whole), whole))
    after = _successor(whole)
    if after is None:
        return Sql("t.code >= ?", (whole,))
    return Sql("(t.code = ? OR (t.code >= ? AND t.code < ?))", (token_key(whole), whole, after))


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


def _last_updated(dates: tuple[DateValue, ...], scope: Scope, now_us: int) -> Condition:
    """Instants grow with revisions, so a bound on the instant is a bound on `from_revision`, which
    has an index."""
    return from_revisions(any_of([_since_revision(d, scope, now_us) for d in dates]), scope)


def from_revisions(wanted: Sql, scope: Scope) -> Condition:
    """The condition on `@`, the revision from which a version is valid."""
    column = "v.from_revision"
    test = Sql(wanted.text.replace("@", unindexed(column, scope.conn)), wanted.values)
    of_type = (
        "SELECT v.pk AS version_pk, v.id FROM resource_version v WHERE v.tenant = ? AND v.type = ?"
    )
    listing = Sql(
        f"{of_type} AND {wanted.text.replace('@', column)}",
        (scope.tenant, scope.type, *wanted.values),
    )
    return Condition(test, listing, exact=True)


def _since_revision(value: DateValue, scope: Scope, now_us: int) -> Sql:
    first, end = value.lo_us, value.hi_us
    slack = slack_of(value, now_us)
    start = "@"

    def last_before(instant_us: int) -> int:
        earlier = "SELECT max(revision) FROM revision_log WHERE tenant = ? AND instant_us < ?"
        return run(scope.conn, Sql(earlier, (scope.tenant, instant_us)))[0][0] or 0

    # A version of instant t fills [t, t + width), so it ends by `end` when t < end - width + 1.
    inside = end - INSTANT_WIDTH_US + 1
    between = f"({start} > ? AND {start} <= ?)"
    rules: dict[str, Callable[[], Sql]] = {
        "eq": lambda: Sql(between, (last_before(first), last_before(inside))),
        "ne": lambda: Sql(
            f"({start} <= ? OR {start} > ?)", (last_before(first), last_before(inside))
        ),
        "gt": lambda: Sql(f"{start} > ?", (last_before(inside),)),
        "lt": lambda: Sql(f"{start} <= ?", (last_before(first),)),
        "ge": lambda: Sql(f"{start} > ?", (min(last_before(inside), last_before(first)),)),
        "le": lambda: Sql(f"{start} <= ?", (max(last_before(inside), last_before(first)),)),
        "sa": lambda: Sql(f"{start} > ?", (last_before(end),)),
        "eb": lambda: Sql(f"{start} <= ?", (last_before(first - INSTANT_WIDTH_US + 1),)),
        "ap": lambda: Sql(
            between,
            (last_before(first - slack - INSTANT_WIDTH_US + 1), last_before(end + slack)),
        ),
    }
    return rules[value.prefix]()
