"""Write the JSON Schemas of the fast gate from the fhir.resources R4B models.

`python -m fhir_facade.fhir.validation.generate` rewrites `schemas/`: one file per resource type
with its own classes, and `datatypes.json` with what they share. The models give names, types,
cardinalities, choices, codes and reference targets; `primitives`, `bindings` and `invariants` give
what they lack. Run it after a change to any of these; a test compares the committed files with a
fresh run.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fhir_facade.fhir import json
from fhir_facade.fhir.validation.bindings import NOT_IN_R4
from fhir_facade.fhir.validation.elements import Element, elements_of, known_class, model_class
from fhir_facade.fhir.validation.invariants import INVARIANTS
from fhir_facade.fhir.validation.primitives import PRIMITIVES, reference_pattern
from fhir_facade.fhir.validation.schema_parts import Schema, has
from fhir_facade.fhir.validation.types import FAST_TYPES, SCHEMA_DIRECTORY

_POINTER = "#/definitions/"


class SchemaWriter:
    """The definitions that the given root classes reach."""

    def __init__(self, *roots: str) -> None:
        self.definitions: dict[str, Schema] = {}
        self._waiting = list(roots)
        self._references: dict[str, list[str]] = {}
        while self._waiting:
            name = self._waiting.pop()
            if name not in self.definitions:
                elements = [e for e in elements_of(name) if e.path not in NOT_IN_R4]
                self.definitions[name] = self._object(name, elements)
        for name, targets in self._references.items():
            self.definitions[name] = self._narrowed_reference(targets)

    def _object(self, class_name: str, elements: list[Element]) -> Schema:
        properties: Schema = {}
        if model_class(class_name).has_resource_base():
            properties["resourceType"] = {"enum": [class_name]}
        for element in elements:
            properties[element.name] = self._property(element)
            if element.twin:
                properties["_" + element.name] = self._twin(element)
        required = [e.name for e in elements if e.required and not e.choice and not e.primitive]
        schema: Schema = {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        }
        if "resourceType" in properties:
            required.insert(0, "resourceType")
        else:
            schema["minProperties"] = 1
            # ele-1: an id alone is no content.
            schema["dependencies"] = {"id": {"minProperties": 2}}
        if required:
            schema["required"] = required
        rules = [*_required_primitives(elements), *_null_rules(elements)]
        rules += _choice_rules(class_name, elements)
        rules += INVARIANTS.get(class_name, [])
        if rules:
            schema["allOf"] = rules
        return schema

    def _property(self, element: Element) -> Schema:
        single = self._single(element)
        if not element.many:
            return single
        return {"type": "array", "minItems": 1, "items": single}

    def _single(self, element: Element) -> Schema:
        if element.codes:
            return {"enum": [*element.codes, None] if element.many else list(element.codes)}
        if element.primitive:
            return self._primitive(element.type, nullable=element.many)
        if element.type == "Resource":
            return {
                "type": "object",
                "required": ["resourceType"],
                "description": "must be a resource with a resourceType",
            }
        if element.type == "Reference":
            return self._reference(element.targets)
        return self._class(element.type)

    def _class(self, name: str) -> Schema:
        self._waiting.append(name)
        return {"$ref": _POINTER + name}

    def _primitive(self, name: str, *, nullable: bool) -> Schema:
        schema = PRIMITIVES[name]
        if nullable:
            schema = {**schema, "type": [schema["type"], "null"]}
            name += "OrNull"
        self.definitions[name] = schema
        return {"$ref": _POINTER + name}

    def _reference(self, targets: list[str]) -> Schema:
        self._waiting.append("Reference")
        name = ".".join(["ReferenceTo", *sorted(targets)])
        self._references[name] = sorted(targets)
        return {"$ref": _POINTER + name}

    def _narrowed_reference(self, targets: list[str]) -> Schema:
        kinds = ", ".join(targets) or "a resource"
        text = {
            "type": "string",
            "pattern": reference_pattern(targets),
            "description": f"must be a reference to {kinds}: Type/id, a URL, urn: or #id",
        }
        base = self.definitions["Reference"]
        return {**base, "properties": {**base["properties"], "reference": text}}

    def _twin(self, element: Element) -> Schema:
        """The `_name` member of a primitive: id and extensions."""
        extensions = {"type": "array", "minItems": 1, "items": self._class("Extension")}
        name, kind = ("TwinOrNull", ["object", "null"]) if element.many else ("Twin", "object")
        self.definitions[name] = {
            "type": kind,
            "minProperties": 1,
            "properties": {
                "id": self._primitive("string", nullable=False),
                "extension": extensions,
            },
            "additionalProperties": False,
        }
        single = {"$ref": _POINTER + name}
        return {"type": "array", "minItems": 1, "items": single} if element.many else single


def _required_primitives(elements: list[Element]) -> list[Schema]:
    """A required primitive is there, or its twin says by an extension why not."""
    return [
        {
            "description": f"{e.name} is required",
            "anyOf": [
                {"required": [e.name]},
                {"required": ["_" + e.name]}
                if e.many
                else {
                    "required": ["_" + e.name],
                    "properties": {"_" + e.name: {"required": ["extension"]}},
                },
            ],
        }
        for e in elements
        if e.required and e.primitive and not e.choice
    ]


def _null_rules(elements: list[Element]) -> list[Schema]:
    """A list of primitives may hold null only where its twin has something to say."""
    value = {"type": ["string", "number", "boolean"]}
    return [
        {
            "description": f"{e.name} must not hold null",
            "anyOf": [{"required": ["_" + e.name]}, {"properties": {e.name: {"items": value}}}],
        }
        for e in elements
        if e.many and e.twin
    ]


def _choice_rules(class_name: str, elements: list[Element]) -> list[Schema]:
    groups: dict[str, list[Element]] = {}
    for element in elements:
        if element.choice:
            groups.setdefault(element.choice, []).append(element)
    return [_one_of(class_name, stem, group) for stem, group in groups.items()]


def _one_of(class_name: str, stem: str, group: list[Element]) -> Schema:
    """At most one type of a choice, exactly one where it is required; Extension and Parameters
    more.
    """
    each = [has(e.name) if e.twin else {"required": [e.name]} for e in group]
    names = [n for e in group for n in ((e.name, "_" + e.name) if e.twin else (e.name,))]
    none = {"not": {"anyOf": [{"required": [name]} for name in names]}}
    if class_name == "Extension":
        # Two members are url and one more: a value or nested extensions, nearly every instance.
        nested = {"allOf": [{"required": ["extension"]}, none]}
        single = {"allOf": [{"not": {"required": ["extension"]}}, {"oneOf": each}]}
        quick = {"required": ["url"], "minProperties": 2, "maxProperties": 2}
        plain = {**quick, "not": {"anyOf": [{"required": ["id"]}, {"required": ["_url"]}]}}
        return {
            "description": "ext-1: either one value[x] or nested extensions",
            "anyOf": [plain, nested, single],
        }
    if class_name == "ParametersParameter":
        kinds = [*each, {"required": ["resource"]}, {"required": ["part"]}]
        return {"description": "inv-1: one of value[x], resource or part", "oneOf": kinds}
    if group[0].required:
        return {"description": f"exactly one {stem}[x] is required", "oneOf": each}
    return {"description": f"at most one {stem}[x] is allowed", "anyOf": [none, {"oneOf": each}]}


def schemas() -> dict[str, Schema]:
    """File stem → JSON Schema document, for every fast type and `datatypes`."""
    per_type = {name: SchemaWriter(name).definitions for name in FAST_TYPES}
    own = {name: _own_classes(name, per_type[name]) for name in FAST_TYPES}
    private = {class_name for classes in own.values() for class_name in classes}
    everything = {k: v for definitions in per_type.values() for k, v in definitions.items()}
    documents: dict[str, Schema] = {
        name: {"definitions": {c: per_type[name][c] for c in sorted(own[name])}}
        for name in FAST_TYPES
    }
    shared = sorted(set(everything) - private)
    documents["datatypes"] = {"definitions": {c: everything[c] for c in shared}}
    return documents


def _own_classes(type_name: str, definitions: dict[str, Schema]) -> list[str]:
    """The type and its backbone classes: what is declared in the type's own module."""
    module = model_class(type_name).__module__
    return [name for name in definitions if known_class(name, module)]


def main(directory: Path = SCHEMA_DIRECTORY) -> None:
    """Write every schema file, sorted and compact, so that a change is a small diff."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, document in schemas().items():
        lines = [
            b"%b:%b" % (json.dumps(key), json.dumps(value))
            for key, value in document["definitions"].items()
        ]
        body = b'{"definitions":{\n' + b",\n".join(lines) + b"\n}}\n"
        (directory / f"{name}.json").write_bytes(body)
    sys.stdout.write(f"{len(FAST_TYPES)} types written\n")


if __name__ == "__main__":
    main()
