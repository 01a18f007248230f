"""batch: independent requests in one Bundle, each with its own outcome (R4 http.html#transaction).

Every entry goes through the route table of the server as a request of its own, with the token of
the batch: what it may reach, how it fails and what is audited are the same as outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from flask import Response, current_app, request
from werkzeug.test import EnvironBuilder

from fhir_facade.errors import (
    FacadeError,
    InvalidRequest,
    MethodNotAllowed,
    TooCostly,
)
from fhir_facade.fhir import json
from fhir_facade.fhir.bundle import BatchAnswer, batch_response
from fhir_facade.fhir.dates import InvalidDate, format_instant, parse_interval, to_us
from fhir_facade.rest.accesses import record
from fhir_facade.rest.authorize import Authorizer
from fhir_facade.rest.bodies import json_body, read_body
from fhir_facade.rest.correlation import HEADER, correlation_id
from fhir_facade.rest.negotiate import negotiate
from fhir_facade.rest.parts import RestParts, TenantParts
from fhir_facade.rest.respond import FHIR_JSON, http_date, respond
from fhir_facade.search.parse import read_pairs

MAX_ENTRIES = 200
METHODS = ("GET", "HEAD")
_OTHER_METHODS = ("POST", "PUT", "DELETE", "PATCH")
_CONDITIONS = {"ifNoneMatch": "If-None-Match", "ifModifiedSince": "If-Modified-Since"}
_PASSED_ON = ("Authorization", "Prefer")
_ELSEWHERE = (
    "Binary/",
    *("$export", "bulkstatus", "bulkfiles"),
    *("auth", ".well-known", "docs", "openapi.json"),
)
"""What is asked alone, or is no resource."""


@dataclass(frozen=True)
class _Entry:
    """One request of the batch; `headers` are its conditions. `refusal` says what is wrong with
    it, where it cannot be tried."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    refusal: FacadeError | None = None


class BatchViews:
    """`POST [base]`."""

    def __init__(self, parts: RestParts, authorizer: Authorizer) -> None:
        self._parts = parts
        self._authorizer = authorizer

    def batch(self, tenant: str) -> Response:
        """Answer 200 with a `batch-response`, whatever became of its entries.

        Raises InvalidRequest when the body is no batch Bundle, TooCostly beyond MAX_ENTRIES.
        """
        access = self._authorizer.access(tenant, "batch")
        pairs = read_pairs(request.environ.get("QUERY_STRING", "").encode("latin-1"))
        form = negotiate(request.environ.get("HTTP_ACCEPT"), pairs)
        entries = list(_entries(access.tenant, _bundle()))
        body = batch_response(self._run(tenant, entry) for entry in entries)
        if form.pretty:
            body = json.dumps_pretty(json.loads(body))
        record(self._parts, access, 200)
        return respond(body, 200, form.media_type)

    def _run(self, tenant: str, entry: _Entry) -> BatchAnswer:
        if entry.refusal is not None:
            return _answer(current_app.handle_user_exception(entry.refusal), entry)
        environ = self._environ(tenant, entry)
        with current_app.request_context(environ):
            return _answer(current_app.full_dispatch_request(), entry)

    def _environ(self, tenant: str, entry: _Entry) -> Any:
        headers = {name: value for name in _PASSED_ON if (value := request.headers.get(name))}
        headers |= {"Accept": FHIR_JSON, HEADER: correlation_id(), **entry.headers}
        builder = EnvironBuilder(
            path=f"/fhir/{tenant}/{entry.path}",
            query_string=entry.query,
            method=entry.method,
            headers=list(headers.items()),
            environ_base={"REMOTE_ADDR": request.remote_addr or ""},
        )
        try:
            return builder.get_environ()
        finally:
            builder.close()


def _bundle() -> dict[str, Any]:
    document = json_body(read_body(), "a Bundle")
    if not isinstance(document, dict) or document.get("resourceType") != "Bundle":
        raise InvalidRequest(
            "The body is not a Bundle.",
            diagnostics="Send a Bundle of type 'batch'.",
            expression=("Bundle",),
        )
    if document.get("type") != "batch":
        raise InvalidRequest(
            "The Bundle is not a batch.",
            diagnostics="Bundle.type must be 'batch'; transactions are not served.",
            expression=("Bundle.type",),
        )
    return document


def _entries(tenant: TenantParts, bundle: dict[str, Any]) -> Iterator[_Entry]:
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise InvalidRequest(
            "Bundle.entry is not a list.",
            diagnostics="Give a list of entries, each with a request.",
            expression=("Bundle.entry",),
        )
    if len(entries) > MAX_ENTRIES:
        raise TooCostly(
            f"A batch may have {MAX_ENTRIES} entries at most.",
            diagnostics="Send several.",
            expression=("Bundle.entry",),
        )
    for number, entry in enumerate(entries):
        wanted = entry.get("request") if isinstance(entry, dict) else None
        yield _entry(tenant, wanted, f"Bundle.entry[{number}].request")


def _entry(tenant: TenantParts, wanted: Any, place: str) -> _Entry:
    if not isinstance(wanted, dict):
        return _refused("The entry has no request.", "Give method and url.", place)
    method, url = wanted.get("method"), wanted.get("url")
    if method not in METHODS:
        text, where = "This method is not supported in a batch.", f"{place}.method"
        if method in _OTHER_METHODS:
            return _Entry("GET", "", "", {}, MethodNotAllowed(text, METHODS, expression=(where,)))
        return _refused(text, f"Use one of: {', '.join(METHODS)}.", where)
    if not isinstance(url, str) or not url.isprintable() or "#" in url:
        return _refused("The url is missing or not one.", "Give Type/id or Type?…", f"{place}.url")
    relative = url.removeprefix(f"{tenant.base}/").lstrip("/")
    escaped, _, query = relative.partition("?")
    path = unquote(escaped).lstrip("/")
    # What is escaped twice would be another path for the route table than for this check.
    leads_away = "%" in path or path.startswith(_ELSEWHERE) or "$export" in path
    if urlsplit(relative).scheme or leads_away:
        return _refused(
            "The url leads to nothing that a batch may ask.",
            "Give a path under the FHIR base, such as Patient/1 or Appointment?date=2026-11-21.",
            f"{place}.url",
        )
    headers = {
        name: value
        for element, name in _CONDITIONS.items()
        if isinstance(value := wanted.get(element), str) and value.isprintable()
    }
    if "If-Modified-Since" in headers:
        try:
            since = parse_interval(headers["If-Modified-Since"], tenant.zone)
        except InvalidDate:
            return _refused(
                "ifModifiedSince is not an instant.",
                "Give one such as 2026-11-21T09:30:00Z.",
                f"{place}.ifModifiedSince",
            )
        headers["If-Modified-Since"] = http_date(since.lo)
    return _Entry(method, path, query, headers)


def _refused(text: str, advice: str, place: str) -> _Entry:
    refusal = InvalidRequest(text, diagnostics=advice, expression=(place,))
    return _Entry("GET", "", "", {}, refusal)


def _answer(made: Any, entry: _Entry) -> BatchAnswer:
    response = current_app.make_response(made)
    status = HTTPStatus(response.status_code)
    body = b"" if entry.method == "HEAD" and status < 400 else response.get_data()
    modified = response.headers.get("Last-Modified")
    return BatchAnswer(
        status=f"{status.value} {status.phrase}",
        etag=response.headers.get("ETag"),
        last_modified=modified and format_instant(to_us(parsedate_to_datetime(modified))),
        body=body or None,
        failed=status.value >= 400,
    )
