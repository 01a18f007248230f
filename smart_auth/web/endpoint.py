"""What all endpoints for programs share: methods, limits, outages, CORS.

Every answer carries CORS headers, errors and preflights too; cookies are never looked at. A failure
of ours is 503 with `Retry-After`: a client that saw a 4xx would throw its refresh token away.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote_plus

import structlog
from flask import Response, request

from smart_auth import rates
from smart_auth.core import Core
from smart_auth.oauth.request import LARGEST_BODY
from smart_auth.ports import TenantInfo
from smart_auth.store import StoreFailure
from smart_auth.web.caller import caller_address
from smart_auth.web.replies import oauth_error, open_to_any_origin, preflight, try_later

log = structlog.get_logger(__name__)


def serve(
    core: Core,
    tenant: TenantInfo,
    methods: Sequence[str],
    answer: Callable[[], Response],
    limit: rates.Endpoint | None = None,
) -> Response:
    """The answer of an endpoint that takes these methods and OPTIONS; `limit` is the counter its
    requests go into."""
    allowed = ", ".join([*methods, "OPTIONS"])
    if request.method == "OPTIONS":
        return preflight(allowed)
    if request.method not in methods:
        response = oauth_error(405, "invalid_request", f"This endpoint takes {allowed} only")
        response.headers["Allow"] = allowed
        return open_to_any_origin(response)
    try:
        response = _within_limits(core, tenant, answer, limit)
    except StoreFailure as error:
        log.error("auth_database_failed", error=type(error).__name__)
        response = try_later(503, "The server cannot reach its database, try again", 5)
    return open_to_any_origin(response)


def _within_limits(
    core: Core, tenant: TenantInfo, answer: Callable[[], Response], limit: rates.Endpoint | None
) -> Response:
    if limit is not None:
        address = caller_address()
        if seconds := rates.wait(core, tenant, limit, address, _named_client):
            return try_later(429, rates.TOO_MANY, seconds)
    if (request.content_length or 0) > LARGEST_BODY:
        return oauth_error(413, "invalid_request", "The body is too large")
    response = answer()
    core.housekeeping.tick()
    return response


def _named_client() -> str | None:
    """The client_id a request gives in the form or as user of Basic authentication."""
    if "client_id" in request.form:
        return request.form["client_id"]
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(credentials.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote_plus(pair.partition(":")[0])


def json_object() -> dict[str, Any] | None:
    """The JSON object in the body; None when it is none, or nested deeper than any of ours."""
    if request.mimetype != "application/json":
        return None
    try:
        document = request.get_json(silent=True)
    except RecursionError:
        return None
    return document if isinstance(document, dict) else None


def bearer() -> str | None:
    """The bearer token of the request's Authorization header, if that is what it holds."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
