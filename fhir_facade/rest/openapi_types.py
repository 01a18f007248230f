"""What the OpenAPI document says of the routes of a type: read, history, search and operations."""

from __future__ import annotations

from typing import Any

from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.resources.qubs_attachments import CONTENT_TYPES
from fhir_facade.rest import openapi_parts as parts
from fhir_facade.rest.capability import interactions_of
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
from fhir_facade.search.compartment import in_compartment

_MEDIA_TYPES = (*sorted(set(CONTENT_TYPES.values())), "*/*")
"""Those of documents; the last stands for what the store alone knows."""
_OF_PATIENT = parts.path_parameter("id", "The logical id of the patient.")


def read(scene: Scene) -> Described:
    """`GET Type/id`."""
    return _instance(scene, "read", "Read", [parts.path_parameter("id", "The logical id.")])


def vread(scene: Scene) -> Described:
    """`GET Type/id/_history/version`."""
    number: Schema = {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"}
    path = [
        parts.path_parameter("id", "The logical id."),
        parts.path_parameter("version", "The number of the version.", number),
    ]
    return _instance(scene, "vread", "Read one version", path)


def _instance(scene: Scene, name: str, verb: str, path: list[parts.Parameter]) -> Described:
    definition = scene.of
    good = parts.fhir(
        ref(definition.type), "The resource.", ETag="Its version.", Last_Modified="Its instant."
    )
    return described(
        definition.type,
        f"{name}{definition.type}",
        verb,
        parameters=[*path, *parts.shape(of_search=False), *parts.form(), *parts.conditions()],
        responses=parts.answers(good, "410", "412") | {"304": parts.NOT_MODIFIED},
        security=parts.security(definition, "r"),
    )


def history_of_instance(scene: Scene) -> Described:
    """`GET Type/id/_history`."""
    path = [parts.path_parameter("id", "The logical id.")]
    return _history(scene.of, "historyInstance", "Past versions of one resource", path)


def history_of_type(scene: Scene) -> Described:
    """`GET Type/_history`."""
    if "history-type" not in interactions_of(scene.of):
        return None
    return _history(scene.of, "historyType", "Past versions of every resource", [])


def _history(
    definition: ResourceDefinition, name: str, summary: str, path: list[parts.Parameter]
) -> dict[str, Any]:
    return described(
        definition.type,
        f"{name}{definition.type}",
        summary,
        parameters=[*path, *history_parameters()],
        responses=parts.answers(parts.fhir(ref("Bundle"), "A history Bundle."), "410"),
        security=parts.security(definition, "r"),
    )


def search(scene: Scene) -> Described:
    """`GET Type`."""
    definition = scene.of
    return described(
        definition.type,
        f"search{definition.type}",
        "Search",
        description=definition.documentation or None,
        parameters=parts.search_parameters(definition, scene.registry),
        responses=searchset("410", "413"),
        security=parts.security(definition, "s"),
    )


def search_by_post(scene: Scene) -> Described:
    """`POST Type/_search`."""
    definition = scene.of
    return described(
        definition.type,
        f"search{definition.type}ByPost",
        "Search; no value comes to stand in a URL",
        requestBody=form_body(parts.search_parameters(definition, scene.registry)),
        responses=searchset("410", "413", "415"),
        security=parts.security(definition, "s"),
    )


def search_within(scene: Scene) -> Described:
    """`GET Patient/id/Type`."""
    definition = scene.of
    if not in_compartment(definition):
        return None
    return described(
        definition.type,
        f"search{definition.type}OfPatient",
        "Search what belongs to one patient",
        parameters=[_OF_PATIENT, *parts.search_parameters(definition, scene.registry)],
        responses=searchset("410", "413"),
        security=parts.security(definition, "s"),
    )


def search_within_by_post(scene: Scene) -> Described:
    """`POST Patient/id/Type/_search`."""
    definition = scene.of
    if not in_compartment(definition):
        return None
    return described(
        definition.type,
        f"search{definition.type}OfPatientByPost",
        "Search what belongs to one patient; no value comes to stand in a URL",
        parameters=[_OF_PATIENT],
        requestBody=form_body(parts.search_parameters(definition, scene.registry)),
        responses=searchset("410", "413", "415"),
        security=parts.security(definition, "s"),
    )


def validate(scene: Scene) -> Described:
    """`POST Type/$validate`."""
    return _validated(scene, "validate", [])


def validate_instance(scene: Scene) -> Described:
    """`POST Type/id/$validate`."""
    path = [parts.path_parameter("id", "The id that the resource is to have.")]
    return _validated(scene, "validateInstance", path)


def _validated(scene: Scene, name: str, path: list[parts.Parameter]) -> Described:
    definition = scene.of
    operation = named("validate")
    held = {"anyOf": [ref(definition.type), ref("Parameters")]}
    example = {"resourceType": definition.type}
    return described(
        definition.type,
        f"{name}{definition.type}",
        operation.title,
        description=operation.documentation,
        parameters=[
            *path,
            parts.query("mode", "As what.", {"type": "string", "enum": ["create", "update"]}),
            parts.query("profile", "A profile of R4 itself.", parts.PRINTABLE),
            *parts.form(),
        ],
        requestBody=body(held, "The resource, or Parameters that hold it.", example),
        responses=parts.answers(
            parts.fhir(ref("OperationOutcome"), "What was found."), "413", "415"
        ),
        security=parts.ANY_TOKEN,
    )


def everything_of_all(scene: Scene) -> Described:
    """`Patient/$everything`."""
    return _everything(scene, "everythingOfAll", [], "s")


def everything_of_patient(scene: Scene) -> Described:
    """`Patient/id/$everything`."""
    path = [parts.path_parameter("id", "The logical id of the patient.")]
    return _everything(scene, "everything", path, "r")


def _everything(
    scene: Scene, name: str, path: list[parts.Parameter], letter: str
) -> dict[str, Any]:
    operation = named("everything")
    good = parts.fhir(ref("Bundle"), "A searchset Bundle.")
    made = described(
        "Patient",
        name if scene.method == "GET" else f"{name}ByPost",
        operation.title,
        description=operation.documentation,
        parameters=[*path, *taken(operation, scene.method), *parts.form(), parts.cursor()],
        responses=parts.answers(good, "410", "413"),
        security=parts.security(scene.registry["Patient"], letter),
    )
    if scene.method == "POST":
        made["requestBody"] = parameters_body()
        made["responses"] = parts.answers(good, "410", "413", "415")
    return made


def docref(scene: Scene) -> Described:
    """`DocumentReference/$docref`."""
    operation = named("docref")
    made = described(
        "DocumentReference",
        "docref" if scene.method == "GET" else "docrefByPost",
        operation.title,
        description=operation.documentation,
        parameters=[*taken(operation, scene.method), *parts.form()],
        responses=searchset("410", "413", "415"),
        security=parts.security(scene.registry["DocumentReference"], "s"),
    )
    if scene.method == "POST":
        made["requestBody"] = parameters_body()
    return made


def content(scene: Scene) -> Described:
    """`GET Binary/id`: bytes, or a resource."""
    definition = scene.registry["Binary"]
    good = parts.fhir(ref("Binary"), "The content as it is; as a resource for FHIR JSON.")
    good["content"] |= {kind: {} for kind in _MEDIA_TYPES}
    good["headers"] = {
        "ETag": parts.header("The version of the content."),
        "Accept-Ranges": parts.header("bytes, where ranges can be had."),
        "Content-Disposition": parts.header("Always an attachment."),
    }
    part = {
        "description": "The range of the content.",
        "content": {kind: {} for kind in _MEDIA_TYPES},
        "headers": {
            "Content-Range": parts.header("Which of how many bytes.", required=True),
            "ETag": parts.header("The version of the content."),
        },
    }
    return described(
        "Binary",
        "readBinary",
        "Read the content of a document",
        description=definition.documentation,
        parameters=[
            parts.path_parameter("id", "The logical id."),
            *parts.shape(of_search=False),
            *parts.form(),
            *parts.conditions(),
            {
                "name": "Range",
                "in": "header",
                "description": "One range; several are answered with the whole.",
                "schema": TEXT,
                "example": "bytes=0-1023",
            },
            {
                "name": "If-Range",
                "in": "header",
                "description": "The ETag whose range is meant; of another version comes the whole.",
                "schema": TEXT,
                "example": '"1"',
            },
        ],
        responses=parts.answers(good, "410", "413", "416", "502", "504")
        | {"206": part, "304": parts.NOT_MODIFIED},
        security=parts.security(definition, "r"),
    )
