"""Answers that are not pages: JSON, and the headers that let any origin read them."""

from __future__ import annotations

import json
from typing import Any

from flask import Response

from smart_auth.core import Core

CORS_ALLOWED_HEADERS = "Authorization, Content-Type, Accept, Cache-Control, X-Requested-With"
PREFLIGHT_SECONDS = "600"


def document(body: Any, seconds: int) -> Response:
    """A public JSON document that may be cached for so many seconds."""
    response = Response(json.dumps(body), mimetype="application/json")
    response.headers["Cache-Control"] = f"public, max-age={seconds}"
    return response


def oauth_error(status: int, error: str, description: str) -> Response:
    """An RFC 6749 section 5.2 error answer."""
    body = json.dumps({"error": error, "error_description": description})
    return no_store(Response(body, status=status, mimetype="application/json"))


def no_store(response: Response) -> Response:
    """Never to be kept by a cache (RFC 6749 section 5.1)."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    return response


def try_later(status: int, description: str, seconds: int) -> Response:
    """A refusal that is not the caller's fault, or passes by itself."""
    response = oauth_error(status, "temporarily_unavailable", description)
    response.headers["Retry-After"] = str(seconds)
    return response


def open_to_any_origin(response: Response) -> Response:
    """CORS for browsers' apps: any origin, no credentials (cookies are never looked at here)."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Expose-Headers"] = (
        "WWW-Authenticate, Retry-After, Allow, X-Correlation-Id"
    )
    return response


def harden(core: Core, response: Response) -> Response:
    """Headers of every answer of the server, whatever it is."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if core.settings.cookie_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    return response


def preflight(methods: str) -> Response:
    """The answer to a CORS preflight."""
    response = Response(status=204)
    response.headers["Access-Control-Allow-Methods"] = methods
    response.headers["Access-Control-Allow-Headers"] = CORS_ALLOWED_HEADERS
    response.headers["Access-Control-Max-Age"] = PREFLIGHT_SECONDS
    return open_to_any_origin(response)
