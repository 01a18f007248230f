"""Bulk Data: kick-off, status, files, cancel (https://hl7.org/fhir/uv/bulkdata/STU2/export.html).

Thin: what an export is, `fhir_facade.bulk` knows.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import quote

from flask import Response, request, send_file
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from fhir_facade.bulk.download import served_file
from fhir_facade.bulk.kickoff import kickoff
from fhir_facade.bulk.model import Complete, ExportPrincipal, Failed, KickoffRequest, ServedFile
from fhir_facade.bulk.parameters import from_body
from fhir_facade.bulk.status import cancel, status
from fhir_facade.errors import MethodNotAllowed
from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.ids import is_id
from fhir_facade.fhir.outcome import outcome
from fhir_facade.rest.accesses import Access, record, record_durably
from fhir_facade.rest.authorize import Authorizer
from fhir_facade.rest.bodies import json_body, read_body
from fhir_facade.rest.correlation import correlation_id
from fhir_facade.rest.parameters_body import PARAMETERS, not_parameters
from fhir_facade.rest.parts import RestParts
from fhir_facade.rest.respond import FHIR_JSON, JSON, decorate, http_date, respond_json
from fhir_facade.search.parse import read_pairs
from fhir_facade.search.query import Pair

_RANGE = re.compile(r"bytes *= *([0-9]+-[0-9]*|-[0-9]+)", re.ASCII)
"""One range of bytes. Other units and lists of ranges are not served, and so ignored (RFC 9110
section 14.2).
"""


class ExportViews:
    """The routes of exports."""

    def __init__(self, parts: RestParts, authorizer: Authorizer) -> None:
        self._parts = parts
        self._authorizer = authorizer

    def kickoff_group(self, tenant: str, group_id: str) -> Response:
        """`GET` or `POST [base]/Group/{id}/$export`."""
        access = self._authorizer.access(tenant, "export")
        access.type = "Group"
        access.resource_id = group_id if is_id(group_id) else None
        if request.method == "HEAD":  # which Flask gives to GET, and which may start nothing
            raise MethodNotAllowed("HEAD is not supported here.", ("GET", "OPTIONS", "POST"))
        query = read_pairs(_raw_query())
        params = [*query, *_body_params()] if request.method == "POST" else query
        accepted = kickoff(
            self._parts.bulk,
            tenant,
            _principal(access),
            KickoffRequest(
                level="Group",
                group_id=group_id,
                params=params,
                url=_kickoff_url(access, group_id),
                accept=request.headers.get("Accept"),
                prefer=request.headers.get("Prefer"),
            ),
        )
        access.job_id, access.revision = accepted.job_id, accepted.revision
        record_durably(self._parts, access, 202)
        body = _notice(f'The export was accepted. Its status is at "{accepted.status_url}".')
        location = ("Content-Location", accepted.status_url)
        return respond_json(body, 202, FHIR_JSON, location)

    def status(self, tenant: str, job: str) -> Response:
        """`GET [base]/bulkstatus/{job}`."""
        access = self._authorizer.access(tenant, "export-status")
        found = status(self._parts.bulk, tenant, _principal(access), job)
        access.job_id = job
        if isinstance(found, Complete):
            record(self._parts, access, 200)
            expires = ("Expires", http_date(found.expires_us))
            return respond_json(found.manifest, 200, JSON, expires)
        if isinstance(found, Failed):
            body = outcome(
                "error", "exception", found.text, found.diagnostics, (), correlation_id()
            )
            return respond_json(body, 500)
        return respond_json(
            _notice(f"The export is being prepared: {found.progress}."),
            202,
            FHIR_JSON,
            ("X-Progress", found.progress),
            ("Retry-After", str(found.retry_after)),
        )

    def cancel(self, tenant: str, job: str) -> Response:
        """`DELETE [base]/bulkstatus/{job}`."""
        access = self._authorizer.access(tenant, "export-cancel")
        text = cancel(self._parts.bulk, tenant, _principal(access), job)
        access.job_id = job
        record_durably(self._parts, access, 202)
        return respond_json(_notice(text), 202)

    def file(self, tenant: str, job: str, name: str) -> Response:
        """`GET [base]/bulkfiles/{job}/{name}`: the finished file, by ranges if asked."""
        access = self._authorizer.access(tenant, "export-file")
        headers = request.headers
        if not _RANGE.fullmatch(headers.get("Range", "").strip()):
            request.environ.pop("HTTP_RANGE", None)
        found = served_file(
            self._parts.bulk,
            tenant,
            _principal(access),
            job,
            name,
            gzip="Range" not in headers and request.accept_encodings["gzip"] > 0,
        )
        access.job_id, access.resource_id = job, name
        response = _send(found, name)
        record_durably(self._parts, access, response.status_code)
        decorate(response)
        response.headers["Vary"] = "Accept-Encoding, Authorization, Origin"
        return response


def _send(found: ServedFile, name: str) -> Response:
    try:
        response = send_file(
            found.path,
            mimetype=found.media_type,
            as_attachment=True,
            download_name=name,
            conditional=True,
            etag=found.etag,
            last_modified=datetime.fromtimestamp(found.modified_us / 1_000_000, UTC),
        )
    except RequestedRangeNotSatisfiable:
        body = outcome(
            "error", "invalid", "The file has no such range.", None, ("Range",), correlation_id()
        )
        return respond_json(body, 416, FHIR_JSON, ("Content-Range", f"bytes */{found.size}"))
    if found.encoding is not None:
        response.headers["Content-Encoding"] = found.encoding
    return response


def _principal(access: Access) -> ExportPrincipal:
    return ExportPrincipal(access.token.client_id, access.reach)


def _raw_query() -> bytes:
    query: str = request.environ.get("QUERY_STRING", "")
    return query.encode("latin-1")


def _kickoff_url(access: Access, group_id: str) -> str:
    """The kick-off as the client should see it in the manifest."""
    url = f"{access.tenant.base}/Group/{quote(group_id, safe='')}/$export"
    query = _raw_query().decode("ascii", "replace")
    return f"{url}?{query}" if query else url


def _body_params() -> list[Pair]:
    """The Parameters resource of a POST, as pairs; no body is no parameters.

    Raises UnsupportedMediaType for anything but JSON, InvalidRequest for what is no Parameters.
    """
    body = read_body()
    if not body:
        return []
    resource = json_body(body, PARAMETERS)
    if not isinstance(resource, dict):
        raise not_parameters()
    return from_body(resource)


def _notice(diagnostics: str) -> FHIRResource:
    return outcome("information", "processing", diagnostics)
