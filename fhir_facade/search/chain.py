"""Parameters of other resources: `patient.name`, `subject:Patient.birthdate`,
`_has:Appointment:patient:status` (R4 search.html#chaining, #has).
"""

from __future__ import annotations

from collections.abc import Callable

from fhir_facade.errors import UnsupportedParameter
from fhir_facade.fhir.r4_types import is_r4_type
from fhir_facade.mirror.criteria import ChainCriterion, Criterion, HasCriterion
from fhir_facade.resources.definition import ResourceDefinition, SearchParameter
from fhir_facade.search.query import SearchContext
from fhir_facade.search.values.text import (
    UnknownParameter,
    malformed,
    showable,
    unsupported_modifier,
)

MAX_STEPS = 2
"""Resources a parameter may go through: each step costs a search of its own."""
HAS = "_has"

Inner = Callable[[ResourceDefinition, str], Criterion]
"""Parses the rest of the name, with the same value, as a parameter of another type."""


def is_chain(name: str) -> bool:
    """Whether a parameter's name speaks of another resource."""
    return name.startswith(f"{HAS}:") or "." in name


def chain_criterion(
    definition: ResourceDefinition, name: str, steps: int, context: SearchContext, inner: Inner
) -> Criterion:
    """The criterion of one chained or reverse chained parameter.

    Raises UnknownParameter where nothing that is served is meant, UnsupportedParameter beyond
    MAX_STEPS, InvalidRequest when malformed.
    """
    if steps > MAX_STEPS:
        raise UnsupportedParameter(
            f"A search may go through {MAX_STEPS} other resources at most.",
            diagnostics="Search in two requests.",
            expression=(showable(name),),
        )
    if name.startswith(f"{HAS}:"):
        return _has(definition, name, context, inner)
    return _chain(definition, name, context, inner)


def _chain(
    definition: ResourceDefinition, name: str, context: SearchContext, inner: Inner
) -> ChainCriterion:
    link, _, rest = name.partition(".")
    plain, _, narrowed = link.partition(":")
    parameter = _reference(definition, plain)
    if parameter is None or not rest:
        raise _unknown(name, f"{definition.type} has no reference parameter of this name.")
    if narrowed and not is_r4_type(narrowed):
        raise unsupported_modifier(plain, "(not a type)", "a resource type")
    targets: list[tuple[str, tuple[Criterion, ...]]] = []
    refusal: UnsupportedParameter | None = None
    for target in parameter.targets:
        served = context.registry.get(target)
        if served is None or not served.stored or narrowed not in ("", target):
            continue
        try:
            targets.append((target, (inner(served, rest),)))
        except UnknownParameter:
            # Of several targets only those that have the parameter are meant,
            continue
        except UnsupportedParameter as error:
            # and only those whose parameter of that name takes the modifier.
            refusal = error
    if not targets and refusal is not None:
        raise refusal
    if not targets:
        raise _unknown(name, "No type that this reference leads to has such a parameter.")
    return ChainCriterion(plain, tuple(targets))


def _has(
    definition: ResourceDefinition, name: str, context: SearchContext, inner: Inner
) -> HasCriterion:
    parts = name.split(":", 3)
    if len(parts) != 4 or not all(parts):
        raise malformed(HAS, "_has:Type:reference-parameter:parameter=value")
    _, source, param, rest = parts
    if not is_r4_type(source):
        raise malformed(HAS, "_has:Type:reference-parameter:parameter with an R4 resource type")
    served = context.registry.get(source)
    parameter = _reference(served, param) if served is not None and served.stored else None
    if served is None or parameter is None or definition.type not in parameter.targets:
        raise _unknown(name, f"Nothing that is served refers to {definition.type} like this.")
    return HasCriterion(source, param, (inner(served, rest),))


def _reference(definition: ResourceDefinition, name: str) -> SearchParameter | None:
    parameter = definition.parameter(name)
    return parameter if parameter is not None and parameter.kind == "reference" else None


def _unknown(name: str, text: str) -> UnknownParameter:
    return UnknownParameter(
        f"This chained parameter is not supported. {text}",
        diagnostics="The CapabilityStatement lists the reference parameters of each type, and the "
        "parameters of the types they lead to.",
        expression=(showable(name),),
    )
