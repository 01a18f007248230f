"""The emulator's clock: real time plus what a test has advanced it by."""

from __future__ import annotations

import datetime as dt
import time


class Clock:
    """Seconds since the epoch, UTC."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """The present instant."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move on; negative values move back."""
        self._ahead += seconds

    def reset(self) -> None:
        """Back to real time."""
        self._ahead = 0.0

    def text(self, instant: float | None = None) -> str:
        """An instant (default: now) as ``yyyy-MM-ddTHH:mm:ssZ``."""
        moment = dt.datetime.fromtimestamp(self.now() if instant is None else instant, dt.UTC)
        return moment.isoformat(timespec="seconds")[:19] + "Z"
