"""`/metadata`: what this server says of itself, derived from the registry (R4
capabilitystatement.html).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flask import Response, request

from fhir_facade.errors import InvalidRequest, UnsupportedParameter
from fhir_facade.fhir import FHIRResource, json, systems
from fhir_facade.fhir.r4_types import FHIR_VERSION
from fhir_facade.resources.definition import ResourceDefinition, SearchParameter
from fhir_facade.rest.authorize import Authorizer
from fhir_facade.rest.negotiate import negotiate
from fhir_facade.rest.parts import RestParts, TenantParts
from fhir_facade.rest.prefer import is_lenient
from fhir_facade.rest.respond import FHIR_JSON, respond_public
from fhir_facade.search.parse import NEGOTIATED, read_pairs
from fhir_facade.search.query import Pair

RELEASED = "2026-11-21"
"""The day this release's capabilities were fixed (CapabilityStatement.date)."""
_MODES = ("full", "normative", "terminology")
_INTERACTIONS = ("read", "vread", "history-instance", "search-type")
_COMMON = (
    SearchParameter("_id", "token", (), systems.search_parameter("Resource-id")),
    SearchParameter("_lastUpdated", "date", (), systems.search_parameter("Resource-lastUpdated")),
)


class MetadataViews:
    """The route of the CapabilityStatement; it needs no token."""

    def __init__(self, parts: RestParts, authorizer: Authorizer) -> None:
        self._parts = parts
        self._authorizer = authorizer

    def metadata(self, tenant: str) -> Response:
        """`GET [base]/metadata`."""
        served = self._authorizer.tenant(tenant)
        pairs = read_pairs(request.environ.get("QUERY_STRING", "").encode("latin-1"))
        form = negotiate(request.environ.get("HTTP_ACCEPT"), pairs)
        body, tag = _document(served, _mode(pairs) == "terminology", form.pretty)
        validators = (("ETag", tag),)
        known = request.environ.get("HTTP_IF_NONE_MATCH", "")
        if tag in {part.strip().removeprefix("W/") for part in known.split(",")}:
            return respond_public(b"", form.media_type, validators, 304)
        return respond_public(body, form.media_type, validators)


def _mode(pairs: list[Pair]) -> str:
    mode = "full"
    for name, value in pairs:
        if name == "mode":
            mode = value
        elif name not in NEGOTIATED and not is_lenient():
            raise UnsupportedParameter(
                "The CapabilityStatement takes the parameter 'mode' only.",
                diagnostics="Leave the others out; _format and _pretty may stay.",
            )
    if mode not in _MODES:
        raise InvalidRequest(
            "The value of 'mode' is not valid.",
            diagnostics="'mode' must be one of " + ", ".join(_MODES) + ".",
            expression=("mode",),
        )
    return mode


@lru_cache(maxsize=256)
def _document(tenant: TenantParts, terminology: bool, pretty: bool) -> tuple[bytes, str]:
    """The bytes and their entity tag."""
    resource = terminology_capabilities(tenant) if terminology else capability_statement(tenant)
    body = json.dumps_pretty(resource) if pretty else json.dumps(resource)
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def capability_statement(tenant: TenantParts) -> FHIRResource:
    """The CapabilityStatement of one tenant."""
    zone = tenant.zone.key
    return {
        "resourceType": "CapabilityStatement",
        "id": "server",
        "extension": [{"url": systems.TENANT_TIME_ZONE, "valueCode": zone}],
        "url": f"{tenant.base}/metadata",
        "name": "FHIRFacade",
        "title": f"{tenant.name}: FHIR R4 interface",
        "status": "active",
        "date": RELEASED,
        "description": "FHIR R4 and SMART App Launch over the records of "
        f"{tenant.name}. Read-only.",
        "kind": "instance",
        "instantiates": [systems.BULK_DATA],
        "software": _software(),
        "implementation": {"description": tenant.name, "url": tenant.base},
        "fhirVersion": FHIR_VERSION,
        "format": [FHIR_JSON, "json"],
        "rest": [
            {
                "mode": "server",
                "documentation": "Dates in searches that carry no zone of their own are intervals "
                f"in {zone}. Unknown search parameters are an error unless the "
                "request says Prefer: handling=lenient. Results are ordered by id.",
                "security": _security(tenant.base),
                "resource": [_resource(d, tenant.registry) for d in tenant.registry.values()],
            }
        ],
    }


