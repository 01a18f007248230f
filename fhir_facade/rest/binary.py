"""`Binary/{id}`: the content of a document, as it is or as a resource (R4 binary.html#rest).

The bytes come from the upstream while the client waits and pass through in chunks. The presigned
address they come from goes nowhere: there is no redirect to it, and no error tells it.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from flask import Response, request

from fhir_facade.errors import PreconditionFailed, TooCostly, UpstreamFault
from fhir_facade.fhir import FHIRResource, json
from fhir_facade.fhir.outcome import outcome
from fhir_facade.mirror import versions
from fhir_facade.mirror.records import RecordStore
from fhir_facade.mirror.versions import Row
from fhir_facade.resources.qubs_attachments import UNKNOWN_TYPE, guid_of
from fhir_facade.rest.accesses import Access, record
from fhir_facade.rest.authorize import Authorizer, served_type
from fhir_facade.rest.byte_ranges import Range, content_range, cut, parse_range, part_of
from fhir_facade.rest.correlation import correlation_id
from fhir_facade.rest.negotiate import Form, binary_form
from fhir_facade.rest.parts import RestParts
from fhir_facade.rest.prefer import search_context
from fhir_facade.rest.read import ReadViews, checked_id, current_row, gone, not_found
from fhir_facade.rest.respond import FHIR_JSON, Header, http_date, respond, respond_json
from fhir_facade.rest.upstream_faults import fault_of
from fhir_facade.search.parse import parse_shape, read_pairs
from fhir_facade.telemetry import log
from fhir_facade.upstream.errors import UpstreamError
from fhir_facade.upstream.files import RangeNotThere
from fhir_facade.upstream.qubs_documents import Content
from fhir_facade.upstream.qubs_words import ATTACHMENTS

LARGEST_RESOURCE: Final = 5 * 1024 * 1024
"""Bytes that are put into a Binary resource at most; larger files are read as they are."""
_SHAPES: Final = ("_summary", "_elements")
_SANDBOX: Final = ("Content-Security-Policy", "sandbox")


@dataclass(frozen=True)
class _Document:
    """A Binary that the principal may read, and where its content is."""

    row: Row
    resource: FHIRResource
    appointment: str
    guid: str

    @property
    def content_type(self) -> str:
        return str(self.resource["contentType"])


class BinaryViews:
    """The route of one Binary."""

    def __init__(self, parts: RestParts, authorizer: Authorizer, reads: ReadViews) -> None:
        self._parts = parts
        self._authorizer = authorizer
        self._reads = reads

    def read(self, tenant: str, resource_id: str) -> Response:
        """`GET [base]/Binary/id`: bytes, or a resource for who accepts FHIR JSON by name. A part of
        the resource (`_summary`, `_elements`) is answered from the mirror, without data."""
        pairs = read_pairs(request.environ.get("QUERY_STRING", "").encode("latin-1"))
        if any(name in _SHAPES for name, _ in pairs):
            return self._reads.read(tenant, "Binary", resource_id)
        access = self._authorizer.access(tenant, "read")
        definition = served_type(access, "Binary", "r")
        access.resource_id = checked_id(resource_id)
        parse_shape(definition, pairs, search_context(access))
        document = self._document(access, resource_id)
        form = binary_form(request.environ.get("HTTP_ACCEPT"), pairs, document.content_type)
        if form is not None:
            return self._as_resource(access, document, form)
        return self._as_it_is(access, document)

    def _document(self, access: Access, resource_id: str) -> _Document:
        slug = access.tenant.slug
        with self._parts.database.read() as conn:
            row = current_row(conn, access, "Binary", resource_id)
            owner = versions.owner(conn, slug, "Binary", resource_id) if row else None
        if row is None or owner is None:
            raise not_found()
        if row.deleted:
            raise gone()
        source, subject = owner
        listed = RecordStore(self._parts.database).body(slug, source, ATTACHMENTS, subject.key)
        guid = guid_of(subject.key, json.loads(listed), resource_id) if listed else None
        if guid is None:
            raise not_found()
        return _Document(row, json.loads(row.body or b"{}"), subject.key, guid)

    def _open(self, access: Access, document: _Document, part: Range | None = None) -> Content:
        """Begin to fetch. Raises RangeNotThere, NotFound and UpstreamFault."""
        documents = self._parts.documents.get(access.tenant.slug)
        if documents is None:
            raise UpstreamFault("The source of this document is not set up any more.")
        try:
            return documents.open(document.appointment, document.guid, part)
        except RangeNotThere:
            raise
        except UpstreamError as error:
            raise fault_of(error, "The document's content") from None

    # As a resource

    def _as_resource(self, access: Access, document: _Document, form: Form) -> Response:
        content = self._open(access, document)
        data = _whole(content)
        contained = {
            **document.resource,
            "contentType": _media_type(document, content),
            "data": base64.b64encode(data).decode("ascii"),
        }
        body = json.dumps_pretty(contained) if form.pretty else json.dumps(contained)
        validators = (
            ("ETag", f'W/"{document.row.version_id}"'),
            ("Last-Modified", http_date(document.row.last_updated_us)),
        )
        record(self._parts, access, 200, (document.row,))
        return respond(body, 200, form.media_type, validators)

    # As it is

    def _as_it_is(self, access: Access, document: _Document) -> Response:
        asked = request.environ.get("HTTP_RANGE") if request.method == "GET" else None
        wanted = parse_range(asked)
        content = self._fresh(access, document, wanted)
        tag = _tag(access, content)
        headers = _headers(document, content, tag)
        if not _is_wanted(tag):
            content.close()
            raise PreconditionFailed(
                "This is not the version that the request names.",
                diagnostics="Read it without If-Match; its ETag is that of now.",
            )
        if _is_known(tag):
            content.close()
            record(self._parts, access, 304, (document.row,))
            return respond(b"", 304, _media_type(document, content), tuple(headers))
        part = content.part
        chunks = content.chunks()
        if wanted and part is None and content.size is not None and _is_same(tag):
            # The store sends the whole file: it does not know ranges, or has no such one.
            part = part_of(wanted, content.size)
            if part is None:
                content.close()
                record(self._parts, access, 416)
                return _no_such_range(content.size)
            chunks = cut(chunks, part)
        length = content.size
        if part is not None:
            headers.append(("Content-Range", content_range(part)))
            length = part.last - part.first + 1
        elif length is None and request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
            # It knows no chunks: without a length it could not tell a broken body from a whole one.
            data = _whole(content)
            chunks, length = iter((data,)), len(data)
        status = 200 if part is None else 206
        response = respond(b"", status, _media_type(document, content), tuple(headers))
        response.headers.remove("Content-Length")
        if length is not None:
            response.headers["Content-Length"] = str(length)
        if request.method == "HEAD":
            content.close()
        else:
            response.response = _watched(chunks, length)
            response.call_on_close(content.close)
        record(self._parts, access, status, (document.row,))
        return response

    def _fresh(self, access: Access, document: _Document, wanted: Range | None) -> Content:
        """The content, or the part wanted if `If-Range` allows it: the whole of another version."""
        try:
            content = self._open(access, document, wanted)
        except RangeNotThere:
            return self._open(access, document)
        if content.part is not None and not _is_same(_tag(access, content)):
            content.close()
            return self._open(access, document)
        return content


def _no_such_range(size: int) -> Response:
    text, advice = "The file has no such range.", f"Ask for some of its {size} bytes."
    body = outcome("error", "invalid", text, advice, ("Range",), correlation_id())
    return respond_json(body, 416, FHIR_JSON, ("Content-Range", f"bytes */{size}"))


def _whole(content: Content) -> bytes:
    """The bytes for a resource. Raises TooCostly beyond LARGEST_RESOURCE, UpstreamFault."""
    found = bytearray()
    try:
        for chunk in content.chunks():
            found += chunk
            if len(found) > LARGEST_RESOURCE:
                raise TooCostly(
                    "The file is too large to be put into a resource.",
                    diagnostics="Read it as it is: send 'Accept: */*', without _format.",
                )
    except UpstreamError as error:
        raise fault_of(error, "The document's content") from None
    finally:
        content.close()
    return bytes(found)


def _watched(chunks: Iterator[bytes], length: int | None) -> Iterator[bytes]:
    """The chunks. When they end too early, or are not as many bytes as the answer tells, the
    connection is reset: a body that is cut short must not pass for a whole one.

    Raises ConnectionResetError, which the web worker turns into the reset.
    """
    sent, failed = 0, ""
    try:
        for chunk in chunks:
            sent += len(chunk)
            yield chunk
    except UpstreamError as error:
        failed = error.operation
    if failed or length not in (None, sent):
        log("rest").warning("download.broken", operation=failed or "length")
        raise ConnectionResetError(errno.ECONNRESET, "The content broke off.")


def _headers(document: _Document, content: Content, tag: str | None) -> list[Header]:
    ending = mimetypes.guess_extension(_media_type(document, content)) or ""
    headers: list[Header] = [
        ("Content-Disposition", f'attachment; filename="{document.row.id}{ending}"'),
        _SANDBOX,
    ]
    if content.size is not None:
        headers.append(("Accept-Ranges", "bytes"))
    if tag is not None:
        headers.append(("ETag", tag))
    return headers


def _media_type(document: _Document, content: Any) -> str:
    """What the resource says; where the file's name told nothing, the store's word."""
    known = document.content_type
    return known if known != UNKNOWN_TYPE else content.content_type or known


def _tag(access: Access, content: Content) -> str | None:
    """A strong tag made of the store's: its own may be the key of something."""
    if content.etag is None:
        return None
    digest = hashlib.sha256(f"{access.tenant.slug}\n{content.etag}".encode()).hexdigest()
    return f'"{digest[:32]}"'


def _is_known(tag: str | None) -> bool:
    """Whether the client has these bytes already (`If-None-Match`, which comes before a range)."""
    tags = [one.removeprefix("W/") for one in _tags("HTTP_IF_NONE_MATCH")]
    return "*" in tags or tag in tags


def _is_wanted(tag: str | None) -> bool:
    """Whether this is a version that `If-Match` names, if it is there (strong comparison)."""
    tags = _tags("HTTP_IF_MATCH")
    return not tags or "*" in tags or tag in tags


def _tags(header: str) -> list[str]:
    given: str = request.environ.get(header, "")
    return [one.strip() for one in given.split(",") if one.strip()]


def _is_same(tag: str | None) -> bool:
    """Whether a range may be given: no `If-Range`, or this very version (a date never is)."""
    known: str | None = request.environ.get("HTTP_IF_RANGE")
    return known is None or known.strip() == tag
