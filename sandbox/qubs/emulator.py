"""Everything one running emulator holds."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.qubs.clock import Clock
from sandbox.qubs.faults import Faults
from sandbox.qubs.files import Presigner
from sandbox.qubs.idempotency import IdempotencyStore
from sandbox.qubs.paging import Cursors
from sandbox.qubs.settings import ServiceSettings
from sandbox.qubs.tokens import TokenService
from sandbox.qubs.world import World


@dataclass(frozen=True, slots=True)
class Call:
    """One request that was answered. ``dropped`` means the answer did not reach the caller."""

    operation: str
    method: str
    path: str
    status: int
    correlation_id: str
    dropped: bool


class CallLog:
    """Counts per operation, and the latest calls. Holds no query, body or token."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._recent: deque[Call] = deque(maxlen=5000)

    def add(self, call: Call) -> None:
        """Note one call."""
        with self._lock:
            self._counts[call.operation] += 1
            self._statuses[call.status] += 1
            self._recent.append(call)

    def clear(self) -> None:
        """Start counting anew."""
        with self._lock:
            self._counts.clear()
            self._statuses.clear()
            self._recent.clear()

    def summary(self, recent: int) -> dict[str, Any]:
        """Totals, and the last ``recent`` calls, oldest first."""
        with self._lock:
            latest = list(self._recent)[-recent:] if recent else []
            return {
                "total": self._counts.total(),
                "operations": dict(self._counts),
                "statuses": {str(status): count for status, count in self._statuses.items()},
                "recent": [asdict(call) for call in latest],
            }


class Emulator:
    """The world and the services around it."""

    def __init__(self, world: World, settings: ServiceSettings) -> None:
        self.world = world
        self.settings = settings.copy()
        self._start = settings.copy()
        self.clock = Clock()
        self.tokens = TokenService(self.settings, self.clock)
        self.cursors = Cursors(self.settings, self.clock)
        self.idempotency = IdempotencyStore(self.clock)
        self.files = Presigner(self.clock)
        self.faults = Faults()
        self.calls = CallLog()

    def reset(self) -> None:
        """Back to the start: no edits, submissions, faults or counts, real time."""
        self.world.clear()
        for name in ServiceSettings.CHANGEABLE:
            setattr(self.settings, name, getattr(self._start, name))
        self.clock.reset()
        self.idempotency.clear()
        self.files.clear()
        self.faults.clear()
        self.calls.clear()
