"""What a client is told when an upstream fails while it waits (design section 4, "Errors")."""

from __future__ import annotations

import math

from fhir_facade.errors import FacadeError, NotFound, UpstreamFault
from fhir_facade.telemetry import log
from fhir_facade.upstream.errors import (
    NotFoundUpstream,
    RateLimited,
    Stopped,
    TimedOut,
    UpstreamError,
)

_LONGEST = 3600
_SOON = 5
_LATER = 30


def fault_of(error: UpstreamError, what: str) -> FacadeError:
    """The error to answer with: 404 when the upstream has no such thing, 504 when it is too slow,
    503 when it asks us to slow down, 502 for all else that is its fault or that of our access.
    """
    log("rest").warning("upstream.failed", error=type(error).__name__, operation=error.operation)
    if isinstance(error, NotFoundUpstream):
        return NotFound(
            f"{what} is not there.", diagnostics="The upstream does not have it, or not any more."
        )
    asked = error.retry_after
    if isinstance(error, RateLimited):
        wait = _SOON if asked is None else min(_LONGEST, max(1, math.ceil(asked)))
        return UpstreamFault(f"{what} cannot be had just now.", status=503, retry_after=wait)
    if isinstance(error, Stopped):
        return UpstreamFault(f"{what} cannot be had just now.", status=503, retry_after=_SOON)
    if isinstance(error, TimedOut):
        return UpstreamFault(f"{what} did not come in time.", status=504, retry_after=_LATER)
    wait = _LATER if asked is None else min(_LONGEST, max(1, math.ceil(asked)))
    return UpstreamFault(f"{what} cannot be had from the upstream.", status=502, retry_after=wait)
