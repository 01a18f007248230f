"""`/openapi.json`: this server as OpenAPI 3.1 describes it, made from the route table and the
registry (https://spec.openapis.org/oas/v3.1.0). `openapi_routes` says what each route takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from flask import Flask

from fhir_facade.fhir import json
from fhir_facade.policy import ReachClass
from fhir_facade.rest import openapi_parts as parts
from fhir_facade.rest.capability import software_version
from fhir_facade.rest.openapi_operation import Scene
from fhir_facade.rest.openapi_routes import BULK, DESCRIBED, ITSELF, LEFT_OUT, SYSTEM
from fhir_facade.rest.openapi_schemas import schemas
from fhir_facade.rest.parts import TenantParts

OPENAPI = "3.1.0"
BLUEPRINT = "rest"
_ROOT = "/fhir/<tenant>"
_OF_TYPES = "resource_type>"
_TYPE = re.compile(r"<(?:\w+:)?resource_type>")
_VARIABLE = re.compile(r"<(?:\w+:)?(\w+)>")
_IDS = frozenset({"resource_id", "patient_id", "group_id"})
_MANY = 5
"""Operations that have a parameter in common before it is written once."""
_OTHER_TYPES = ("Bundle", "CapabilityStatement", "OperationOutcome", "Parameters")


def document_of(tenant: TenantParts, app: Flask) -> dict[str, Any]:
    """The description of a tenant; `app` has the route table."""
    discovery = f"{tenant.base}/.well-known/smart-configuration"
    types = list(tenant.registry)
    paths = _paths(tenant, app)
    shared = _share_parameters(paths)
    return {
        "openapi": OPENAPI,
        "info": {
            "title": f"{tenant.name}: FHIR R4 interface",
            "version": software_version(),
            "description": "HL7 FHIR R4 with SMART App Launch. Parameters of a search may carry a "
            "modifier in their name (name:exact), be chained (patient.name) or reverse chained "
            "(_has:Appointment:patient:status), which this format cannot spell. Dates without a "
            f"zone are read in {tenant.zone.key}. Every failure is an OperationOutcome.",
        },
        "servers": [{"url": tenant.base, "description": tenant.name}],
        "externalDocs": {"url": discovery, "description": "SMART App Launch: discovery"},
        "tags": [
            {"name": ITSELF},
            {"name": SYSTEM, "description": "Several types at once."},
            {"name": BULK, "description": "Bulk Data Access 2.0."},
            *({"name": name} for name in types),
        ],
        "paths": paths,
        "components": {
            "parameters": shared,
            "schemas": schemas([*types, *_OTHER_TYPES]),
            "responses": parts.failures(),
            "securitySchemes": {parts.SCHEME: _security_scheme(tenant, discovery)},
        },
    }


def routes(app: Flask) -> Iterator[tuple[str, str]]:
    """Route below the base, and a method of it, for every route of the FHIR interface."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith(f"{BLUEPRINT}."):
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield rule.rule.removeprefix(_ROOT), method


def _paths(tenant: TenantParts, app: Flask) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    # A route that spells its type comes before that of every type, as in the route table.
    for route, method in sorted(routes(app), key=lambda one: _OF_TYPES in one[0]):
        if route in LEFT_OUT:
            continue
        describe = DESCRIBED[route][method]
        definitions = tenant.registry.values() if _OF_TYPES in route else (None,)
        for definition in definitions:
            told = describe(Scene(tenant.registry, method, definition))
            if told is not None:
                name = definition.type if definition is not None else ""
                path = _path(_TYPE.sub(name, route))
                filled = {key: value for key, value in told.items() if value is not None}
                paths.setdefault(path, {}).setdefault(method.lower(), filled)
    return dict(sorted(paths.items()))


def _share_parameters(paths: dict[str, dict[str, Any]]) -> dict[str, parts.Parameter]:
    """Put references in the place of parameters that many operations have; gives those by name."""
    uses: dict[bytes, list[tuple[list[Any], int]]] = {}
    for operations in paths.values():
        for operation in operations.values():
            for index, parameter in enumerate(operation.get("parameters", ())):
                uses.setdefault(json.dumps(parameter), []).append((operation["parameters"], index))
    shared: dict[str, parts.Parameter] = {}
    for text, places in uses.items():
        if len(places) < _MANY:
            continue
        parameter = json.loads(text)
        plain = f"{parameter['in']}-{parameter['name']}"
        same = sum(name.partition(".")[0] == plain for name in shared)
        name = f"{plain}.{same + 1}" if same else plain
        shared[name] = parameter
        for parameters, index in places:
            parameters[index] = {"$ref": f"#/components/parameters/{name}"}
    return shared


def _path(route: str) -> str:
    return _VARIABLE.sub(lambda m: "{id}" if m[1] in _IDS else f"{{{m[1]}}}", route)


def _security_scheme(tenant: TenantParts, discovery: str) -> dict[str, Any]:
    people: dict[str, str] = {}
    services: dict[str, str] = {}
    for definition in tenant.registry.values():
        for letter, verb in (("r", "Read"), ("s", "Search")):
            text = f"{verb} {definition.type}."
            for scope in parts.scopes_of(definition, letter):
                kind = services if scope.startswith("system/") else people
                kind[scope] = text
    token = f"{tenant.base}/auth/token"
    return {
        "type": "oauth2",
        "description": "SMART App Launch for apps of people, SMART Backend Services for services. "
        f"Discovery: {discovery}. Letters of a scope may be joined (user/Patient.rs), * stands for "
        f"every type. Types for {ReachClass.OPERATOR.value}s only are so whatever the scope.",
        "flows": {
            "authorizationCode": {
                "authorizationUrl": f"{tenant.base}/auth/authorize",
                "tokenUrl": token,
                "refreshUrl": token,
                "scopes": people,
            },
            "clientCredentials": {"tokenUrl": token, "scopes": services},
        },
        "x-smart-configuration": discovery,
    }
