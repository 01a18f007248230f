"""What an upstream call can end in. The docstring of each class is the message people see.

A message holds the name of the operation, the HTTP status and the two ids that the upstream's
support asks for; never an address, a path, a parameter or anything of a body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


def sane_id(value: object) -> str | None:
    """`value` when it is a short id that is safe to log and to repeat, else None."""
    return value if isinstance(value, str) and _SANE.fullmatch(value) else None


@dataclass(frozen=True)
class CallFacts:
    """What is known of a call that failed. `retry_after` is in seconds."""

    operation: str
    status: int | None = None
    request_id: str | None = None
    correlation_id: str | None = None
    retry_after: float | None = None


class UpstreamError(Exception):
    """The upstream did not answer as expected"""

    def __init__(self, facts: CallFacts, detail: str = "") -> None:
        text = (type(self).__doc__ or "").strip()
        if detail:
            text += f": {detail}"
        known = (
            ("operation", facts.operation),
            ("status", facts.status),
            ("requestId", facts.request_id),
            ("correlation id", facts.correlation_id),
        )
        shown = ", ".join(f"{name} {value}" for name, value in known if value is not None)
        super().__init__(f"{text} ({shown})")
        self.facts = facts

    @property
    def operation(self) -> str:
        """The operation that was called, by its name in the upstream's documents."""
        return self.facts.operation

    @property
    def status(self) -> int | None:
        """The HTTP status, or None when no answer came."""
        return self.facts.status

    @property
    def request_id(self) -> str | None:
        """The upstream's own id of the request (RFC 7807 member `requestId`)."""
        return self.facts.request_id

    @property
    def correlation_id(self) -> str | None:
        """`X-Correlation-Id` as sent or as answered."""
        return self.facts.correlation_id

    @property
    def retry_after(self) -> float | None:
        """Seconds the upstream asked us to wait, when it said so."""
        return self.facts.retry_after


class Unauthorized(UpstreamError):
    """The upstream refuses our credentials"""


class AccessDenied(UpstreamError):
    """The upstream does not grant us this domain, site or view"""


class NotFoundUpstream(UpstreamError):
    """The upstream knows no such thing, or does not show it in its present state"""


class Refused(UpstreamError):
    """The upstream refuses the request as it was made"""


class RateLimited(UpstreamError):
    """The upstream asks us to slow down"""


class Unavailable(UpstreamError):
    """The upstream did not answer in time, or failed"""


class TimedOut(Unavailable):
    """The upstream did not answer in time, or failed"""


class Malformed(UpstreamError):
    """The upstream's answer is not what its documents promise"""


class NarrowerQueryNeeded(UpstreamError):
    """The list is longer than offset paging reaches; ask for less at once"""


class BudgetSpent(UpstreamError):
    """The calls allowed for this hour are spent"""


class Stopped(UpstreamError):
    """The work was told to stop"""
