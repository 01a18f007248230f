"""Upstream calls per hour, counted across processes and restarts."""

from __future__ import annotations

import threading

from fhir_facade import clock
from fhir_facade.mirror.state import StateStore
from fhir_facade.upstream.errors import BudgetSpent, CallFacts

_NAME = "budget"
_HOUR_US = 3_600_000_000


class HourlyBudget:
    """An `upstream.http.CallBudget`. Counts in memory; `save` writes the count down.

    A process that dies unsaved forgets at most the calls since its last batch of records.
    """

    def __init__(self, state: StateStore, tenant: str, source: str, per_hour: int) -> None:
        self._state = state
        self._where = (tenant, source)
        self._per_hour = per_hour
        self._lock = threading.Lock()
        known = state.get(tenant, source, _NAME) or {}
        self._hour = int(known.get("hour", 0))
        self._spent = int(known.get("spent", 0))
        self._cap: int | None = None
        self.calls = 0
        """Calls since this object was made."""

    def spend(self, operation: str) -> None:
        """Count one call. Raises BudgetSpent when the hour's, or the present cap's, are used up."""
        with self._lock:
            self._roll()
            if self._spent >= self._per_hour or self._cap == 0:
                raise BudgetSpent(CallFacts(operation))
            self._spent += 1
            self.calls += 1
            if self._cap is not None:
                self._cap -= 1

    def cap(self, calls: int | None) -> None:
        """Allow only so many calls from now on; None lifts the cap."""
        with self._lock:
            self._cap = None if calls is None else max(0, calls)

    def left(self) -> int:
        """Calls left in this hour."""
        with self._lock:
            self._roll()
            return max(0, self._per_hour - self._spent)

    def fair_share(self, interval_seconds: float) -> int:
        """What a round may spend so that the rounds to come in this hour get as much."""
        left = self.left()
        seconds = _HOUR_US / 1e6 - clock.now_us() % _HOUR_US / 1e6
        return int(left / max(1.0, seconds / interval_seconds))

    def save(self) -> None:
        """Write the count down for other processes."""
        with self._lock:
            self._roll()
            value = {"hour": self._hour, "spent": self._spent}
        self._state.set(*self._where, _NAME, value)

    def _roll(self) -> None:
        hour = clock.now_us() // _HOUR_US
        if hour != self._hour:
            self._hour, self._spent = hour, 0
