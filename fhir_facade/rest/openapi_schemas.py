"""JSON Schemas of what the OpenAPI document speaks of, from those of the fast gate: the elements of
each type and their shapes. Data types are objects with a title; what R4 says of them is in R4.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from fhir_facade.fhir import json
from fhir_facade.fhir.validation.types import SCHEMA_DIRECTORY

Schema = dict[str, Any]

_POINTER = "#/definitions/"
_REF = "#/components/schemas/"
_KEPT = ("type", "enum", "minimum", "maximum", "pattern", "minItems", "const")
_PATTERNS = frozenset({"id", "instant", "date", "dateTime"})
"""Primitives whose pattern is worth its length."""
RESOURCE: Schema = {
    "type": "object",
    "title": "Resource",
    "required": ["resourceType"],
    "properties": {"resourceType": {"type": "string"}},
}
MANIFEST: Schema = {
    "type": "object",
    "title": "Manifest of a bulk export",
    "required": ["transactionTime", "request", "requiresAccessToken", "output", "error"],
    "properties": {
        "transactionTime": {"type": "string"},
        "request": {"type": "string"},
        "requiresAccessToken": {"type": "boolean"},
        **{
            name: {"type": "array", "items": {"$ref": f"{_REF}ManifestFile"}}
            for name in ("output", "deleted", "error")
        },
    },
}
MANIFEST_FILE: Schema = {
    "type": "object",
    "required": ["type", "url"],
    "properties": {
        "type": {"type": "string"},
        "url": {"type": "string"},
        "count": {"type": "integer", "minimum": 0},
        "extension": {"type": "object"},
    },
}


def ref(name: str) -> Schema:
    """A reference to a schema of the document."""
    return {"$ref": f"{_REF}{name}"}


def schemas(types: Iterable[str]) -> dict[str, Schema]:
    """Name → schema of these types with their backbones, and of what is no type."""
    found: dict[str, Schema] = {
        "Resource": RESOURCE,
        "Manifest": MANIFEST,
        "ManifestFile": MANIFEST_FILE,
    }
    for name in types:
        for class_name, definition in definitions_of(name).items():
            found[class_name] = _class(definition, definitions_of(name))
    return found


@lru_cache(maxsize=128)
def definitions_of(stem: str) -> dict[str, Any]:
    """The classes that the fast gate's schemas of a type declare, by name."""
    document = json.loads((SCHEMA_DIRECTORY / f"{stem}.json").read_bytes())
    definitions: dict[str, Any] = document["definitions"]
    return definitions


def _class(definition: dict[str, Any], own: dict[str, Any]) -> Schema:
    properties = definition["properties"]
    schema: Schema = {
        "type": "object",
        "properties": {
            name: _property(value, own)
            for name, value in properties.items()
            if not name.startswith("_")
        },
        # Of a primitive: its id and extensions.
        "patternProperties": {"^_": {"type": ["object", "array"]}},
        "additionalProperties": False,
    }
    if "resourceType" in properties:
        schema["required"] = ["resourceType"]
    return schema


def _property(value: dict[str, Any], own: dict[str, Any]) -> Schema:
    if "$ref" in value:
        name = value["$ref"].removeprefix(_POINTER)
        return ref(name) if name in own else _data_type(name)
    schema = {key: value[key] for key in _KEPT if key in value}
    if "items" in value:
        schema["items"] = _property(value["items"], own)
    return schema


def _data_type(name: str) -> Schema:
    definition = definitions_of("datatypes")[name]
    if definition["type"] in ("object", ["object", "null"]):
        return {
            "type": "object",
            "title": name.partition(".")[0].replace("ReferenceTo", "Reference"),
        }
    schema = {key: definition[key] for key in _KEPT if key in definition}
    if name not in _PATTERNS:
        schema.pop("pattern", None)
    return schema
