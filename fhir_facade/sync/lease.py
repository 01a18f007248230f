"""Holding a source while it is synced, so that one process at a time does."""

from __future__ import annotations

import os
import secrets
import threading
from types import TracebackType

from fhir_facade import clock
from fhir_facade.mirror.leases import LeaseStore
from fhir_facade.sync.errors import LeaseLost, SyncBusy


class HeldLease:
    """A lease for the length of a `with` block, renewed by a thread of its own.

    Entering raises SyncBusy when another process holds it. `check` raises LeaseLost once it cannot
    be vouched for any more; work must call it before each write.
    """

    def __init__(self, leases: LeaseStore, name: str, seconds: float) -> None:
        self._leases = leases
        self._name = name
        self._seconds = seconds
        self._owner = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._done = threading.Event()
        self._good_until = 0.0
        self._thread: threading.Thread | None = None

    def __enter__(self) -> HeldLease:
        asked = clock.monotonic()
        if not self._leases.acquire(self._name, self._owner, self._seconds):
            raise SyncBusy(
                "Another process syncs this source.", diagnostics="Try again when it has finished."
            )
        self._good_until = asked + self._seconds
        self._thread = threading.Thread(target=self._renew, name="sync-lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        self._leases.release(self._name, self._owner)

    def check(self) -> None:
        """Raise LeaseLost when the lease may have run out."""
        if clock.monotonic() >= self._good_until:
            raise LeaseLost

    def _renew(self) -> None:
        while not self._done.wait(self._seconds / 4):
            asked = clock.monotonic()
            try:
                kept = self._leases.renew(self._name, self._owner, self._seconds)
            except Exception:  # noqa: S112  a busy database: the next beat tries again, `check` keeps the time
                continue
            if not kept:
                self._good_until = 0.0
                return
            self._good_until = asked + self._seconds
