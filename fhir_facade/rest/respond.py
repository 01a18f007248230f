"""Every answer under the base is made here, so that each carries the same headers.

They are few: each costs as much as looking a resource up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flask import Response, request
from werkzeug.datastructures import Headers

from fhir_facade.fhir import FHIRResource, json
from fhir_facade.rest.correlation import HEADER, correlation_id

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

FHIR_JSON = "application/fhir+json"
JSON = "application/json"

EXPOSED = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Location",
    "Content-Range",
    "ETag",
    "Expires",
    "Last-Modified",
    "Link",
    "Location",
    "Retry-After",
    "WWW-Authenticate",
    HEADER,
    "X-Progress",
)
_ALL_ORIGINS = ("Access-Control-Allow-Origin", "*")
_EXPOSE = ("Access-Control-Expose-Headers", ", ".join(EXPOSED))
_ALWAYS = (
    _ALL_ORIGINS,
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
)
_VARY = ("Vary", "Accept, Authorization, Origin")
PRIVATE = ("Cache-Control", "private, no-store")
"""No cache keeps patient data; a client that kept it itself may still send If-None-Match."""

_PREFLIGHT = (
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    (
        "Access-Control-Allow-Headers",
        "Accept, Authorization, Cache-Control, Content-Type, If-Match, If-Modified-Since, "
        "If-None-Exist, If-None-Match, If-Range, Prefer, Range, X-Correlation-Id, X-Request-Id, "
        "X-Requested-With",
    ),
    ("Access-Control-Max-Age", "86400"),
)

Header = tuple[str, str]


class _Answer(Response):
    """An answer whose headers are complete from the start, `Content-Length` included."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """The headers as they are: of a plain 200 nothing is left out or made absolute."""
        return self.headers if self.status_code == 200 else super().get_wsgi_headers(environ)


def respond(
    body: bytes, status: int = 200, media_type: str = FHIR_JSON, headers: tuple[Header, ...] = ()
) -> Response:
    """An answer with these bytes, and the headers every answer has."""
    return _Answer(body, status, private_headers(media_type, headers, request.environ))


def private_headers(
    media_type: str, headers: Iterable[Header], environ: Mapping[str, Any]
) -> list[Header]:
    """The headers of an answer with patient data, these among them."""
    return [("Content-Type", media_type), *headers, PRIVATE, _VARY, *_always(environ)]


def respond_public(
    body: bytes, media_type: str = FHIR_JSON, headers: tuple[Header, ...] = (), status: int = 200
) -> Response:
    """An answer without patient data, that caches may keep for five minutes."""
    return _Answer(
        body,
        status,
        [
            ("Content-Type", media_type),
            *headers,
            ("Cache-Control", "public, max-age=300"),
            _VARY,
            *_always(request.environ),
        ],
    )


def respond_json(
    document: FHIRResource, status: int = 200, media_type: str = FHIR_JSON, *headers: Header
) -> Response:
    """A small document as JSON."""
    return respond(json.dumps(document), status, media_type, headers)


def preflight(allowed: tuple[str, ...]) -> Response:
    """The answer to OPTIONS: what the path allows, and that any origin may ask, without cookies."""
    return Response(
        b"", 204, [("Allow", ", ".join(allowed)), *_PREFLIGHT, *_always(request.environ)]
    )


def decorate(response: Response) -> Response:
    """Put the headers every answer has on a response made elsewhere (`send_file`)."""
    for name, value in (PRIVATE, *_always(request.environ)):
        response.headers[name] = value
    return response


def http_date(instant_us: int) -> str:
    """Microseconds UTC as an HTTP date (RFC 9110 section 5.6.7), cut to seconds."""
    return _date_of(instant_us // 1_000_000)


@lru_cache(maxsize=4096)
def _date_of(second: int) -> str:
    return formatdate(second, usegmt=True)


def _always(environ: Mapping[str, Any]) -> tuple[Header, ...]:
    """The headers of every answer. Only browsers (they send Origin) are told what scripts see."""
    exposed = (_EXPOSE,) if "HTTP_ORIGIN" in environ else ()
    return (*_ALWAYS, *exposed, (HEADER, correlation_id()))
