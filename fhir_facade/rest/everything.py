"""`Patient/{id}/$everything` and `Patient/$everything`
(https://hl7.org/fhir/R4/patient-operation-everything.html).

A page holds resources of the patient's compartment, and beside them what of the directory they
refer to, each page for itself. All pages read the revision of the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Response, request

from fhir_facade.errors import (
    InvalidRequest,
    NotFound,
)
from fhir_facade.fhir import json
from fhir_facade.mirror.criteria import CompartmentCriterion, Criterion, DateCriterion
from fhir_facade.policy import ReachClass
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.rest.accesses import Access, record
from fhir_facade.rest.authorize import Authorizer, served_type
from fhir_facade.rest.negotiate import Form, negotiate
from fhir_facade.rest.parameters_body import given_once, parameter_pairs
from fhir_facade.rest.parts import RestParts
from fhir_facade.rest.prefer import search_context
from fhir_facade.rest.read import checked_id, current_row, gone
from fhir_facade.rest.respond import respond
from fhir_facade.search.compartment import in_compartment
from fhir_facade.search.cursor import PARAMETER, Position
from fhir_facade.search.include_parameters import read_includes
from fhir_facade.search.page import PageContent, bundle, cursor_url, cut_issue, self_url
from fhir_facade.search.parse import NEGOTIATED, parse, read_pairs
from fhir_facade.search.query import Include, Pair, SearchContext, SearchQuery
from fhir_facade.search.run import SearchPage
from fhir_facade.search.system import run_types
from fhir_facade.search.values.date import date_criterion
from fhir_facade.search.values.text import malformed

NAMES = ("start", "end", "_since", "_type", "_count")
_PERIODS = {"start": "ge", "end": "le"}


@dataclass(frozen=True)
class _Asked:
    """Parameters as given, and where to go on."""

    pairs: tuple[Pair, ...]
    position: Position | None


class EverythingViews:
    """The routes of the operation, by GET and by POST with Parameters."""

    def __init__(self, parts: RestParts, authorizer: Authorizer) -> None:
        self._parts = parts
        self._authorizer = authorizer

    def of_patient(self, tenant: str, patient_id: str) -> Response:
        """`[base]/Patient/{id}/$everything`. Raises NotFound for a patient out of reach."""
        access = self._authorizer.access(tenant, "operation-everything")
        served_type(access, "Patient", "r")
        access.resource_id = checked_id(patient_id)
        with self._parts.database.read() as conn:
            row = current_row(conn, access, "Patient", patient_id)
        if row is None:
            raise NotFound("Not found", diagnostics="There is no such patient for this token.")
        if row.deleted:
            raise gone()
        return self._answer(access, f"Patient/{patient_id}/$everything", patient_id)

    def of_all(self, tenant: str) -> Response:
        """`[base]/Patient/$everything`: of every patient within reach."""
        access = self._authorizer.access(tenant, "operation-everything")
        served_type(access, "Patient", "s")
        return self._answer(access, "Patient/$everything", None)

    def _answer(self, access: Access, path: str, patient_id: str | None) -> Response:
        pairs = [
            *read_pairs(request.environ.get("QUERY_STRING", "").encode("latin-1")),
            *parameter_pairs(),
        ]
        form = negotiate(request.environ.get("HTTP_ACCEPT"), pairs)
        asked = self._asked(access, path, [pair for pair in pairs if pair[0] not in NEGOTIATED])
        queries = _queries(access, asked.pairs, patient_id)
        with self._parts.database.read() as conn:
            page = run_types(
                conn,
                access.tenant.slug,
                queries,
                access.reach,
                self._parts.totals,
                asked.position,
            )
        body = self._bundle(access, path, asked, queries[0], page)
        record(self._parts, access, 200, (*page.matches, *page.included))
        return _respond(body, form)

    def _asked(self, access: Access, path: str, pairs: list[Pair]) -> _Asked:
        cursors = [value for name, value in pairs if name == PARAMETER]
        if not cursors:
            return _Asked(tuple(pairs), None)
        if len(pairs) > 1:
            raise malformed(PARAMETER, "alone: follow the link 'next' of a Bundle unchanged")
        slug = access.tenant.slug
        position = self._parts.cursors.open(slug, path, access.principal, cursors[0])
        return _Asked(position.used, position)

    def _bundle(
        self, access: Access, path: str, asked: _Asked, query: SearchQuery, page: SearchPage
    ) -> bytes:
        base = access.tenant.base
        links = {
            "self": self_url(base, path, asked.pairs)
            if asked.position is None
            else self._link(access, path, asked.position)
        }
        if page.after is not None:
            following = Position(asked.pairs, page.revision, page.after, page.total)
            links["next"] = self._link(access, path, following)
        issues = [cut_issue()] if page.cut else []
        content = PageContent(page.matches, page.included, page.total, links, issues)
        return bundle(base, query, content)

    def _link(self, access: Access, path: str, position: Position) -> str:
        slug = access.tenant.slug
        cursor = self._parts.cursors.seal(slug, path, access.principal, position)
        return cursor_url(access.tenant.base, path, (), cursor)


def _queries(
    access: Access, pairs: tuple[Pair, ...], patient_id: str | None
) -> tuple[SearchQuery, ...]:
    """The search of each type that the compartment may hold and the token may search."""
    given = given_once("$everything", NAMES, pairs)
    wanted = given.get("_type")
    definitions = _compartment_types(access, None if wanted is None else wanted.split(","))
    context = search_context(access)
    return tuple(
        _query(definition, given, patient_id, context, access.tenant.registry)
        for definition in definitions
    )


def _query(
    definition: ResourceDefinition,
    given: dict[str, str],
    patient_id: str | None,
    context: SearchContext,
    registry: Any,
) -> SearchQuery:
    pairs = [(name, given[name]) for name in ("_count",) if name in given]
    query = parse(definition, pairs, context)
    criteria: list[Criterion] = [*query.criteria]
    if "_since" in given:
        since = date_criterion("_since", "", f"ge{given['_since']}", context.zone)
        criteria.append(DateCriterion("_lastUpdated", since.values))
    if patient_id is not None:
        criteria.append(CompartmentCriterion(patient_id))
    care = definition.parameter("date")
    for name, prefix in _PERIODS.items():
        if name in given:
            read = date_criterion(name, "", f"{prefix}{given[name]}", context.zone)
            if care is not None and care.type == "date":
                criteria.append(DateCriterion("date", read.values, care.single))
    includes = _directory_includes(definition, context, registry)
    return SearchQuery(
        type=definition.type, criteria=tuple(criteria), count=query.count, includes=includes
    )


def _directory_includes(
    definition: ResourceDefinition, context: SearchContext, registry: Any
) -> tuple[Include, ...]:
    """What of the directory the resources of a type refer to."""
    if not any(one.type == "reference" for one in definition.search):
        return ()
    return tuple(
        include
        for include in read_includes(definition, "_include", "", "*", context)
        if all(registry[name].reach is ReachClass.DIRECTORY for name in include.targets)
    )


def _compartment_types(access: Access, names: list[str] | None) -> list[ResourceDefinition]:
    if names is not None:
        for name in names:
            served_type(access, name, "s")
        access.type = "Patient"
    found = [
        one
        for one in access.tenant.registry.values()
        if in_compartment(one)
        and access.reach.allows_type(one.type, "s")
        and (names is None or one.type in names)
    ]
    if not found:
        raise InvalidRequest(
            "None of these types is in a patient's compartment.",
            diagnostics="Name others in '_type', or leave it out.",
            expression=("_type",),
        )
    # The patients come first, then what is theirs.
    return sorted(found, key=lambda one: (one.type != "Patient", one.type))


def _respond(body: bytes, form: Form) -> Response:
    if form.pretty:
        body = json.dumps_pretty(json.loads(body))
    return respond(body, 200, form.media_type)
