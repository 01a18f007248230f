"""Days and instants as people write them, in the tenant's zone: `2026-01-31`, `2026-01-31T14:30`.

A day as an end is included; an instant as an end is not. All values are microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from fhir_facade.fhir.dates import InvalidDate, parse_interval

WRITE_ONE = "Write a day as 2026-01-31, or an instant as 2026-01-31T14:30."
ENDS_EARLY = "The end must be after the start."
SECOND_US = 1_000_000
Reader = Callable[[str, ZoneInfo], int | None]
_DAY_LENGTH = len("2026-01-31")


def read_start(text: str, zone: ZoneInfo) -> int | None:
    """The first instant; None for an empty text. Raises InvalidDate."""
    return parse_interval(_exact(text), zone).lo if text.strip() else None


def read_end(text: str, zone: ZoneInfo) -> int | None:
    """The first instant behind; None for an empty text. Raises InvalidDate."""
    if not text.strip():
        return None
    interval = parse_interval(_exact(text), zone)
    return interval.hi if len(text.strip()) == _DAY_LENGTH else interval.lo


def write_start(us: int | None, zone: ZoneInfo) -> str:
    """A text that `read_start` reads as this, '' for None."""
    return "" if us is None else _written(us, zone, _local(us, zone).date().isoformat(), read_start)


def write_end(us: int | None, zone: ZoneInfo) -> str:
    """A text that `read_end` reads as this, '' for None."""
    if us is None:
        return ""
    return _written(us, zone, _local(us - 1, zone).date().isoformat(), read_end)


def _exact(text: str) -> str:
    """A day at least: months and years are FHIR dates, too, but say too little here."""
    if len(text.strip()) < _DAY_LENGTH:
        raise InvalidDate("not a day")
    return text.strip()


def _local(us: int, zone: ZoneInfo) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).astimezone(zone)


def _written(us: int, zone: ZoneInfo, day: str, read: Reader) -> str:
    """The shortest way to write it that is read as the same: a day, a local time, one with its
    offset."""
    local = _local(us, zone)
    plain = local.replace(tzinfo=None)
    short = plain.isoformat(timespec="auto" if plain.second or plain.microsecond else "minutes")
    for text in (day, short):
        if read(text, zone) == us:
            return text
    return local.isoformat()
