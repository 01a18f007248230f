"""The CapabilityStatement and the TerminologyCapabilities of a tenant, derived from its registry,
from the operations and from the limits of search (R4 capabilitystatement.html).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fhir_facade.fhir import FHIRResource, systems
from fhir_facade.fhir.r4_types import FHIR_VERSION
from fhir_facade.resources.definition import ResourceDefinition, SearchParameter
from fhir_facade.resources.operation_definition import OPERATIONS
from fhir_facade.rest.batch import MAX_ENTRIES
from fhir_facade.rest.parts import TenantParts
from fhir_facade.rest.respond import FHIR_JSON, JSON
from fhir_facade.rest.unstored import has_type_history
from fhir_facade.search.chain import MAX_STEPS
from fhir_facade.search.query import DEFAULT_COUNT, MAX_COUNT
from fhir_facade.search.sort import MAX_KEYS

RELEASED = "2026-11-21"
"""The day this release's capabilities were fixed (CapabilityStatement.date)."""
COMMON = (
    SearchParameter(
        "_id",
        "token",
        (),
        systems.search_parameter("Resource-id"),
        documentation="The logical id.",
    ),
    SearchParameter(
        "_lastUpdated",
        "date",
        (),
        systems.search_parameter("Resource-lastUpdated"),
        documentation="When this server last changed the resource.",
    ),
)
"""Parameters of every type, and of a search over several."""
SYSTEM_INTERACTIONS = {
    "batch": f"Up to {MAX_ENTRIES} independent requests: reads, histories, searches and operations "
    "by GET or HEAD. Each entry has its own outcome.",
    "search-system": "GET [base]?_type=… or POST [base]/_search: every stored type that the token "
    "may search, or those that _type names.",
    "history-system": "GET [base]/_history with _since, _at and _count.",
}


def capability_statement(tenant: TenantParts) -> FHIRResource:
    """The CapabilityStatement of one tenant."""
    return {
        "resourceType": "CapabilityStatement",
        "id": "server",
        "extension": [{"url": systems.TENANT_TIME_ZONE, "valueCode": tenant.zone.key}],
        "url": f"{tenant.base}/metadata",
        "version": software_version(),
        "name": "FHIRFacade",
        "title": f"{tenant.name}: FHIR R4 interface",
        "status": "active",
        "date": RELEASED,
        "description": "FHIR R4 and SMART App Launch over the records of "
        f"{tenant.name}. Read-only. Described for people at {tenant.base}/docs and for programs at "
        f"{tenant.base}/openapi.json.",
        "kind": "instance",
        "instantiates": [systems.BULK_DATA],
        "software": {
            "name": "fhir-facade",
            "version": software_version(),
            "releaseDate": RELEASED,
        },
        "implementation": {"description": tenant.name, "url": tenant.base},
        "fhirVersion": FHIR_VERSION,
        "format": [FHIR_JSON, JSON, "json"],
        "implementationGuide": [systems.SMART_APP_LAUNCH_GUIDE, systems.BULK_DATA_GUIDE],
        "rest": [
            {
                "mode": "server",
                "documentation": _documentation(tenant.zone.key),
                "security": _security(tenant.base),
                "resource": [_resource(d, tenant.registry) for d in tenant.registry.values()],
                "interaction": [
                    {"code": code, "documentation": text}
                    for code, text in SYSTEM_INTERACTIONS.items()
                ],
                "searchParam": [_search_param(parameter) for parameter in COMMON],
                "compartment": [systems.PATIENT_COMPARTMENT],
            }
        ],
    }


def terminology_capabilities(tenant: TenantParts) -> FHIRResource:
    """What there is of terminology: code systems, value sets and maps to read, no operations."""
    return {
        "resourceType": "TerminologyCapabilities",
        "id": "server",
        "url": f"{tenant.base}/metadata?mode=terminology",
        "version": software_version(),
        "name": "FHIRFacadeTerminology",
        "title": f"{tenant.name}: terminology",
        "status": "active",
        "date": RELEASED,
        "description": "The server publishes its CodeSystems, ValueSets and ConceptMaps and has no "
        "terminology operations.",
        "kind": "instance",
        "software": {"name": "fhir-facade", "version": software_version()},
        "implementation": {"description": tenant.name, "url": tenant.base},
        "codeSystem": [
            {
                "uri": one["url"],
                "version": [{"code": one["version"], "isDefault": True, "compositional": False}],
                "subsumption": False,
            }
            for one in tenant.conformance.get("CodeSystem", ())
        ],
    }


