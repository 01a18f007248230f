"""The one clock of the authorization server, so that tests can move time."""

from __future__ import annotations

import time


def now() -> int:
    """Seconds since the epoch, UTC: the unit of OAuth lifetimes and JWT dates."""
    return int(time.time())
