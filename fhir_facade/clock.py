"""The one clock. Everything that asks for the time asks here, so tests can move it."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.fromtimestamp(time.time(), UTC)


def now_us() -> int:
    """Microseconds since 1970-01-01T00:00:00Z."""
    return int(time.time() * 1_000_000)


def monotonic() -> float:
    """Seconds on a clock that never goes back; only differences mean anything."""
    return time.monotonic()