def software_version() -> str:
    """The version of this release."""
    try:
        return version("fhir-facade")
    except PackageNotFoundError:
        return "0+source"  # run from a checkout that is not installed


def interactions_of(definition: ResourceDefinition) -> tuple[str, ...]:
    """The interactions on a type and its instances that work (R4 valueset-type-restful-
    interaction.html)."""
    of_type = ("history-type",) if has_type_history(definition) else ()
    return ("read", "vread", "history-instance", *of_type, "search-type")


def includes_of(definition: ResourceDefinition) -> list[str]:
    """What `_include` takes on a type."""
    return list(definition.includes) if definition.stored else []


def reverse_includes_of(
    resource_type: str, registry: Mapping[str, ResourceDefinition]
) -> list[str]:
    """What `_revinclude` takes on a type."""
    return [
        f"{other.type}:{parameter.name}"
        for other in registry.values()
        if other.stored
        for parameter in other.search
        if parameter.type == "reference" and resource_type in parameter.targets
    ]


def _documentation(zone: str) -> str:
    return " ".join(
        (
            f"Dates in searches that carry no zone of their own are intervals in {zone}.",
            "Unknown search parameters are an error unless the request says "
            "Prefer: handling=lenient.",
            f"Results come in pages of {DEFAULT_COUNT} (_count: at most {MAX_COUNT}), which all "
            "show the moment of the first. They are ordered by id, a search "
            f"for a date by that date, or by up to {MAX_KEYS} parameters that _sort names.",
            f"Chained parameters and _has may go through {MAX_STEPS} other resources.",
            "_include and _revinclude take wildcards and :iterate.",
            "Also served for every type: _summary, _elements, _total (none, estimate, accurate), "
            "and for every parameter :missing.",
            "Not served: _filter, _query, _list, _text, _content, _contained.",
        )
    )


def _security(base: str) -> dict[str, Any]:
    """SMART endpoints where clients of FHIR R4 servers look for them first (SMART App Launch,
    "Conformance").
    """
    endpoints = ("authorize", "token", "introspect", "revoke", "manage")
    uris = [{"url": name, "valueUri": f"{base}/auth/{name}"} for name in endpoints]
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
        "description": "Every request but those for /metadata, /openapi.json and /docs needs an "
        "access token from SMART App Launch or SMART Backend Services.",
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
        "interaction": [{"code": code} for code in interactions_of(definition)],
        "versioning": "versioned",
        "readHistory": definition.stored,
        "updateCreate": False,
        "conditionalCreate": False,
        "conditionalRead": "full-support",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "referencePolicy": ["literal", "logical", "local"],
    }
    if includes := includes_of(definition):
        entry["searchInclude"] = includes
    if reverse := reverse_includes_of(definition.type, registry):
        entry["searchRevInclude"] = reverse
    entry["searchParam"] = [_search_param(p) for p in (*COMMON, *definition.search)]
    if operations := list(_operations(definition.type)):
        entry["operation"] = operations
    return entry


def _operations(resource_type: str) -> Iterator[dict[str, str]]:
    for operation in OPERATIONS:
        if operation.applies_to(resource_type):
            levels = " and ".join(f"on the {level}" for level in operation.levels)
            yield {
                "name": operation.code,
                "definition": operation.definition,
                "documentation": f"{operation.documentation} Called {levels}; parameters as in "
                f"{systems.own_operation(operation.id)}.",
            }


def _search_param(parameter: SearchParameter) -> dict[str, str]:
    entry = {"name": parameter.name}
    if parameter.definition:
        entry["definition"] = parameter.definition
    entry["type"] = parameter.type
    if parameter.documentation:
        entry["documentation"] = parameter.documentation
    return entry
