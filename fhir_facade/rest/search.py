"""search by GET and POST, on one type and on several, everywhere or in a patient's compartment
(R4 http.html#search, compartmentdefinition.html).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from flask import Response, request

from fhir_facade.errors import Forbidden, InvalidRequest, TooCostly, UnsupportedMediaType
from fhir_facade.fhir import json
from fhir_facade.mirror.criteria import CompartmentCriterion
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.rest import unstored
from fhir_facade.rest.accesses import Access, record
from fhir_facade.rest.authorize import Authorizer, served_type
from fhir_facade.rest.bodies import read_body
from fhir_facade.rest.negotiate import Form, negotiate
from fhir_facade.rest.parts import RestParts
from fhir_facade.rest.prefer import search_context
from fhir_facade.rest.respond import respond
from fhir_facade.search.compartment import (
    in_compartment,
    refuse_other_patients,
    refuse_types_out_of_scope,
)
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
from fhir_facade.search.system import TYPE, parse_types, run_types

_FORM = "application/x-www-form-urlencoded"


class Page(NamedTuple):
    """A finished Bundle."""

    body: bytes
    media_type: str


@dataclass(frozen=True)
class _Search:
    """A search that was run: its path under the base, what was asked, and one page of it."""

    path: str
    query: SearchQuery
    page: SearchPage
    position: Position | None


class SearchViews:
    """The routes of a search on one type, and on several."""

    def __init__(self, parts: RestParts, authorizer: Authorizer) -> None:
        self._parts = parts
        self._authorizer = authorizer

    def by_get(self, tenant: str, resource_type: str) -> Response:
        """`GET [base]/Type?…`."""
        access = self._authorizer.access(tenant, "search-type")
        definition = served_type(access, resource_type, "s")
        return self.of_type(access, definition, query_pairs())

    def by_post(self, tenant: str, resource_type: str) -> Response:
        """`POST [base]/Type/_search`: parameters of the body after those of the URL. No link of the
        answer carries a value of the body.
        """
        access = self._authorizer.access(tenant, "search-type")
        definition = served_type(access, resource_type, "s")
        return self.of_type(access, definition, [*query_pairs(), *form_pairs()])

    def all_by_get(self, tenant: str) -> Response:
        """`GET [base]?_type=…`."""
        access = self._authorizer.access(tenant, "search-system")
        return self.of_types(access, query_pairs())

    def all_by_post(self, tenant: str) -> Response:
        """`POST [base]/_search`, as `by_post`."""
        access = self._authorizer.access(tenant, "search-system")
        return self.of_types(access, [*query_pairs(), *form_pairs()])

    def of_type(
        self,
        access: Access,
        definition: ResourceDefinition,
        pairs: list[Pair],
        patient_id: str | None = None,
    ) -> Response:
        """The answer to a search on one type by these parameters; with `patient_id` in the
        compartment of that patient."""
        return _respond(self.page_of_type(access, definition, pairs, patient_id))

    def page_of_type(
        self,
        access: Access,
        definition: ResourceDefinition,
        pairs: list[Pair],
        patient_id: str | None = None,
    ) -> Page:
        """The same, without the headers."""
        path = _path(definition.type, patient_id)
        form = negotiate(access.environ.get("HTTP_ACCEPT"), pairs)
        position, pairs = self._position(access, path, pairs)
        query = _within(parse(definition, pairs, _context(access, position)), patient_id)
        _refuse_out_of_reach(access, definition, query)
        if definition.stored:
            with self._parts.database.read() as conn:
                page = run(
                    conn, access.tenant.slug, query, access.reach, self._parts.totals, position
                )
        else:
            page = unstored.search(self._parts, access.tenant, definition, query, position)
        return self._answer(access, _Search(path, query, page, position), form)

    def of_types(
        self, access: Access, pairs: list[Pair], patient_id: str | None = None
    ) -> Response:
        """The answer to a search on the types that `_type` names, or on all; as `of_type`."""
        path = _path("*", patient_id)
        form = negotiate(access.environ.get("HTTP_ACCEPT"), pairs)
        position, pairs = self._position(access, path, pairs)
        definitions, rest = searched_types(access, pairs, only_compartment=patient_id is not None)
        parsed = parse_types(definitions, rest, _context(access, position))
        queries = [_within(query, patient_id) for query in parsed]
        for definition, query in zip(definitions, queries, strict=True):
            _refuse_out_of_reach(access, definition, query)
        with self._parts.database.read() as conn:
            page = run_types(
                conn, access.tenant.slug, queries, access.reach, self._parts.totals, position
            )
        named = [pair for pair in pairs if pair[0] == TYPE]
        query = replace(queries[0], used=(*named, *queries[0].used))
        return _respond(self._answer(access, _Search(path, query, page, position), form))

    def _position(
        self, access: Access, path: str, pairs: list[Pair]
    ) -> tuple[Position | None, list[Pair]]:
        """Where to go on when the request follows a link of an earlier page, and the parameters of
        the whole search."""
        cursors = [value for name, value in pairs if name == PARAMETER]
        if not cursors:
            return None, pairs
        if len(cursors) > 1 or any(name not in {PARAMETER, *NEGOTIATED} for name, _ in pairs):
            raise InvalidRequest(
                f"'{PARAMETER}' stands alone: the link already holds the whole search.",
                diagnostics="Follow the link 'next' of a Bundle unchanged.",
                expression=(PARAMETER,),
            )
        slug = access.tenant.slug
        position = self._parts.cursors.open(slug, path, access.principal, cursors[0])
        return position, list(position.used)

    def _answer(self, access: Access, search: _Search, form: Form) -> Page:
        page = search.page
        links = {"self": self._self_link(access, search)}
        if page.after is not None:
            after = Position(search.query.used, page.revision, page.after, page.total)
            links["next"] = self._cursor_link(access, search, after)
        issues = ignored_issues(search.query)
        if page.cut:
            issues.append(cut_issue())
        access.query = tuple(name for name, _ in search.query.used)
        content = PageContent(page.matches, page.included, page.total, links, issues)
        body = bundle(access.tenant.base, search.query, content)
        if form.pretty:
            body = json.dumps_pretty(json.loads(body))
        record(self._parts, access, 200, (*page.matches, *page.included))
        return Page(body, form.media_type)

    def _self_link(self, access: Access, search: _Search) -> str:
        """What was searched. A GET shows the parameters that were applied; a POST, and a page that
        came from a cursor, a cursor: their values are in no URL.
        """
        base, query, page = access.tenant.base, search.query, search.page
        if search.position is None and access.environ["REQUEST_METHOD"] != "POST":
            return self_url(base, search.path, query.used)
        here = search.position or Position(query.used, page.revision, None, page.total)
        try:
            return self._cursor_link(access, search, here)
        except TooCostly:
            return self_url(base, search.path, ())

    def _cursor_link(self, access: Access, search: _Search, position: Position) -> str:
        slug = access.tenant.slug
        sealed = self._parts.cursors.seal(slug, search.path, access.principal, position)
        return cursor_url(access.tenant.base, search.path, search.query.used, sealed)


def _path(searched: str, patient_id: str | None) -> str:
    """What a search is bound to and stands in its links: `Type`, nothing for all types, or these
    below `Patient/id`."""
    if patient_id is None:
        return "" if searched == "*" else searched
    return f"Patient/{patient_id}/{searched}"


def _within(query: SearchQuery, patient_id: str | None) -> SearchQuery:
    if patient_id is None:
        return query
    return replace(query, criteria=(CompartmentCriterion(patient_id), *query.criteria))


def searched_types(
    access: Access, pairs: list[Pair], *, only_compartment: bool = False
) -> tuple[list[ResourceDefinition], list[Pair]]:
    """The types `_type` names, or every stored one the token may search (`only_compartment`: of
    those that the compartment of a patient may hold); and the other parameters.

    Raises as `served_type` does for a name, and Forbidden when the token may search nothing.
    """
    names = [name for key, value in pairs if key == TYPE for name in value.split(",")]
    rest = [pair for pair in pairs if pair[0] != TYPE]
    registry = access.tenant.registry
    if names:
        definitions = [served_type(access, name, "s") for name in sorted(set(names))]
        access.type = None
    else:
        definitions = [
            one
            for one in registry.values()
            if one.stored and access.reach.allows_type(one.type, "s")
        ]
    if not definitions:
        raise Forbidden("The token's scopes cover no search.")
    if only_compartment:
        definitions = _compartment_types(definitions, named=bool(names))
    unstored = [one.type for one in definitions if not one.stored]
    if unstored:
        raise InvalidRequest(
            "A search over several types takes types with stored resources only.",
            diagnostics=f"Search {', '.join(unstored)} by itself.",
            expression=(TYPE,),
        )
    return definitions, rest


def _compartment_types(
    definitions: list[ResourceDefinition], *, named: bool
) -> list[ResourceDefinition]:
    within = [one for one in definitions if in_compartment(one)]
    if not within or (named and len(within) < len(definitions)):
        raise InvalidRequest(
            "Not all of these types are in the compartment of a patient.", expression=(TYPE,)
        )
    return within


def _refuse_out_of_reach(
    access: Access, definition: ResourceDefinition, query: SearchQuery
) -> None:
    refuse_types_out_of_scope(query, access.reach)
    refuse_other_patients(definition, query, access.reach)


def _context(access: Access, position: Position | None) -> SearchContext:
    context = search_context(access)
    return context if position is None else replace(context, lenient=False)


def query_pairs() -> list[Pair]:
    """The parameters of the URL."""
    query: str = request.environ.get("QUERY_STRING", "")
    return read_pairs(query.encode("latin-1"))


def form_pairs() -> list[Pair]:
    """The parameters of the body. Raises UnsupportedMediaType when it is no form."""
    content_type = request.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    body = read_body()
    if content_type != _FORM and (body or content_type):
        raise UnsupportedMediaType(
            "The body of a search is a form.", diagnostics=f"Send Content-Type: {_FORM}."
        )
    return read_pairs(body)


def _respond(page: Page) -> Response:
    return respond(page.body, 200, page.media_type)
