"""Dropping what expired, now and then, as a side effect of serving tokens: no timer to forget."""

from __future__ import annotations

import threading

from smart_auth import clock
from smart_auth.store import AuthStore

EVERY = 600
"""Seconds between two rounds of one process."""
KEPT_AFTER_EXPIRY = 86_400
"""Seconds an expired row stays, so that a replay is still recognised as one."""


class Housekeeping:
    """One per process."""

    def __init__(self, store: AuthStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._next = clock.now() + EVERY

    def tick(self) -> bool:
        """Do a round when one is due; returns whether it was."""
        now = clock.now()
        with self._lock:
            if now < self._next:
                return False
            self._next = now + EVERY
        self._store.limits.purge(now - KEPT_AFTER_EXPIRY)
        return True
