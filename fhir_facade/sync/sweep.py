"""A sweep: everything of a source seen once. It may take many rounds, hours and processes.

Its number stands on every record it has seen. What it has done is kept in `sync_state`, unit by
unit: a status, the whole list, a day, the comments, the patients. A unit counts only when all its
rows are stored.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from fhir_facade import clock
from fhir_facade.mirror.state import StateStore

_NAME = "sweep"
LAST_COMPLETE = "last-sweep"
DONE = "done"
DENIED = "denied"


class Sweep:
    """The sweep in progress. `full` says that it was asked for as a whole."""

    def __init__(self, state: StateStore, tenant: str, source: str, today: date) -> None:
        self._state = state
        self._where = (tenant, source)
        known: Any = state.get(tenant, source, _NAME)
        found = known if isinstance(known, dict) else {}
        self.number = int(found.get("number", 1))
        self.full = bool(found.get("full", False))
        self.units: dict[str, str] = dict(found.get("units", {}))
        self.first_day = date.fromisoformat(found.get("day", today.isoformat()))
        self.started_us = int(found.get("started_us", clock.now_us()))
        self.never_completed = state.get(tenant, source, LAST_COMPLETE) is None

    def begin_full(self, today: date) -> None:
        """Make this a sweep of its own; one that was asked for as a whole and broke off goes on."""
        if self.full:
            return
        if self.units:
            self._next(today)
        self.full = True
        self.save()

    def state_of(self, unit: str) -> str | None:
        """`done`, `denied`, where to go on (any other text), or None when not begun."""
        return self.units.get(unit)

    def settled(self, unit: str) -> bool:
        """Whether nothing is left to do for the unit in this sweep."""
        return self.units.get(unit) in (DONE, DENIED)

    def mark(self, unit: str, state: str) -> None:
        """Note how far a unit is, durably. A unit that is done stays done."""
        if self.units.get(unit) == DONE or self.units.get(unit) == state:
            return
        self.units[unit] = state
        self.save()

    def days(self, before: int, after: int) -> list[date]:
        """The days that this sweep lists when the whole list is too long, nearest first."""
        offsets = sorted(range(-before, after + 1), key=lambda offset: (abs(offset), offset))
        return [self.first_day + timedelta(days=offset) for offset in offsets]

    def finish(self, today: date) -> None:
        """The sweep is complete: note it and begin the next."""
        done = {"number": self.number, "finished_us": clock.now_us()}
        self._state.set(*self._where, LAST_COMPLETE, done)
        self.never_completed = False
        self._next(today)
        self.save()

    def save(self) -> None:
        """Write the state down."""
        value = {
            "number": self.number,
            "full": self.full,
            "units": self.units,
            "day": self.first_day.isoformat(),
            "started_us": self.started_us,
        }
        self._state.set(*self._where, _NAME, value)

    def _next(self, today: date) -> None:
        self.number += 1
        self.full = False
        self.units = {}
        self.first_day = today
        self.started_us = clock.now_us()