def terminology_capabilities(tenant: TenantParts) -> FHIRResource:
    """What there is of terminology: ConceptMaps to read, no operations."""
    return {
        "resourceType": "TerminologyCapabilities",
        "id": "server",
        "url": f"{tenant.base}/metadata?mode=terminology",
        "name": "FHIRFacadeTerminology",
        "title": f"{tenant.name}: terminology",
        "status": "active",
        "date": RELEASED,
        "description": "The server publishes its ConceptMaps and has no terminology operations.",
        "kind": "instance",
        "software": {"name": "fhir-facade", "version": _version()},
        "implementation": {"description": tenant.name, "url": tenant.base},
    }


def _software() -> dict[str, str]:
    return {
        "name": "fhir-facade",
        "version": _version(),
        "releaseDate": RELEASED,
    }


def _version() -> str:
    try:
        return version("fhir-facade")
    except PackageNotFoundError:
        return "0+source"  # run from a checkout that is not installed


def _security(base: str) -> dict[str, Any]:
    """SMART endpoints where clients of FHIR R4 servers look for them first (SMART App Launch,
    "Conformance").
    """
    endpoints = {
        "authorize": "authorize",
        "token": "token",
        "introspect": "introspect",
        "revoke": "revoke",
        "manage": "manage",
    }
    uris = [{"url": name, "valueUri": f"{base}/auth/{path}"} for name, path in endpoints.items()]
    return {
        "extension": [{"url": systems.OAUTH_URIS, "extension": uris}],
        "cors": True,
        "service": [
            {
                "coding": [
                    {
                        "system": systems.RESTFUL_SECURITY_SERVICE,
                        "code": "SMART-on-FHIR",
                        "display": "SMART-on-FHIR",
                    }
                ],
                "text": "OAuth2 using SMART App Launch",
            }
        ],
        "description": "Every request but this one needs an access token from SMART App Launch "
        "or SMART Backend Services.",
    }


def _resource(
    definition: ResourceDefinition, registry: Mapping[str, ResourceDefinition]
) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": definition.type}
    if definition.profiles:
        entry["supportedProfile"] = list(definition.profiles)
    if definition.documentation:
        entry["documentation"] = definition.documentation
    entry |= {
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned",
        "readHistory": definition.stored,
        "updateCreate": False,
        "conditionalCreate": False,
        "conditionalRead": "full-support",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "referencePolicy": ["literal", "local"],
    }
    if includes := _includes(definition):
        entry["searchInclude"] = includes
    if reverse := _reverse_includes(definition.type, registry):
        entry["searchRevInclude"] = reverse
    entry["searchParam"] = [_search_param(p) for p in (*_COMMON, *definition.search)]
    if definition.type == "Group":
        entry["operation"] = [{"name": "export", "definition": systems.BULK_GROUP_EXPORT}]
    return entry


def _includes(definition: ResourceDefinition) -> list[str]:
    if not definition.stored:
        return []
    return [f"{definition.type}:{p.name}" for p in definition.search if p.type == "reference"]


def _reverse_includes(resource_type: str, registry: Mapping[str, ResourceDefinition]) -> list[str]:
    return [
        f"{other.type}:{p.name}"
        for other in registry.values()
        if other.stored
        for p in other.search
        if p.type == "reference" and resource_type in p.targets
    ]


def _search_param(parameter: SearchParameter) -> dict[str, str]:
    entry = {"name": parameter.name}
    if parameter.definition:
        entry["definition"] = parameter.definition
    entry["type"] = parameter.type
    if parameter.documentation:
        entry["documentation"] = parameter.documentation
    return entry
