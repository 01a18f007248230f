"""The correlation id of a request: the client's own when it is sane, else a fresh one."""

from __future__ import annotations

from flask import g, request

from fhir_facade.telemetry import set_correlation_id

HEADER = "X-Correlation-Id"


def correlation_id() -> str:
    """The id of this request, bound for its logs, audit rows and upstream calls at first use."""
    known: str | None = g.get("correlation_id")
    if known is None:
        headers = request.headers
        known = set_correlation_id(headers.get(HEADER) or headers.get("X-Request-Id"))
        g.correlation_id = known
    return known
