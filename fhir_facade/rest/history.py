"""history of one instance (R4 http.html#history)."""

from __future__ import annotations

from flask import Response, request

from fhir_facade.errors import InvalidRequest, NotFound
from fhir_facade.fhir import json
from fhir_facade.fhir.bundle import HistoryEntry, history
from fhir_facade.fhir.dates import format_instant
from fhir_facade.mirror import find, versions
from fhir_facade.mirror.connection import Connection
from fhir_facade.mirror.versions import Row
from fhir_facade.rest import conformance
from fhir_facade.rest.accesses import Access, record
from fhir_facade.rest.authorize import Authorizer, principal_of, served_type
from fhir_facade.rest.negotiate import negotiate
from fhir_facade.rest.parts import RestParts
from fhir_facade.rest.read import checked_id, current_row
from fhir_facade.rest.respond import respond
from fhir_facade.search.cursor import PARAMETER, Position
from fhir_facade.search.parse import NEGOTIATED, read_pairs
from fhir_facade.search.query import DEFAULT_COUNT, MAX_COUNT, Pair


class HistoryViews:
    """The route of an instance's versions."""

    def __init__(self, parts: RestParts, authorizer: Authorizer) -> None:
        self._parts = parts
        self._authorizer = authorizer

    def instance(self, tenant: str, resource_type: str, resource_id: str) -> Response:
        """`GET [base]/Type/id/_history`: newest first, deletions too, as far as each version is
        within reach.
        """
        access = self._authorizer.access(tenant, "history-instance")
        definition = served_type(access, resource_type, "r")
        access.resource_id = checked_id(resource_id)
        pairs = read_pairs(request.environ.get("QUERY_STRING", "").encode("latin-1"))
        form = negotiate(request.environ.get("HTTP_ACCEPT"), pairs)
        place = f"{resource_type}/{resource_id}/_history"
        count, position = self._page(access, place, pairs)
        if definition.stored:
            with self._parts.database.read() as conn:
                rows, revision, more = _versions(conn, access, resource_id, count, position)
        else:
            one = conformance.read(access.tenant, resource_type, resource_id)
            rows, revision, more = [one] if one else [], 0, False
        if not rows and position is None:
            raise NotFound("Not found")
        links = {"self": f"{access.tenant.base}/{place}"}
        if more:
            following = Position((("_count", str(count)),), revision, (str(rows[-1].version_id),))
            cursor = self._parts.cursors.seal(tenant, place, principal_of(access), following)
            links["next"] = f"{access.tenant.base}/{place}?{PARAMETER}={cursor}"
        body = history([_entry(access, row) for row in rows], None, links)
        if form.pretty:
            body = json.dumps_pretty(json.loads(body))
        record(self._parts, access, 200, rows)
        return respond(body, 200, form.media_type)

    def _page(self, access: Access, place: str, pairs: list[Pair]) -> tuple[int, Position | None]:
        """How many versions, and from where on."""
        count, position = DEFAULT_COUNT, None
        for name, value in pairs:
            if name == PARAMETER:
                position = self._parts.cursors.open(
                    access.tenant.slug, place, principal_of(access), value
                )
                count = int(position.used[0][1])
            elif name == "_count":
                count = _count(value)
            elif name not in NEGOTIATED:
                raise InvalidRequest(
                    "A history takes no such parameter.",
                    diagnostics="Use _count, _format and _pretty, or follow the link 'next'.",
                )
        return count, position


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit()) or len(value) > 9 or int(value) < 1:
        raise InvalidRequest(
            "The value of '_count' is not valid.",
            diagnostics="'_count' must be a whole number, 1 or more.",
            expression=("_count",),
        )
    return min(int(value), MAX_COUNT)


def _versions(
    conn: Connection, access: Access, resource_id: str, count: int, position: Position | None
) -> tuple[list[Row], int, bool]:
    """Versions within reach, the revision they were read at, and whether more are within reach.
    Nothing of a resource whose current version is out of reach.
    """
    slug, resource_type = access.tenant.slug, access.type or ""
    if current_row(conn, access, resource_type, resource_id) is None:
        return [], 0, False
    if position is None:
        revision, before = versions.current_revision(conn, slug)[0], None
    else:
        revision, before = position.revision, int(str((position.after or ("0",))[0]))
    admitted: list[Row] = []
    while len(admitted) <= count:
        found = versions.history(
            conn, slug, resource_type, resource_id, revision, before_version=before, limit=count + 1
        )
        admitted += find.admitted(conn, slug, access.reach, None, found, "r")
        if len(found) <= count:
            break
        before = found[-1].version_id
    return admitted[:count], revision, len(admitted) > count


def _entry(access: Access, row: Row) -> HistoryEntry:
    created = row.version_id == 1
    method = "DELETE" if row.deleted else "PUT"
    return HistoryEntry(
        full_url=f"{access.tenant.base}/{row.type}/{row.id}",
        body=None if row.deleted else row.body,
        method=method,
        url=f"{row.type}/{row.id}",
        status="204" if row.deleted else "201" if created else "200",
        last_modified=format_instant(row.last_updated_us),
        etag=f'W/"{row.version_id}"',
    )
