"""What a gate says of a resource: where, what kind, and a sentence that holds no value of the
resource.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from jsonschema_rs import ValidationError

_INVARIANT = re.compile(r"[a-z]{2,4}-[0-9]+(?:, [a-z]{2,4}-[0-9]+)*: ")

# JSON Schema keyword → FHIR issue type and the sentence used where the schema has no description.
_KEYWORDS: dict[str, tuple[str, str]] = {
    "additionalProperties": ("structure", "holds an element that R4 does not define here"),
    "enum": ("code-invalid", "is not one of the codes R4 requires here"),
    "maxLength": ("too-long", "is longer than R4 allows"),
    "minItems": ("structure", "must not be an empty list"),
    "minProperties": ("structure", "must not be empty"),
    "required": ("required", "lacks a required element"),
    "type": ("structure", "has the wrong JSON type"),
}


class Problem(NamedTuple):
    """`expression` is a FHIRPath to the element, `code` an R4 issue type; `message` never holds a
    value, so it may be logged, stored and shown.
    """

    expression: str
    code: str
    message: str


def path_of(type_name: str, steps: Sequence[str | int]) -> str:
    """`Patient.name[0].family` from a JSON path."""
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps]
    return type_name + "".join(parts)


def problem_of(type_name: str, error: ValidationError, definitions: dict[str, Any]) -> Problem:
    """Translate a schema error: the keyword, the path, and the description nearest to the rule.

    The error's own message quotes the instance and is not used.
    """
    keyword = error.kind.name
    expression = path_of(type_name, error.instance_path)
    code, message = _KEYWORDS.get(keyword, ("value", "does not have the form R4 requires"))
    described = _description(error.schema_path, definitions)
    if keyword == "required" and described is None:
        missing = getattr(error.kind, "property", "")
        return Problem(expression, code, f"{missing} is required")
    if described is None or keyword in ("additionalProperties", "minItems", "maxLength"):
        return Problem(expression, code, message)
    if _INVARIANT.match(described):
        return Problem(expression, "invariant", described)
    if described.endswith("is required"):
        return Problem(expression, "required", described)
    return Problem(expression, code if code != "structure" else "value", described)


def _description(path: Sequence[str | int], definitions: dict[str, Any]) -> str | None:
    """The innermost `description` on the way to a keyword, within the schema of one property."""
    node: Any = {"definitions": definitions}
    found: str | None = None
    for step in path[:-1]:
        node = node[step]
        if isinstance(node, dict) and isinstance(node.get("description"), str):
            found = node["description"]
    return found
