"""Dates as conditions on an index row `t` (R4 search.html#prefix)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fhir_facade.mirror.criteria import DateValue
from fhir_facade.mirror.sql import Sql, any_of, join
from fhir_facade.mirror.tables import NARROW_DATE_US, WIDE_DATE

WIDE = Sql(WIDE_DATE.replace("lo_us", "t.lo_us").replace("hi_us", "t.hi_us"))
"""The condition that the interval is wider than a day of any zone, and so in an index of its
own."""


class _Starts(NamedTuple):
    """Bounds on where intervals start: `least` for any of them, `narrow` for those no wider than
    NARROW_DATE_US, `end` the first instant beyond; None where there is no such bound."""

    least: int | None = None
    narrow: int | None = None
    end: int | None = None


def dates_are(bounds: Sequence[Sequence[DateValue]], now_us: int) -> Sql:
    """The condition that the half-open interval of `t.lo_us` and `t.hi_us` meets each of the
    bounds, by any of its values."""
    return join(" AND ", [any_of([date_is(date, now_us) for date in dates]) for dates in bounds])


def starts_if_narrow(bounds: Sequence[Sequence[DateValue]], now_us: int) -> Sql | None:
    """The range of `t.lo_us` that the bounds leave to intervals that are not wide. None where
    they give it no beginning, or give it to wide ones, too: then `dates_are` says all there is."""
    each = [_starts_of_any([_starts(date, now_us) for date in dates]) for dates in bounds]
    least = [starts.least for starts in each if starts.least is not None]
    narrow = [starts.narrow for starts in each if starts.narrow is not None]
    end = [starts.end for starts in each if starts.end is not None]
    if least or not narrow:
        return None
    if not end:
        return Sql("t.lo_us > ?", (max(narrow),))
    return Sql("t.lo_us > ? AND t.lo_us < ?", (max(narrow), min(end)))


def date_is(value: DateValue, now_us: int) -> Sql:
    """R4 search.html#prefix on half-open intervals. Bounds that follow from the rule are spelled
    out where they give an index its range."""
    first, end = value.lo_us, value.hi_us
    match value.prefix:
        case "eq":
            return Sql("(t.lo_us >= ? AND t.lo_us < ? AND t.hi_us <= ?)", (first, end, end))
        case "ne":
            return Sql("(t.lo_us < ? OR t.hi_us > ?)", (first, end))
        case "gt":
            return Sql("t.hi_us > ?", (end,))
        case "lt":
            return Sql("t.lo_us < ?", (first,))
        case "ge":
            return Sql("(t.hi_us > ? AND (t.hi_us > ? OR t.lo_us >= ?))", (first, end, first))
        case "le":
            return Sql("(t.lo_us < ? AND (t.lo_us < ? OR t.hi_us <= ?))", (end, first, end))
        case "sa":
            return Sql("t.lo_us >= ?", (end,))
        case "eb":
            return Sql("(t.lo_us < ? AND t.hi_us <= ?)", (first, first))
        case "ap":
            slack = slack_of(value, now_us)
            return Sql("(t.lo_us < ? AND t.hi_us > ?)", (end + slack, first - slack))


def slack_of(value: DateValue, now_us: int) -> int:
    """What `ap` allows to either side: a tenth of the distance between now and the date (R4)."""
    return abs(now_us - (value.lo_us + value.hi_us) // 2) // 10


def _starts(value: DateValue, now_us: int) -> _Starts:
    first, end = value.lo_us, value.hi_us
    match value.prefix:
        case "eq":
            return _Starts(least=first, narrow=first - 1, end=end)
        case "ne":
            return _Starts()
        case "gt":
            return _Starts(narrow=end - NARROW_DATE_US)
        case "lt" | "eb":
            return _Starts(end=first)
        case "ge":
            return _Starts(narrow=first - NARROW_DATE_US)
        case "le":
            return _Starts(end=end)
        case "sa":
            return _Starts(least=end, narrow=end - 1)
        case "ap":
            slack = slack_of(value, now_us)
            return _Starts(narrow=first - slack - NARROW_DATE_US, end=end + slack)


def _starts_of_any(each: Sequence[_Starts]) -> _Starts:
    return _Starts(
        _all_or_none(min, [starts.least for starts in each]),
        _all_or_none(min, [starts.narrow for starts in each]),
        _all_or_none(max, [starts.end for starts in each]),
    )


def _all_or_none(pick: Callable[[list[int]], int], values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return pick(known) if known and len(known) == len(values) else None
