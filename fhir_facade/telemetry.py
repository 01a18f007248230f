"""Logs and the correlation id. One JSON object a line on stderr; ids and counts only, never PHI.

`bind_correlation` sets the id for the running request or job; every log line, audit row and
upstream call carries it.
"""

from __future__ import annotations

import logging
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import structlog

_correlation: ContextVar[str | None] = ContextVar("correlation_id", default=None)
SANE_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")


def correlation_id() -> str | None:
    """The id of the request or job that is running, if one is bound."""
    return _correlation.get()


def new_correlation_id() -> str:
    """A fresh id: 16 hex digits, as the upstreams show them. It guards nothing, so it is drawn
    without asking the system for randomness, which costs more than the rest of a small request.

    Ids begin with the time, so that an index of them grows at its end: at random places it would
    cost a page for each id. Of those of one microsecond 13 bits are drawn.
    """
    begun = time.time_ns() // 1000 << 13 | random.getrandbits(13)
    return f"{begun & 0xFFFF_FFFF_FFFF_FFFF:016x}"


def set_correlation_id(value: str | None) -> str:
    """Bind the id for what follows in this context: `value` when it is sane, else a fresh one."""
    chosen = value if value and SANE_ID.match(value) else new_correlation_id()
    _correlation.set(chosen)
    return chosen


@contextmanager
def bind_correlation(value: str | None = None) -> Iterator[str]:
    """Bind an id for a block, and put the former one back."""
    chosen = value if value and SANE_ID.match(value) else new_correlation_id()
    token = _correlation.set(chosen)
    try:
        yield chosen
    finally:
        _correlation.reset(token)


def _add_correlation(
    _: Any, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    if (current := _correlation.get()) is not None:
        event.setdefault("correlation_id", current)
    return event


def configure(level: str = "info") -> None:
    """Write JSON lines to stderr from `level` up; once per process, before the first log line."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_correlation,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def log(area: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose lines name their area (`rest`, `sync`, `bulk`, ...)."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(area=area))
