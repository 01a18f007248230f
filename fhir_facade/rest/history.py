"""history of an instance, of a type and of the system (R4 http.html#history)."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from flask import Response, request

from fhir_facade.errors import InvalidRequest, UnsupportedParameter
from fhir_facade.fhir import json
from fhir_facade.fhir.bundle import HistoryEntry, history
from fhir_facade.fhir.dates import Interval, InvalidDate, format_instant, parse_interval
from fhir_facade.mirror import history as past
from fhir_facade.mirror import versions
from fhir_facade.mirror.connection import Connection
from fhir_facade.mirror.history import HistoryRequest, Place
from fhir_facade.mirror.versions import Row
from fhir_facade.rest import unstored
from fhir_facade.rest.accesses import Access, record
from fhir_facade.rest.authorize import Authorizer, served_type
from fhir_facade.rest.negotiate import Form, negotiate
from fhir_facade.rest.parts import RestParts
from fhir_facade.rest.read import checked_id, current_row, not_found
from fhir_facade.rest.respond import respond
from fhir_facade.search.cursor import PARAMETER, Position
from fhir_facade.search.page import cursor_url, self_url
from fhir_facade.search.parse import NEGOTIATED, read_pairs
from fhir_facade.search.query import DEFAULT_COUNT, MAX_COUNT, Pair
from fhir_facade.search.values.text import showable


@dataclass(frozen=True)
class _Asked:
    """What a history request asks. `used` are its parameters, for the link to the next page."""

    count: int = DEFAULT_COUNT
    since_us: int | None = None
    at: Interval | None = None
    used: tuple[Pair, ...] = ()
    position: Position | None = None


@dataclass(frozen=True)
class _Page:
    """Versions, the revision they were read at, and whether there are more."""

    rows: list[Row]
    revision: int
    more: bool


class HistoryViews:
    """The routes of past versions: newest first, deletions too, as far as each is within reach."""

    def __init__(self, parts: RestParts, authorizer: Authorizer) -> None:
        self._parts = parts
        self._authorizer = authorizer

    def instance(self, tenant: str, resource_type: str, resource_id: str) -> Response:
        """`GET [base]/Type/id/_history`."""
        access = self._authorizer.access(tenant, "history-instance")
        definition = served_type(access, resource_type, "r")
        access.resource_id = checked_id(resource_id)
        form, asked = self._read(access, place := f"{resource_type}/{resource_id}/_history")
        if definition.stored:
            with self._parts.database.read() as conn:
                if current_row(conn, access, resource_type, resource_id) is None:
                    raise not_found()
                page = self._page(conn, access, (resource_type,), asked, resource_id)
        else:
            one = unstored.read(self._parts, access.tenant, resource_type, resource_id)
            if one is None:
                raise not_found()
            page = _of_release([one], asked)
        return self._answer(access, place, form, asked, page)

    def type(self, tenant: str, resource_type: str) -> Response:
        """`GET [base]/Type/_history`."""
        access = self._authorizer.access(tenant, "history-type")
        definition = served_type(access, resource_type, "r")
        form, asked = self._read(access, place := f"{resource_type}/_history")
        if definition.stored:
            with self._parts.database.read() as conn:
                page = self._page(conn, access, (resource_type,), asked)
        else:
            page = _of_release(unstored.rows(access.tenant, resource_type), asked)
        return self._answer(access, place, form, asked, page)

    def system(self, tenant: str) -> Response:
        """`GET [base]/_history`: of every stored type that the token may read."""
        access = self._authorizer.access(tenant, "history-system")
        form, asked = self._read(access, place := "_history")
        types = tuple(
            name
            for name, definition in access.tenant.registry.items()
            if definition.stored and access.reach.allows_type(name, "r")
        )
        with self._parts.database.read() as conn:
            page = self._page(conn, access, types, asked)
        return self._answer(access, place, form, asked, page)

    def _read(self, access: Access, place: str) -> tuple[Form, _Asked]:
        pairs = read_pairs(request.environ.get("QUERY_STRING", "").encode("latin-1"))
        form = negotiate(request.environ.get("HTTP_ACCEPT"), pairs)
        pairs = [pair for pair in pairs if pair[0] not in NEGOTIATED]
        cursors = [value for name, value in pairs if name == PARAMETER]
        if not cursors:
            return form, _asked(pairs, access.tenant.zone, None)
        if len(pairs) > 1:
            raise InvalidRequest(
                f"'{PARAMETER}' stands alone: the link already holds the whole request.",
                diagnostics="Follow the link 'next' of a Bundle unchanged.",
                expression=(PARAMETER,),
            )
        slug = access.tenant.slug
        position = self._parts.cursors.open(slug, place, access.principal, cursors[0])
        return form, _asked(position.used, access.tenant.zone, position)

    def _page(
        self,
        conn: Connection,
        access: Access,
        types: tuple[str, ...],
        asked: _Asked,
        resource_id: str | None = None,
    ) -> _Page:
        slug, position = access.tenant.slug, asked.position
        if position is None:
            revision, after = versions.current_revision(conn, slug)[0], None
        else:
            revision, after = position.revision, _place(position)
        at = None if asked.at is None else (asked.at.lo, asked.at.hi)
        span = past.span_of(conn, slug, revision, asked.since_us, at)
        limit = asked.count + 1
        found = past.history(
            conn, HistoryRequest(slug, types, access.reach, span, limit, resource_id, after)
        )
        return _Page(found[: asked.count], revision, len(found) > asked.count)

    def _answer(
        self, access: Access, place: str, form: Form, asked: _Asked, page: _Page
    ) -> Response:
        here = asked.position
        links = {
            "self": self_url(access.tenant.base, place, asked.used)
            if here is None
            else self._link(access, place, here)
        }
        if page.more:
            last = page.rows[-1]
            following = Position(asked.used, page.revision, (last.from_revision, last.pk))
            links["next"] = self._link(access, place, following)
        body = history([_entry(access, row) for row in page.rows], None, links)
        if form.pretty:
            body = json.dumps_pretty(json.loads(body))
        record(self._parts, access, 200, page.rows)
        return respond(body, 200, form.media_type)

    def _link(self, access: Access, place: str, position: Position) -> str:
        slug = access.tenant.slug
        cursor = self._parts.cursors.seal(slug, place, access.principal, position)
        return cursor_url(access.tenant.base, place, (), cursor)


def _place(position: Position) -> Place | None:
    return None if position.after is None else Place(*(int(str(n)) for n in position.after))


def _asked(
    pairs: list[Pair] | tuple[Pair, ...], zone: ZoneInfo, position: Position | None
) -> _Asked:
    values: dict[str, str] = {}
    for name, value in pairs:
        if name not in ("_count", "_since", "_at"):
            raise UnsupportedParameter(
                "A history takes no such parameter.",
                diagnostics="Use _count, _since, _at, _format and _pretty, or follow the link "
                "'next'.",
                expression=(showable(name),),
            )
        if name in values:
            raise _malformed(name, "given once")
        values[name] = value
    since = values.get("_since")
    return _Asked(
        count=_count(values["_count"]) if "_count" in values else DEFAULT_COUNT,
        since_us=None if since is None else _instant("_since", since, zone).lo,
        at=_instant("_at", values["_at"], zone) if "_at" in values else None,
        used=tuple(pairs),
        position=position,
    )


def _instant(name: str, value: str, zone: ZoneInfo) -> Interval:
    """An instant, or for `_at` a date that may be partial; without a zone it is the tenant's."""
    try:
        return parse_interval(value.replace(" ", "+"), zone)
    except InvalidDate:
        raise _malformed(name, "a date or an instant such as 2026-11-21T09:30:00Z") from None


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit()) or len(value) > 9 or int(value) < 1:
        raise _malformed("_count", "a whole number, 1 or more")
    return min(int(value), MAX_COUNT)


def _malformed(name: str, rule: str) -> InvalidRequest:
    return InvalidRequest(
        f"The value of '{name}' is not valid.",
        diagnostics=f"'{name}' must be {rule}.",
        expression=(name,),
    )


def _of_release(rows: list[Row], asked: _Asked) -> _Page:
    """Types that are served from code have one version each, that of the release."""
    since, at = asked.since_us, asked.at
    found = [
        row
        for row in rows
        if (since is None or row.last_updated_us >= since)
        and (at is None or row.last_updated_us < at.hi)
    ]
    return _Page(found, 0, more=False)


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
