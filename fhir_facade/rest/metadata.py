"""What this server says of itself, without a token: `/metadata`, `/openapi.json` and `/docs`;
`capability`, `openapi` and `docs_page` make them.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from flask import Flask, Response, current_app, request

from fhir_facade.errors import InvalidRequest, UnsupportedParameter
from fhir_facade.fhir import json
from fhir_facade.policy import ReachClass
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.rest.authorize import Authorizer
from fhir_facade.rest.capability import capability_statement, terminology_capabilities
from fhir_facade.rest.docs_page import docs_page
from fhir_facade.rest.negotiate import negotiate
from fhir_facade.rest.openapi import document_of
from fhir_facade.rest.parts import RestParts, TenantParts
from fhir_facade.rest.prefer import is_lenient
from fhir_facade.rest.respond import JSON, respond_public
from fhir_facade.search.parse import NEGOTIATED, parse_shape, read_pairs
from fhir_facade.search.query import Pair, SearchContext, Shape
from fhir_facade.search.subset import subset
from fhir_facade.search.values.text import showable

_MODES = ("full", "normative", "terminology")
_SHAPES = frozenset({"_summary", "_elements"})
_TAKEN = NEGOTIATED | _SHAPES
_STATEMENT = ResourceDefinition("CapabilityStatement", ReachClass.DIRECTORY)
"""Read as any type is, by whoever asks."""
_HTML = "text/html; charset=utf-8"
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class MetadataViews:
    """The routes about the server."""

    def __init__(self, parts: RestParts, authorizer: Authorizer) -> None:
        self._parts = parts
        self._authorizer = authorizer

    def metadata(self, tenant: str) -> Response:
        """`GET [base]/metadata`."""
        served = self._authorizer.tenant(tenant)
        pairs = read_pairs(request.environ.get("QUERY_STRING", "").encode("latin-1"))
        form = negotiate(request.environ.get("HTTP_ACCEPT"), pairs)
        terminology = _mode(pairs) == "terminology"
        shape = _shape(served, pairs)
        if shape == Shape():
            body, tag = _document(served, terminology, form.pretty)
        else:
            whole = _document(served, terminology, False)[0]
            body, tag = _tagged(subset(whole, shape.summary, shape.elements), form.pretty)
        return _answer(body, tag, form.media_type)

    def openapi(self, tenant: str) -> Response:
        """`GET [base]/openapi.json`."""
        body, tag = _openapi(self._authorizer.tenant(tenant), _app())
        return _answer(body, tag, JSON)

    def docs(self, tenant: str) -> Response:
        """`GET [base]/docs`: the same as a page."""
        body, tag = _page(self._authorizer.tenant(tenant), _app())
        response = _answer(body, tag, _HTML)
        response.headers["Content-Security-Policy"] = _PAGE_POLICY
        return response


def _answer(body: bytes, tag: str, media_type: str) -> Response:
    """304 when the client has these bytes already."""
    validators = (("ETag", tag),)
    known = request.environ.get("HTTP_IF_NONE_MATCH", "")
    if tag in {part.strip().removeprefix("W/") for part in known.split(",")}:
        return respond_public(b"", media_type, validators, 304)
    return respond_public(body, media_type, validators)


def _app() -> Flask:
    """The app itself, whose route table is described."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return app


def _mode(pairs: list[Pair]) -> str:
    mode = "full"
    for name, value in pairs:
        if name == "mode":
            mode = value
        elif name not in _TAKEN and not is_lenient(request.environ):
            raise UnsupportedParameter(
                "The CapabilityStatement takes no such parameter.",
                diagnostics="Use mode, _summary, _elements, _format and _pretty.",
                expression=(showable(name),),
            )
    if mode not in _MODES:
        raise InvalidRequest(
            "The value of 'mode' is not valid.",
            diagnostics="'mode' must be one of " + ", ".join(_MODES) + ".",
            expression=("mode",),
        )
    return mode


def _shape(tenant: TenantParts, pairs: list[Pair]) -> Shape:
    """Which parts are asked for; what `_mode` has let pass is left out."""
    asked = [pair for pair in pairs if pair[0] in _SHAPES]
    return parse_shape(_STATEMENT, asked, SearchContext(tenant.registry, tenant.zone, tenant.base))


@lru_cache(maxsize=256)
def _document(tenant: TenantParts, terminology: bool, pretty: bool) -> tuple[bytes, str]:
    """The bytes and their entity tag."""
    resource = terminology_capabilities(tenant) if terminology else capability_statement(tenant)
    return _tagged(json.dumps(resource), pretty)


@lru_cache(maxsize=64)
def _openapi(tenant: TenantParts, app: Flask) -> tuple[bytes, str]:
    return _tagged(json.dumps(document_of(tenant, app)))


@lru_cache(maxsize=64)
def _page(tenant: TenantParts, app: Flask) -> tuple[bytes, str]:
    return _tagged(docs_page(tenant, document_of(tenant, app)))


def _tagged(body: bytes, pretty: bool = False) -> tuple[bytes, str]:
    if pretty:
        body = json.dumps_pretty(json.loads(body))
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'
