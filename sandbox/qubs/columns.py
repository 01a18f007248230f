"""The part of every appointment that lists filter by, as packed columns: about 14 bytes each.

Everything else of an appointment is computed when asked for (``records.py``), so a million of them
cost a few columns and three index arrays, and no Python object each.
"""

from __future__ import annotations

import datetime as dt
import random
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from sandbox.qubs.settings import DomainSpec
from sandbox.qubs.vocabulary import NEVER_ARRIVED, PROVIDER_NUMBERS, STATUS_CODE, STATUSES, WEIGHTS

NO_DATE = 0xFFFF
MARGIN = 400
"""Days kept free before the first ordinary day, for clock changes that lie outside the range."""

ARRANGED_CHANGES = 8
ARRANGED = ARRANGED_CHANGES + 2 * len(STATUSES)
"""The first slots are not left to chance: clock changes, then every status twice."""


@dataclass(frozen=True, slots=True)
class ClockChange:
    """A local time that does not exist (``gap``) or exists twice, at one site."""

    site: int
    date: dt.date
    minute: int
    gap: bool


@dataclass(slots=True)
class Columns:
    """``day`` counts from ``first_day``; ``NO_DATE`` marks an appointment without a date."""

    first_day: dt.date
    status: bytearray
    site: bytearray
    provider: bytes
    day: array[int]
    by_status: list[array[int]]
    by_site: list[array[int]]
    by_day: dict[int, array[int]]
    changes: tuple[ClockChange, ...]

    def __len__(self) -> int:
        return len(self.status)

    def date_of(self, index: int) -> dt.date | None:
        """The local date of one appointment."""
        day = self.day[index]
        return None if day == NO_DATE else self.first_day + dt.timedelta(days=day)

    def day_of(self, date: dt.date) -> int:
        """The day number of a date; may lie outside the range held."""
        return (date - self.first_day).days


def build_columns(spec: DomainSpec, reference: dt.date, seed: int) -> Columns:
    """Columns of a domain; equal arguments give equal columns."""
    n = spec.appointments
    rng = random.Random(f"{seed}/{spec.name}/columns")
    span = spec.days_back + spec.days_ahead + 1
    draws = array("H")
    draws.frombytes(rng.randbytes(2 * n))
    if sys.byteorder == "big":
        draws.byteswap()
    tables = [_weights(name) for name in _buckets(spec)]
    chance = rng.randbytes(n)
    offsets = [draw * span >> 16 for draw in draws]
    status = bytearray(tables[day][roll] for day, roll in zip(offsets, chance, strict=True))
    dateless = rng.randbytes(n)
    waiting = STATUS_CODE["CANCELLATION LIST"]
    day = array(
        "H",
        (
            NO_DATE if odd < 3 or (code == waiting and odd < 140) else offset + MARGIN
            for offset, code, odd in zip(offsets, status, dateless, strict=True)
        ),
    )
    site = bytearray(rng.randbytes(n).translate(_spread(len(spec.sites))))
    provider = rng.randbytes(n).translate(_spread(len(PROVIDER_NUMBERS)))
    first_day = reference - dt.timedelta(days=spec.days_back + MARGIN)
    changes = tuple(_clock_changes(spec, reference))[:ARRANGED_CHANGES]
    columns = Columns(first_day, status, site, provider, day, [], [], {}, changes)
    _arrange(columns, spec)
    _index(columns, len(spec.sites))
    return columns


def _buckets(spec: DomainSpec) -> Iterator[str]:
    for offset in range(-spec.days_back, spec.days_ahead + 1):
        if offset < -7:
            yield "past"
        elif offset < 0:
            yield "recent"
        else:
            yield "future" if offset else "today"


def _weights(bucket: str) -> bytes:
    return b"".join(bytes([STATUS_CODE[name]]) * share for name, share in WEIGHTS[bucket].items())


def _spread(count: int) -> bytes:
    return bytes(value * count >> 8 for value in range(256))


def _arrange(columns: Columns, spec: DomainSpec) -> None:
    """Give the first slots a fixed role, so that a small world too holds every case."""
    n = len(columns)
    for slot, change in enumerate(columns.changes):
        if slot < n:
            columns.site[slot] = change.site
            columns.day[slot] = columns.day_of(change.date)
            columns.status[slot] = STATUS_CODE["FINALISED" if slot % 2 else "AUTHORISED"]
    today = MARGIN + spec.days_back
    for slot in range(ARRANGED_CHANGES, min(ARRANGED, n)):
        code = (slot - ARRANGED_CHANGES) % len(STATUSES)
        ahead = STATUSES[code] in NEVER_ARRIVED
        reach = spec.days_ahead if ahead else min(7, spec.days_back)
        shift = slot % (reach + 1)
        columns.status[slot] = code
        columns.day[slot] = today + shift if ahead else today - shift
        columns.site[slot] = slot % len(spec.sites)


def _clock_changes(spec: DomainSpec, reference: dt.date) -> Iterator[ClockChange]:
    """The last gap and overlap of each site before the reference date, within a year."""
    for number, site in enumerate(spec.sites):
        zone = ZoneInfo(site.time_zone)
        found: set[bool] = set()
        for back in range(1, 367):
            date = reference - dt.timedelta(days=back)
            change = clock_change_on(date, zone)
            if change and change[1] not in found:
                found.add(change[1])
                yield ClockChange(number, date, change[0], change[1])


def clock_change_on(date: dt.date, zone: ZoneInfo) -> tuple[int, bool] | None:
    """First local minute of the day inside a gap (True) or overlap (False) of the zone."""
    midnight = dt.datetime.combine(date, dt.time())
    before = midnight.replace(tzinfo=zone).utcoffset()
    if before == (midnight + dt.timedelta(days=1)).replace(tzinfo=zone).utcoffset():
        return None
    for minute in range(0, 1440, 15):
        local = (midnight + dt.timedelta(minutes=minute)).replace(tzinfo=zone)
        first, second = local.utcoffset(), local.replace(fold=1).utcoffset()
        if first is not None and second is not None and first != second:
            return minute, first < second
    return None


def _index(columns: Columns, sites: int) -> None:
    columns.by_status = [array("I") for _ in STATUSES]
    columns.by_site = [array("I") for _ in range(sites)]
    add_status = [numbers.append for numbers in columns.by_status]
    add_site = [numbers.append for numbers in columns.by_site]
    by_day = columns.by_day
    for index, (status, site, day) in enumerate(
        zip(columns.status, columns.site, columns.day, strict=True)
    ):
        add_status[status](index)
        add_site[site](index)
        if day not in by_day:
            by_day[day] = array("I")
        by_day[day].append(index)
