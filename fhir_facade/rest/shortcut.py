"""The short way to an instance and to a page of a search.

Finding the route, the contexts and hooks of Flask and its response cost more than looking the
resource up. So these two requests are answered before Flask, by the functions that the views call,
when all is well with them. Any other request, and whatever is refused or fails here, goes to Flask
as if nothing had been: only a finished answer leaves a row in the audit trail.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from flask.blueprints import BlueprintSetupState

from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.rest.accesses import Access, record
from fhir_facade.rest.authorize import Authorizer
from fhir_facade.rest.negotiate import negotiate
from fhir_facade.rest.parts import RestParts
from fhir_facade.rest.read import current_row, validators
from fhir_facade.rest.respond import Header, private_headers
from fhir_facade.rest.search import SearchViews
from fhir_facade.search.parse import read_pairs

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_PATH = re.compile(r"/fhir/([^/]+)/([A-Z][A-Za-z]*)(?:/([A-Za-z0-9\-.]{1,64}))?", re.ASCII)
_CONDITIONS = frozenset(
    {
        "HTTP_IF_MATCH",
        "HTTP_IF_NONE_MATCH",
        "HTTP_IF_MODIFIED_SINCE",
        "HTTP_IF_UNMODIFIED_SINCE",
    }
)
_ELSEWHERE = frozenset({"Binary"})
"""Types whose instances have a view of their own."""


class _Answer(NamedTuple):
    body: bytes
    media_type: str
    headers: tuple[Header, ...] = ()


class Shortcut:
    """The answers to these two, for bases at `/fhir/<tenant>`."""

    def __init__(self, parts: RestParts, authorizer: Authorizer, searches: SearchViews) -> None:
        self._parts = parts
        self._authorizer = authorizer
        self._searches = searches

    def put_before(self, state: BlueprintSetupState) -> None:
        """Let the app of the blueprint answer only what has no shortcut."""
        app: Any = state.app
        otherwise: WSGIApplication = app.wsgi_app

        def wsgi_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            try:
                answer = self._answer(environ) if environ["REQUEST_METHOD"] == "GET" else None
            except Exception:
                answer = None  # the app comes to the same, and says what it is
            if answer is None:
                return otherwise(environ, start_response)
            headers = private_headers(answer.media_type, answer.headers, environ)
            headers.append(("Content-Length", str(len(answer.body))))
            start_response("200 OK", headers)
            return (answer.body,)

        app.wsgi_app = wsgi_app

    def _answer(self, environ: WSGIEnvironment) -> _Answer | None:
        match = _PATH.fullmatch(environ["PATH_INFO"])
        if match is None:
            return None
        slug, name, resource_id = match.groups()
        interaction = "search-type" if resource_id is None else "read"
        access = self._authorizer.plain(slug, environ, interaction)
        if access is None:
            return None
        definition = access.tenant.registry.get(name)
        if definition is None or not definition.stored:
            return None
        access.type = name
        if resource_id is None:
            return self._page(access, definition)
        return None if name in _ELSEWHERE else self._instance(access, definition, resource_id)

    def _instance(
        self, access: Access, definition: ResourceDefinition, resource_id: str
    ) -> _Answer | None:
        environ = access.environ
        if environ.get("QUERY_STRING") or not _CONDITIONS.isdisjoint(environ):
            return None
        if not access.reach.allows_type(definition.type, "r"):
            return None
        form = negotiate(environ.get("HTTP_ACCEPT"))
        with self._parts.database.read() as conn:
            row = current_row(conn, access, definition.type, resource_id)
        if row is None or row.body is None:
            return None
        access.resource_id = resource_id
        record(self._parts, access, 200, (row,))
        return _Answer(row.body, form.media_type, validators(row))

    def _page(self, access: Access, definition: ResourceDefinition) -> _Answer | None:
        if not access.reach.allows_type(definition.type, "s"):
            return None
        query: str = access.environ.get("QUERY_STRING", "")
        pairs = read_pairs(query.encode("latin-1"))
        return _Answer(*self._searches.page_of_type(access, definition, pairs))
