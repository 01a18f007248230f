"""The fast gate: one compiled JSON Schema per type and a few rules in Python, about 10 us a
resource.

Every resource that is published passes it. Schemas are compiled when a type is first seen.
"""

from __future__ import annotations

import functools
from typing import Any

import jsonschema_rs

from fhir_facade.fhir import FHIRResource, json
from fhir_facade.fhir.validation.problems import Problem, problem_of
from fhir_facade.fhir.validation.rules import Rule, rules_of
from fhir_facade.fhir.validation.types import FAST_TYPES, SCHEMA_DIRECTORY

_MOST_PROBLEMS = 50


class Validator:
    """The fast gate of one type. Call it with a resource of that type: no problems, no findings."""

    def __init__(self, type_name: str) -> None:
        definitions = {**_definitions("datatypes"), **_definitions(type_name)}
        self.type = type_name
        self._definitions = definitions
        self._schema = jsonschema_rs.Draft4Validator(
            {"definitions": definitions, "allOf": [{"$ref": f"#/definitions/{type_name}"}]},
            pattern_options=jsonschema_rs.RegexOptions(),
        )
        self._rules: tuple[Rule, ...] = rules_of(type_name, definitions[type_name])

    @staticmethod
    @functools.cache
    def for_type(type_name: str) -> Validator:
        """The validator of a type, compiled once. Raises KeyError for a type outside FAST_TYPES."""
        if type_name not in FAST_TYPES:
            raise KeyError(type_name)
        return Validator(type_name)

    def __call__(self, resource: FHIRResource) -> list[Problem]:
        """The problems of a resource, at most 50, in document order; empty when it is valid R4."""
        try:
            if not self._schema.is_valid(resource):
                return self._explain(resource)
        except (ValueError, OverflowError):
            # Raised for what is no JSON: other objects, keys that are no strings, surrogates.
            return [Problem(self.type, "structure", "holds a value that has no JSON form")]
        return [problem for rule in self._rules for problem in rule(resource)]

    def _explain(self, resource: FHIRResource) -> list[Problem]:
        problems: dict[Problem, None] = {}
        for error in self._schema.iter_errors(resource):
            problems[problem_of(self.type, error, self._definitions)] = None
            if len(problems) == _MOST_PROBLEMS:
                break
        return list(problems)


def fast_check(resource: FHIRResource) -> list[Problem]:
    """Check a resource of any fast type, whatever its resourceType says; empty when it is valid.

    Never raises for a dict. Nested resources (contained, Bundle entries) are checked as well.
    """
    type_name = resource.get("resourceType")
    if not isinstance(type_name, str) or type_name not in FAST_TYPES:
        return [Problem("Resource", "structure", "resourceType is missing or not checked here")]
    return Validator.for_type(type_name)(resource)


@functools.cache
def _definitions(stem: str) -> dict[str, Any]:
    document = json.loads((SCHEMA_DIRECTORY / f"{stem}.json").read_bytes())
    definitions: dict[str, Any] = document["definitions"]
    return definitions
