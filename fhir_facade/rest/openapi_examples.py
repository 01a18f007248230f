"""An example value for each search parameter, from what the schemas say of its element."""

from __future__ import annotations

from typing import Any

from fhir_facade.resources.definition import ParameterType, SearchParameter
from fhir_facade.rest.openapi_schemas import definitions_of

_OF_TYPE: dict[ParameterType, str] = {
    "string": "Smi",
    "date": "ge2026-11-01",
    "uri": "https://h.example/x",
    "number": "ge5",
    "quantity": "5.4||mg",
}
_OF_DATA_TYPE = {
    "boolean": "true",
    "CodeableConcept": "http://loinc.org|18748-4",
    "Coding": "http://loinc.org|18748-4",
    "ContactPoint": "someone@example.org",
    "Identifier": "12345",
}


def example_of(resource_type: str, parameter: SearchParameter) -> str:
    """A value that the parameter takes."""
    if parameter.name == "_id":
        return "qubs-1"
    if parameter.targets:
        return f"{parameter.targets[0]}/1"
    if parameter.type != "token":
        return _OF_TYPE[parameter.kind]
    found = _element(resource_type, parameter.paths[0])
    if "enum" in found:
        return str(found["enum"][0])
    return _OF_DATA_TYPE.get(_name(found), "code")


def _element(resource_type: str, path: str) -> dict[str, Any]:
    """What the schema of the type says of the members at a path; {} where it says nothing."""
    if path.endswith("exists()"):
        return {"$ref": "boolean"}
    own = definitions_of(resource_type)
    found: dict[str, Any] = own[resource_type]
    for step in path.partition("(")[0].split("."):
        found = found.get("properties", {}).get(step.removesuffix("[x]"), {})
        found = found.get("items", found)
        found = own.get(_name(found), found)
    return found


def _name(found: dict[str, Any]) -> str:
    return str(found.get("$ref", "")).rpartition("/")[2]
