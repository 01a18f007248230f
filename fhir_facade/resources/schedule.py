"""When an appointment is: local date and times of a site, as instants where they can be known.

Times that a clock change skips are shifted forward, times that come twice mean the first, an end
that is not after its start is on the next day. No instant is invented where zone, date or time is
unknown or unreadable: then the local values are kept as an extension (design section 4, "Time").
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fhir_facade.fhir.dates import InvalidDate, format_moment, local_to_instant
from fhir_facade.fhir.systems import LOCAL_SCHEDULE
from fhir_facade.resources import qubs_fields as fields
from fhir_facade.resources.context import MappingWarning

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.[0-9]+)?)?", re.ASCII)


class LocalTimes(NamedTuple):
    """What the upstream says, as text: date and times at the site, each may be absent."""

    day: str | None
    start: str | None
    end: str | None


class Schedule(NamedTuple):
    """`start` and `end` are FHIR dateTimes with the site's offset, or None where none is known.

    `minutes` is the time between the two. `day` is the local date (`yyyy-MM-dd`) if readable.
    `extension` holds the local values when an instant could not be made of them.
    """

    start: str | None
    end: str | None
    minutes: int | None
    day: str | None
    extension: dict[str, Any] | None


def resolve(
    local: LocalTimes, zone: ZoneInfo | None, site: str | None
) -> tuple[Schedule, list[MappingWarning]]:
    """The instants of an appointment at a site in `zone` (None: unknown); never raises."""
    warnings: list[MappingWarning] = []
    day = fields.day(local.day) if local.day else None
    start = _clock(local.start) if local.start else None
    end = _clock(local.end) if local.end else None
    if local.day and day is None:
        warnings.append(MappingWarning("unreadable-date"))
    if (local.start and start is None) or (local.end and end is None):
        warnings.append(MappingWarning("unreadable-time"))
    first, last = (None, None) if day is None or zone is None else _instants(day, start, end, zone)
    minutes = None
    if first is not None and last is not None:
        minutes = (last.astimezone(UTC) - first.astimezone(UTC)) // _MINUTE
    lost = (first is None and (local.day or local.start)) or (last is None and local.end)
    schedule = Schedule(
        None if first is None else format_moment(first),
        None if last is None else format_moment(last),
        minutes or None,
        None if day is None else day.isoformat(),
        _extension(local, site) if lost else None,
    )
    return schedule, warnings


def _instants(
    day: date, start: time | None, end: time | None, zone: ZoneInfo
) -> tuple[datetime | None, datetime | None]:
    try:
        first = None if start is None else local_to_instant(day, start, zone)
        if end is None:
            return first, None
        if start is None or first is None:
            return None, local_to_instant(day, end, zone)
        last_day = day if end > start else day + _DAY
        last = local_to_instant(last_day, end, zone)
        if last.astimezone(UTC) <= first.astimezone(UTC):
            # The start was skipped and shifted past the end: shift the end with it.
            length = datetime.combine(last_day, end) - datetime.combine(day, start)
            last = (first.astimezone(UTC) + length).astimezone(zone)
        return first, last
    except (InvalidDate, OverflowError):
        return None, None


@lru_cache(maxsize=4096)
def _clock(text: str) -> time | None:
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    return time(int(match[1]), int(match[2]), int(match[3] or 0))


def _extension(local: LocalTimes, site: str | None) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    if local.day:
        day = fields.day(local.day)
        parts.append({"url": "date", **_date_value(local.day, day)})
    for url, value in (("startTime", local.start), ("endTime", local.end)):
        if value:
            clock = _clock(value)
            parts.append(
                {"url": url, "valueString": value}
                if clock is None
                else {"url": url, "valueTime": clock.isoformat()}
            )
    if site:
        parts.append({"url": "site", "valueString": site})
    return {"url": LOCAL_SCHEDULE, "extension": parts}


def _date_value(text: str, day: date | None) -> dict[str, Any]:
    return {"valueString": text} if day is None else {"valueDate": day.isoformat()}
