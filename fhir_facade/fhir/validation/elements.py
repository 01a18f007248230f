"""What the fhir.resources R4B models say of each element, as plain records.

Only the generator and the tests use this: the models cost 0.3 s to import.
"""

from __future__ import annotations

import importlib
import types
import typing
import warnings
from dataclasses import dataclass
from typing import Any

from fhir_facade.fhir.validation.bindings import NOT_REQUIRED, REFERENCE_TARGETS, REQUIRED_CODES

_PACKAGE = "fhir.resources.R4B."
# Members of a model that are no FHIR elements.
_NO_ELEMENT = frozenset({"fhir_comments", "resource_type", "resourceType"})
# Found while walking: class name → class. Backbone classes live in their resource's module.
_classes: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Element:
    """One element: `path` is `{class}.{name}`, `choice` the stem of a choice of types (`value`),
    `twin` whether extensions on the value are allowed (`_name`), `codes` those of a required
    binding, `targets` the types a Reference may name (empty: any).
    """

    path: str
    name: str
    type: str
    primitive: bool
    twin: bool
    many: bool
    required: bool
    choice: str | None
    codes: tuple[str, ...]
    targets: list[str]


def model_class(name: str) -> Any:
    """The model class of a resource type, a data type, or a backbone seen before."""
    if name not in _classes:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(_PACKAGE + name.lower())
        _classes[name] = getattr(module, name)
    return _classes[name]


def known_class(name: str, module: str) -> bool:
    """Whether `name` is a model class, seen before, that this Python module declares."""
    return name in _classes and _classes[name].__module__ == module


def elements_of(class_name: str) -> list[Element]:
    """The elements of a model class, in the order of the specification."""
    model = model_class(class_name)
    by_name = {field.alias or name: field for name, field in model.model_fields.items()}
    order = [name for name in model.elements_sequence() if name in by_name]
    if set(order) != {n for n in by_name if not n.startswith("_")} - _NO_ELEMENT:
        raise ValueError(f"the model of {class_name} lists its elements incompletely")
    return [_element(class_name, name, by_name) for name in order]


def _element(class_name: str, name: str, names: dict[str, Any]) -> Element:
    field = names[name]
    facts = field.json_schema_extra or {}
    kind, many = _type_of(field.annotation)
    path = f"{class_name}.{name}"
    primitive = isinstance(kind, str)
    if name == "id" and model_class(class_name).has_resource_base():
        kind = "id"
    elif not primitive:
        kind = _register(kind)
    return Element(
        path=path,
        name=name,
        type=kind,
        primitive=primitive,
        twin="_" + name in names,
        many=many,
        required=bool(
            field.is_required()
            or facts.get("element_required")
            or facts.get("one_of_many_required")
        ),
        choice=facts.get("one_of_many"),
        codes=_codes(path, kind, facts),
        targets=list(REFERENCE_TARGETS.get(path, _targets(facts))),
    )


def _type_of(annotation: Any) -> tuple[Any, bool]:
    """The FHIR primitive's name or the model reference behind an annotation, and whether it is a
    list.
    """
    from fhir_core.constraints import FHIR_PRIMITIVES_MAPS

    many = False
    while True:
        origin = typing.get_origin(annotation)
        if origin is list:
            many = True
            annotation = typing.get_args(annotation)[0]
        elif annotation in FHIR_PRIMITIVES_MAPS:
            return FHIR_PRIMITIVES_MAPS[annotation], many
        elif origin in (typing.Union, types.UnionType):
            options = [a for a in typing.get_args(annotation) if a is not type(None)]
            annotation = options[0]
        else:
            return annotation, many


def _register(reference: Any) -> str:
    model = reference.get_model_klass()
    name: str = model.__name__
    _classes[name] = model
    return name


def _codes(path: str, kind: str, facts: dict[str, Any]) -> tuple[str, ...]:
    if path in REQUIRED_CODES:
        return REQUIRED_CODES[path]
    if kind != "code" or path in NOT_REQUIRED:
        return ()
    codes = tuple(facts.get("enum_values", ()))
    if {"+", "etc."} & set(codes):
        raise ValueError(f"the codes of {path} are cut in the models: add them to bindings")
    return codes


def _targets(facts: dict[str, Any]) -> list[str]:
    targets = facts.get("enum_reference_types", [])
    return [] if "Resource" in targets else list(targets)
