"""The authority gate: fhir.resources (R4B models, equal to R4 4.0.1 for the types accepted here)
and what it misses.

300 to 800 us a resource and 0.3 s to import, so: incoming bodies, golden files, the deep check by
command.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from typing import Any

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.r4_types import is_r4_type
from fhir_facade.fhir.references import iter_references
from fhir_facade.fhir.validation.fast import fast_check
from fhir_facade.fhir.validation.problems import Problem, path_of
from fhir_facade.fhir.validation.rules import period_problem
from fhir_facade.fhir.validation.types import FAST_TYPES

DIFFERENT_IN_R4B = frozenset(
    """
    ActivityDefinition EffectEvidenceSynthesis Evidence EvidenceVariable MedicinalProduct
    MedicinalProductAuthorization MedicinalProductContraindication MedicinalProductIndication
    MedicinalProductIngredient MedicinalProductInteraction MedicinalProductManufactured
    MedicinalProductPackaged MedicinalProductPharmaceutical MedicinalProductUndesirableEffect
    PlanDefinition RiskEvidenceSynthesis SubstanceNucleicAcid SubstancePolymer SubstanceProtein
    SubstanceReferenceInformation SubstanceSourceMaterial SubstanceSpecification
    """.split()
)
"""R4 types that R4B changed or dropped: its models would judge them by another standard."""

_MESSAGES = {
    "extra_forbidden": ("structure", "holds an element that R4 does not define here"),
    "missing": ("required", "is required"),
    "model_field_validation.missing": ("required", "is required"),
}


def deep_check(resource: FHIRResource) -> list[Problem]:
    """Every problem both gates find in a resource of any R4 type; empty when it is valid. Changes
    nothing.

    Types that R4B changed are refused with `not-supported`. No message holds a value of the
    resource.
    """
    type_name = resource.get("resourceType")
    if not isinstance(type_name, str) or not is_r4_type(type_name):
        return [Problem("Resource", "structure", "resourceType is missing or no R4 type")]
    if type_name in DIFFERENT_IN_R4B:
        return [Problem(type_name, "not-supported", "this type differs between R4 and R4B")]
    found: dict[Problem, None] = {}
    if type_name in FAST_TYPES:
        found = dict.fromkeys(fast_check(resource))
    else:
        found = dict.fromkeys(_shape_problems(resource, type_name))
    places = {problem.expression for problem in found}
    for problem in model_problems(resource, type_name):
        if problem.expression not in places:
            found[problem] = None
    if not found:
        found = dict.fromkeys(_value_problems(resource, type_name))
    return list(found)


def model_problems(resource: FHIRResource, type_name: str) -> Iterator[Problem]:
    """What fhir.resources alone says of a resource of an R4B type."""
    from pydantic import ValidationError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module(f"fhir.resources.R4B.{type_name.lower()}")
        try:
            getattr(module, type_name).model_validate(resource)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
        except Exception:
            # The models raise KeyError, AttributeError and others for shapes they did not foresee.
            yield Problem(type_name, "structure", "does not have the shape of this type")
            return
        else:
            return
    for detail in details:
        default = ("value", "does not fit the definition of this element")
        code, message = _MESSAGES.get(detail["type"], default)
        steps = [s for s in detail["loc"] if isinstance(s, int) or s.isalnum()]
        if detail["type"] == "extra_forbidden":
            steps = steps[:-1]  # the name itself comes from the resource
        yield Problem(path_of(type_name, steps), code, message)


def _shape_problems(node: Any, expression: str) -> Iterator[Problem]:
    """null and empty members, which the models let pass, for types without a fast schema."""
    if node is None or node in ({}, [], ""):
        yield Problem(expression, "structure", "must not be empty")
    elif isinstance(node, dict):
        for name, value in node.items():
            yield from _shape_problems(value, f"{expression}.{name}")
    elif isinstance(node, list):
        # null stands in lists of primitives where only the twin has something to say.
        for index, value in enumerate(node):
            if value is not None:
                yield from _shape_problems(value, f"{expression}[{index}]")


def _value_problems(resource: FHIRResource, type_name: str) -> Iterator[Problem]:
    """Periods at any depth (per-1), and local references in a resource that contains nothing."""
    yield from _period_problems(resource, type_name)
    if "contained" not in resource and any(r.startswith("#") for r in iter_references(resource)):
        yield Problem(type_name, "invariant", "ref-1: a local reference leads to nothing")


def _period_problems(node: Any, expression: str) -> Iterator[Problem]:
    if isinstance(node, list):
        for index, value in enumerate(node):
            yield from _period_problems(value, f"{expression}[{index}]")
    elif isinstance(node, dict):
        if node.keys() <= {"id", "extension", "start", "end", "_start", "_end"}:
            problem = period_problem(node, expression)
            if problem is not None:
                yield problem
        for name, value in node.items():
            yield from _period_problems(value, f"{expression}.{name}")
