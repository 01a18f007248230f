"""read, vread and instance history (R4 http.html#read)."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

from flask import Response, request

from fhir_facade.errors import Gone, NotFound, PreconditionFailed
from fhir_facade.fhir import json
from fhir_facade.fhir.ids import is_id
from fhir_facade.mirror import find, versions
from fhir_facade.mirror.connection import Connection
from fhir_facade.mirror.versions import Row
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.rest import unstored
from fhir_facade.rest.accesses import Access, record
from fhir_facade.rest.authorize import Authorizer, served_type
from fhir_facade.rest.negotiate import Form, negotiate
from fhir_facade.rest.parts import RestParts
from fhir_facade.rest.prefer import search_context
from fhir_facade.rest.respond import Header, http_date, respond
from fhir_facade.search.parse import parse_shape, read_pairs
from fhir_facade.search.query import Shape
from fhir_facade.search.subset import subset

_VERSION = re.compile("[1-9][0-9]{0,8}", re.ASCII)
_PLAIN = Form()
_WHOLE = Shape()


class ReadViews:
    """The routes of one instance."""

    def __init__(self, parts: RestParts, authorizer: Authorizer) -> None:
        self._parts = parts
        self._authorizer = authorizer

    def read(self, tenant: str, resource_type: str, resource_id: str) -> Response:
        """`GET [base]/Type/id`."""
        access = self._authorizer.access(tenant, "read")
        definition = served_type(access, resource_type, "r")
        access.resource_id = checked_id(resource_id)
        form, shape = self._form(access, definition)
        if not definition.stored:
            row = unstored.read(self._parts, access.tenant, resource_type, resource_id)
        else:
            with self._parts.database.read() as conn:
                row = current_row(conn, access, resource_type, resource_id)
        if row is None:
            raise not_found()
        if row.deleted:
            raise gone()
        return self._answer(access, row, form, shape)

    def vread(self, tenant: str, resource_type: str, resource_id: str, version: str) -> Response:
        """`GET [base]/Type/id/_history/version`: judged on the current version and on the one asked
        for.
        """
        access = self._authorizer.access(tenant, "vread")
        definition = served_type(access, resource_type, "r")
        access.resource_id = checked_id(resource_id)
        form, shape = self._form(access, definition)
        number = int(version) if _VERSION.fullmatch(version) else 0
        if not definition.stored:
            row = (
                unstored.read(self._parts, access.tenant, resource_type, resource_id)
                if number == 1
                else None
            )
        else:
            with self._parts.database.read() as conn:
                row = self._version(conn, access, resource_type, resource_id, number)
        if row is None:
            raise not_found()
        if row.deleted:
            raise gone()
        return self._answer(access, row, form, shape)

    def _version(
        self, conn: Connection, access: Access, resource_type: str, resource_id: str, number: int
    ) -> Row | None:
        if current_row(conn, access, resource_type, resource_id) is None:
            return None
        slug = access.tenant.slug
        row = versions.read_version(conn, slug, resource_type, resource_id, number)
        if row is None or not find.admitted(conn, slug, access.reach, None, [row], "r"):
            access.out_of_reach = row is not None
            return None
        return row

    def _form(self, access: Access, definition: ResourceDefinition) -> tuple[Form, Shape]:
        """The form of the answer, and which parts of the resource are asked for."""
        accept = request.environ.get("HTTP_ACCEPT")
        query = request.environ.get("QUERY_STRING")
        if not query:
            return (negotiate(accept) if accept else _PLAIN), _WHOLE
        pairs = read_pairs(query.encode("latin-1"))
        return negotiate(accept, pairs), parse_shape(definition, pairs, search_context(access))

    def _answer(self, access: Access, row: Row, form: Form, shape: Shape) -> Response:
        if "HTTP_IF_MATCH" in request.environ or "HTTP_IF_UNMODIFIED_SINCE" in request.environ:
            _check_version(row)
        if _is_fresh(row):
            record(self._parts, access, 304, (row,))
            return respond(b"", 304, form.media_type, validators(row))
        body = row.body or b""
        if shape is not _WHOLE:
            body = subset(body, shape.summary, shape.elements)
        if form.pretty:
            body = json.dumps_pretty(json.loads(body))
        record(self._parts, access, 200, (row,))
        return respond(body, 200, form.media_type, validators(row))


def validators(row: Row) -> tuple[Header, ...]:
    """What a client names its copy by."""
    return (
        ("ETag", f'W/"{row.version_id}"'),
        ("Last-Modified", http_date(row.last_updated_us)),
    )


def current_row(
    conn: Connection, access: Access, resource_type: str, resource_id: str
) -> Row | None:
    """The version that is valid now, a tombstone too, when the principal reaches it."""
    row = versions.read(conn, access.tenant.slug, resource_type, resource_id)
    if row is None:
        return None
    if not find.admitted(conn, access.tenant.slug, access.reach, None, [row], "r"):
        access.out_of_reach = True
        return None
    return row


def checked_id(text: str) -> str:
    """The id, when it can be one: what cannot be an id names nothing."""
    if not is_id(text):
        raise not_found()
    return text


def not_found() -> NotFound:
    """The same for what does not exist and for what is out of reach."""
    return NotFound(
        "Not found",
        diagnostics="There is no such resource, or it is outside what the token reaches.",
    )


def gone() -> Gone:
    """What is deleted, to those who could have read it."""
    return Gone(
        "The resource was deleted.", diagnostics="Its '_history' lists the versions it had."
    )


def _check_version(row: Row) -> None:
    """Raise PreconditionFailed unless this is the version that the client wants, if any
    (`If-Match`, `If-Unmodified-Since`)."""
    environ = request.environ
    if (wanted := environ.get("HTTP_IF_MATCH")) is not None:
        met = _is_named(wanted, row)
    else:
        met = _is_unchanged(row, environ["HTTP_IF_UNMODIFIED_SINCE"]) is not False
    if not met:
        raise PreconditionFailed(
            "This is not the version that the request names.",
            diagnostics="Read it without If-Match and If-Unmodified-Since, or by its number: "
            "[base]/Type/id/_history/version.",
        )


def _is_fresh(row: Row) -> bool:
    """Whether the client's copy is this version (RFC 9110 section 13.1, weak comparison)."""
    environ = request.environ
    if (known := environ.get("HTTP_IF_NONE_MATCH")) is not None:
        return _is_named(known, row)
    if (since := environ.get("HTTP_IF_MODIFIED_SINCE")) is not None:
        return _is_unchanged(row, since) is True
    return False


def _is_named(tags: str, row: Row) -> bool:
    known = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
    return "*" in known or f'"{row.version_id}"' in known


def _is_unchanged(row: Row, since: str) -> bool | None:
    """Whether it is as it was then; None when that is no date, and to be ignored."""
    try:
        return row.last_updated_us // 1_000_000 <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return None
