"""The correlation id of a request: the client's own when it is sane, else a fresh one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request

from fhir_facade import telemetry

HEADER = "X-Correlation-Id"


def begin_correlation(environ: Mapping[str, Any]) -> None:
    """Bind the id of this request for its answer, logs, audit rows and upstream calls. The first
    act of every request: threads are used again, and their former id with them.
    """
    given = environ.get("HTTP_X_CORRELATION_ID") or environ.get("HTTP_X_REQUEST_ID")
    telemetry.set_correlation_id(given)


def correlate(blueprint: Blueprint) -> None:
    """Give the requests of a blueprint that is not ours an id too, and name it in their answers."""
    blueprint.before_request(lambda: begin_correlation(request.environ))
    blueprint.after_request(_name_it)


def _name_it(response: Response) -> Response:
    response.headers[HEADER] = correlation_id()
    return response


def correlation_id() -> str:
    """The id that `begin_correlation` bound."""
    return telemetry.correlation_id() or ""
