"""FHIR dates as closed-open intervals of integer microseconds UTC (R4 datatypes.html#dateTime,
search.html#date).

A partial date is an interval: `2024` runs from the first instant of that year to the first of the
next. Local times that a clock change skips are shifted forward, local times that come twice mean
the first.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from fhir_facade.fhir.zones import resolve_zone

__all__ = [
    "MAX_US",
    "MIN_US",
    "Interval",
    "InvalidDate",
    "format_instant",
    "format_moment",
    "local_to_instant",
    "parse_interval",
    "period_interval",
    "resolve_zone",
    "to_us",
]

MIN_US, MAX_US = -(2**62), 2**62
"""The ends of an open period."""

_DAY_US = 86_400_000_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_LAST_DAY = date.max.toordinal()
_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})"
    r"(?:T([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]|60)(?:\.([0-9]+))?)?"
    r"(Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)?)?)?)?",
    re.ASCII,
)


class InvalidDate(ValueError):
    """Not a FHIR date, dateTime or instant, or a period that ends before it starts."""


class Interval(NamedTuple):
    """The instants `lo <= t < hi`, in microseconds since 1970-01-01T00:00:00Z."""

    lo: int
    hi: int


def parse_interval(text: str, zone: ZoneInfo) -> Interval:
    """The instants that a FHIR date, dateTime or instant names; its precision is the width.

    Values without a zone of their own are read in `zone`. Minutes without seconds are taken
    (searches use them). Digits beyond microseconds are cut. A leap second (`:60`) is the first
    second of the next minute. Raises InvalidDate, without the value in its message.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise InvalidDate("not a FHIR date or dateTime")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        first = date(int(year), int(month or 1), int(day or 1)).toordinal()
    except ValueError:
        raise InvalidDate("no such day in the calendar") from None
    if hour is None:
        return Interval(_midnight(first, zone), _midnight(_day_after(first, month, day), zone))
    local = (first - _EPOCH_DAY) * _DAY_US + (int(hour) * 60 + int(minute)) * 60_000_000
    width = 60_000_000
    if second is not None:
        local += int(second) * 1_000_000
        width = 1_000_000
    if fraction is not None:
        local += int(fraction[:6].ljust(6, "0"))
        width = 10 ** max(0, 6 - len(fraction))
    lo = local - (_zone_us(local, zone) if offset is None else _offset_us(offset))
    return Interval(lo, lo + width)


def period_interval(start: str | None, end: str | None, zone: ZoneInfo) -> Interval:
    """The instants from the first of `start` to the last of `end`; a missing side is open (MIN_US,
    MAX_US).

    Raises InvalidDate when a side is no date, or when the period ends before it starts (invariant
    per-1).
    """
    lo = MIN_US if start is None else parse_interval(start, zone).lo
    hi = MAX_US if end is None else parse_interval(end, zone).hi
    if hi <= lo:
        raise InvalidDate("the period ends before it starts")
    return Interval(lo, hi)


def to_us(moment: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z of an aware datetime, exact."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def format_instant(us: int) -> str:
    """`YYYY-MM-DDTHH:MM:SS.mmmZ`, cut to milliseconds. Raises InvalidDate outside the years 1 to
    9999.
    """
    try:
        moment = datetime(1970, 1, 1) + timedelta(microseconds=us)
    except OverflowError:
        raise InvalidDate("the instant is outside the years 1 to 9999") from None
    return moment.isoformat(timespec="milliseconds") + "Z"


def format_moment(moment: datetime) -> str:
    """An aware datetime as a FHIR instant with its own offset, seconds or finer as needed.

    Offsets that are not whole minutes (local mean time, before zones) have no FHIR form and are
    written in UTC. Raises InvalidDate for a naive datetime.
    """
    offset = moment.utcoffset()
    if offset is None:
        raise InvalidDate("a datetime without a zone is no instant")
    if not offset or offset % timedelta(minutes=1) or abs(offset) > timedelta(hours=14):
        return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    return moment.isoformat()


def local_to_instant(day: date, at: time, zone: tzinfo) -> datetime:
    """The instant of a wall-clock reading, as an aware datetime in `zone` with the right offset.

    A reading that a clock change skips is shifted forward by the length of the gap; one that comes
    twice means the first. Raises InvalidDate at the very ends of the calendar, where the instant
    has no datetime.
    """
    wall = datetime.combine(day, at.replace(tzinfo=None, fold=0), zone)
    try:
        return wall.astimezone(UTC).astimezone(zone)
    except OverflowError:
        raise InvalidDate("the instant is outside the years 1 to 9999") from None


def _day_after(first: int, month: str | None, day: str | None) -> int:
    """The ordinal of the day after a year, month or day that starts on `first`; may be past the
    calendar.
    """
    if day is not None:
        return first + 1
    start = date.fromordinal(first)
    if month is not None:
        return first + _days_of_month(start.year, start.month)
    return first + (366 if _days_of_month(start.year, 2) == 29 else 365)


def _days_of_month(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _midnight(ordinal: int, zone: ZoneInfo) -> int:
    local = (ordinal - _EPOCH_DAY) * _DAY_US
    return local - _zone_us(local, zone)


def _zone_us(local: int, zone: ZoneInfo) -> int:
    """The offset of `zone` at a wall-clock reading, in microseconds; fold=0 gives both of this
    module's rules.
    """
    last = (_LAST_DAY - _EPOCH_DAY + 1) * _DAY_US - 1
    wall = datetime(1970, 1, 1) + timedelta(microseconds=min(local, last))
    offset = zone.utcoffset(wall.replace(tzinfo=zone))
    return 0 if offset is None else offset // timedelta(microseconds=1)


def _offset_us(text: str) -> int:
    if text == "Z":
        return 0
    minutes = int(text[1:3]) * 60 + int(text[4:6])
    return (minutes if text[0] == "+" else -minutes) * 60_000_000
