"""What the OpenAPI document says of each route of the FHIR base, by the route's own pattern.

`DESCRIBED` has an entry for every route of `blueprint`, a test compares; routes with
`<resource_type>` are described for each type of the registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fhir_facade.bulk.parameters import NDJSON
from fhir_facade.rest import openapi_parts as parts
from fhir_facade.rest import openapi_types as of_type
from fhir_facade.rest.batch import MAX_ENTRIES
from fhir_facade.rest.openapi_operation import (
    TEXT,
    Described,
    Scene,
    body,
    described,
    form_body,
    history_parameters,
    named,
    parameters_body,
    searchset,
    taken,
)
from fhir_facade.rest.openapi_schemas import Schema, ref
from fhir_facade.rest.respond import JSON

SYSTEM = "System"
BULK = "Bulk export"
ITSELF = "About this server"
_LOCAL = {"type": "string", "pattern": "^[A-Za-z0-9._-]+$"}


def _metadata(_: Scene) -> Described:
    modes: Schema = {"type": "string", "enum": ["full", "normative", "terminology"]}
    both = {"anyOf": [ref("CapabilityStatement"), ref("Resource")]}
    return described(
        ITSELF,
        "metadata",
        "The CapabilityStatement, or the TerminologyCapabilities",
        parameters=[
            parts.query("mode", "Which of them.", modes),
            *parts.shape(of_search=False),
            *parts.form(),
        ],
        responses=parts.answers(parts.fhir(both, "What this server can do."), public=True),
        security=[],
    )


def _openapi(_: Scene) -> Described:
    good = {"description": "OpenAPI 3.1.", "content": {JSON: {"schema": {"type": "object"}}}}
    return described(
        ITSELF,
        "openapi",
        "This description",
        responses={"200": good, **_not_found()},
        security=[],
    )


def _docs(_: Scene) -> Described:
    good = {"description": "A page for people.", "content": {"text/html": {"schema": TEXT}}}
    return described(
        ITSELF,
        "docs",
        "This description as a page",
        responses={"200": good, **_not_found()},
        security=[],
    )


def _not_found() -> dict[str, Any]:
    answers = parts.answers({}, public=True)
    del answers["200"], answers["406"], answers["400"]
    return answers


def _history_of_system(_: Scene) -> Described:
    return described(
        SYSTEM,
        "historySystem",
        "Past versions of everything that the token may read",
        parameters=history_parameters(),
        responses=parts.answers(parts.fhir(ref("Bundle"), "A history Bundle."), "410"),
        security=parts.ANY_TOKEN,
    )


def _system_parameters(scene: Scene) -> list[parts.Parameter]:
    stored = [one.type for one in scene.registry.values() if one.stored]
    return [
        parts.query(
            "_type",
            f"Types separated by commas, of: {', '.join(stored)}. Unless given, all of them that "
            "the token may search.",
            parts.PRINTABLE,
            "Patient,Appointment",
        ),
        *parts.common_parameters(),
        *parts.page(),
    ]


def _search_system(scene: Scene) -> Described:
    return described(
        SYSTEM,
        "searchSystem",
        "Search several types at once",
        description="Takes every parameter that all of the types have.",
        parameters=_system_parameters(scene),
        responses=searchset("410", "413"),
        security=parts.ANY_TOKEN,
    )


_OF_PATIENT = parts.path_parameter("id", "The logical id of the patient.")


def _search_compartment(scene: Scene) -> Described:
    return described(
        SYSTEM,
        "searchCompartment",
        "Search everything that belongs to one patient",
        description="Takes every parameter that all of the types have.",
        parameters=[_OF_PATIENT, *_system_parameters(scene)],
        responses=searchset("410", "413"),
        security=parts.ANY_TOKEN,
    )


def _search_compartment_by_post(scene: Scene) -> Described:
    return described(
        SYSTEM,
        "searchCompartmentByPost",
        "Search everything that belongs to one patient; no value comes to stand in a URL",
        parameters=[_OF_PATIENT],
        requestBody=form_body(_system_parameters(scene)),
        responses=searchset("410", "413", "415"),
        security=parts.ANY_TOKEN,
    )


def _search_system_by_post(scene: Scene) -> Described:
    return described(
        SYSTEM,
        "searchSystemByPost",
        "Search several types at once; no value comes to stand in a URL",
        requestBody=form_body(_system_parameters(scene)),
        responses=searchset("410", "413", "415"),
        security=parts.ANY_TOKEN,
    )


def _batch(_: Scene) -> Described:
    return described(
        SYSTEM,
        "batch",
        f"Up to {MAX_ENTRIES} independent requests in one",
        parameters=parts.form(),
        requestBody=body(_BATCH, "A Bundle of type batch.", _EXAMPLE),
        responses=parts.answers(
            parts.fhir(ref("Bundle"), "A batch-response Bundle."), "413", "415"
        ),
        security=parts.ANY_TOKEN,
    )


_BATCH = {
    "allOf": [
        ref("Bundle"),
        {"required": ["type"], "properties": {"type": {"const": "batch"}}},
    ]
}
_EXAMPLE = {
    "resourceType": "Bundle",
    "type": "batch",
    "entry": [{"request": {"method": "GET", "url": "Patient?_count=1"}}],
}


def _export(scene: Scene) -> Described:
    operation = named("export")
    good = parts.fhir(ref("OperationOutcome"), "Accepted.", Content_Location="Its status.")
    made = described(
        BULK,
        "export" if scene.method == "GET" else "exportByPost",
        operation.title,
        description=operation.documentation,
        parameters=[
            parts.path_parameter("id", "The logical id of the group."),
            *taken(operation, scene.method),
        ],
        responses=parts.answers(good, "413", "415", "429", status="202"),
        security=[{parts.SCHEME: ["system/Group.r"]}],
    )
    if scene.method == "POST":
        made["requestBody"] = parameters_body()
    return made


def _export_status(_: Scene) -> Described:
    manifest = {"description": "Complete.", "content": {JSON: {"schema": ref("Manifest")}}}
    waiting = parts.fhir(ref("OperationOutcome"), "In progress.", X_Progress="How far.")
    waiting["headers"]["Retry-After"] = parts.header("Seconds.", required=True)
    return described(
        BULK,
        "exportStatus",
        "How far an export is; its manifest when it is complete",
        parameters=[parts.path_parameter("job", "The id of the export.", _LOCAL)],
        responses=parts.answers(manifest) | {"202": waiting},
        security=parts.ANY_TOKEN,
    )


def _export_cancel(_: Scene) -> Described:
    good = parts.fhir(ref("OperationOutcome"), "Cancelled, or deleted.")
    return described(
        BULK,
        "exportCancel",
        "Cancel an export, or delete its files",
        parameters=[parts.path_parameter("job", "The id of the export.", _LOCAL)],
        responses=parts.answers(good, status="202"),
        security=parts.ANY_TOKEN,
    )


def _export_file(_: Scene) -> Described:
    file = {"description": "The file.", "content": {NDJSON: {"schema": TEXT}}}
    part = {"description": "A range of it.", "content": {NDJSON: {"schema": TEXT}}}
    return described(
        BULK,
        "exportFile",
        "A finished file",
        parameters=[
            parts.path_parameter("job", "The id of the export.", _LOCAL),
            parts.path_parameter("name", "The file, as the manifest names it.", _LOCAL),
            {"name": "Range", "in": "header", "schema": TEXT, "example": "bytes=0-1023"},
        ],
        responses=parts.answers(file, "416") | {"206": part, "304": parts.NOT_MODIFIED},
        security=parts.ANY_TOKEN,
    )


Describe = Callable[[Scene], Described]

DESCRIBED: Mapping[str, Mapping[str, Describe]] = {
    "/metadata": {"GET": _metadata},
    "/openapi.json": {"GET": _openapi},
    "/docs": {"GET": _docs},
    "/Patient/$everything": {"GET": of_type.everything_of_all, "POST": of_type.everything_of_all},
    "/Patient/<patient_id>/$everything": {
        "GET": of_type.everything_of_patient,
        "POST": of_type.everything_of_patient,
    },
    "/DocumentReference/$docref": {"GET": of_type.docref, "POST": of_type.docref},
    "/Binary/<instance_id:resource_id>": {"GET": of_type.content},
    "/<resource_type>/$validate": {"POST": of_type.validate},
    "/<resource_type>/<resource_id>/$validate": {"POST": of_type.validate_instance},
    "/Group/<group_id>/$export": {"GET": _export, "POST": _export},
    "/bulkstatus/<job>": {"GET": _export_status, "DELETE": _export_cancel},
    "/bulkfiles/<job>/<name>": {"GET": _export_file},
    "/": {"GET": _search_system, "POST": _batch},
    "/_search": {"POST": _search_system_by_post},
    "/_history": {"GET": _history_of_system},
    "/<type_name:resource_type>": {"GET": of_type.search},
    "/<resource_type>/_history": {"GET": of_type.history_of_type},
    "/<resource_type>/_search": {"POST": of_type.search_by_post},
    "/<resource_type>/<instance_id:resource_id>": {"GET": of_type.read},
    "/Patient/<patient_id>/*": {"GET": _search_compartment},
    "/Patient/<patient_id>/_search": {"POST": _search_compartment_by_post},
    "/Patient/<patient_id>/<within:resource_type>": {"GET": of_type.search_within},
    "/Patient/<patient_id>/<within:resource_type>/_search": {"POST": of_type.search_within_by_post},
    "/<resource_type>/<resource_id>/_history": {"GET": of_type.history_of_instance},
    "/<resource_type>/<resource_id>/_history/<version>": {"GET": of_type.vread},
}
"""Route below the base → method → what is said of it."""
LEFT_OUT = {"": "the same as /"}
"""Routes that the document does not name, and why."""
