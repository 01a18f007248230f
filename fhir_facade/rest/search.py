"""search by GET and POST on one type (R4 http.html#search)."""

from __future__ import annotations

from flask import Response, request

from fhir_facade.errors import InvalidRequest, TooCostly, UnsupportedMediaType
from fhir_facade.fhir import json
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.rest import conformance
from fhir_facade.rest.accesses import Access, record
from fhir_facade.rest.authorize import Authorizer, principal_of, served_type
from fhir_facade.rest.bodies import read_body
from fhir_facade.rest.negotiate import Form, negotiate
from fhir_facade.rest.parts import RestParts
from fhir_facade.rest.prefer import search_context
from fhir_facade.rest.respond import respond
from fhir_facade.search.compartment import refuse_other_patients, refuse_types_out_of_scope
from fhir_facade.search.cursor import PARAMETER, Position
from fhir_facade.search.page import (
    PageContent,
    bundle,
    cursor_url,
    cut_issue,
    ignored_issues,
    self_url,
)
from fhir_facade.search.parse import NEGOTIATED, parse, read_pairs
from fhir_facade.search.query import Pair, SearchContext, SearchQuery
from fhir_facade.search.run import SearchPage, run

_FORM = "application/x-www-form-urlencoded"


class SearchViews:
    """The routes of a type."""

    def __init__(self, parts: RestParts, authorizer: Authorizer) -> None:
        self._parts = parts
        self._authorizer = authorizer

    def by_get(self, tenant: str, resource_type: str) -> Response:
        """`GET [base]/Type?…`."""
        access = self._authorizer.access(tenant, "search-type")
        definition = served_type(access, resource_type, "s")
        return self._answer(access, definition, _query_pairs())

    def by_post(self, tenant: str, resource_type: str) -> Response:
        """`POST [base]/Type/_search`: parameters of the body after those of the URL. No link of the
        answer carries a value of the body.
        """
        access = self._authorizer.access(tenant, "search-type")
        definition = served_type(access, resource_type, "s")
        return self._answer(access, definition, [*_query_pairs(), *_form_pairs()])

    def _answer(
        self, access: Access, definition: ResourceDefinition, pairs: list[Pair]
    ) -> Response:
        form = negotiate(request.environ.get("HTTP_ACCEPT"), pairs)
        query, position = self._parse(access, definition, pairs)
        refuse_types_out_of_scope(query, access.reach)
        refuse_other_patients(definition, query, access.reach)
        if definition.stored:
            with self._parts.database.read() as conn:
                page = run(
                    conn, access.tenant.slug, query, access.reach, self._parts.totals, position
                )
        else:
            page = conformance.search(access.tenant, definition, query, position)
        body = bundle(access.tenant.base, query, self._content(access, query, page, position))
        record(self._parts, access, 200, (*page.matches, *page.included))
        return _respond(body, form)

    def _parse(
        self, access: Access, definition: ResourceDefinition, pairs: list[Pair]
    ) -> tuple[SearchQuery, Position | None]:
        """The query, and where to go on when the request follows a link of an earlier page."""
        context = search_context(access)
        cursors = [value for name, value in pairs if name == PARAMETER]
        if not cursors:
            return parse(definition, pairs, context), None
        if len(cursors) > 1 or any(name not in {PARAMETER, *NEGOTIATED} for name, _ in pairs):
            raise InvalidRequest(
                f"'{PARAMETER}' stands alone: the link already holds the whole search.",
                diagnostics="Follow the link 'next' of a Bundle unchanged.",
                expression=(PARAMETER,),
            )
        position = self._parts.cursors.open(
            access.tenant.slug, definition.type, principal_of(access), cursors[0]
        )
        strict = SearchContext(context.registry, context.zone, context.base)
        return parse(definition, position.used, strict), position

    def _content(
        self, access: Access, query: SearchQuery, page: SearchPage, position: Position | None
    ) -> PageContent:
        links = {"self": self._self_link(access, query, page, position)}
        if page.after is not None:
            after = Position(query.used, page.revision, page.after, page.total)
            links["next"] = self._cursor_link(access, query, after)
        issues = ignored_issues(query)
        if page.cut:
            issues.append(cut_issue())
        return PageContent(page.matches, page.included, page.total, links, issues)

    def _self_link(
        self, access: Access, query: SearchQuery, page: SearchPage, position: Position | None
    ) -> str:
        """What was searched. A GET shows the parameters that were applied; a POST, and a page that
        came from a cursor, a cursor: their values are in no URL.
        """
        base = access.tenant.base
        if position is None and request.method != "POST":
            return self_url(base, query.type, query.used)
        here = position or Position(query.used, page.revision, None, page.total)
        try:
            return self._cursor_link(access, query, here)
        except TooCostly:
            return self_url(base, query.type, ())

    def _cursor_link(self, access: Access, query: SearchQuery, position: Position) -> str:
        slug = access.tenant.slug
        sealed = self._parts.cursors.seal(slug, query.type, principal_of(access), position)
        return cursor_url(access.tenant.base, query.type, query.used, sealed)


def _query_pairs() -> list[Pair]:
    query: str = request.environ.get("QUERY_STRING", "")
    return read_pairs(query.encode("latin-1"))


def _form_pairs() -> list[Pair]:
    content_type = request.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    body = read_body()
    if content_type != _FORM and (body or content_type):
        raise UnsupportedMediaType(
            "The body of a search is a form.", diagnostics=f"Send Content-Type: {_FORM}."
        )
    return read_pairs(body)


def _respond(body: bytes, form: Form) -> Response:
    if form.pretty:
        body = json.dumps_pretty(json.loads(body))
    return respond(body, 200, form.media_type)
