"""Reference parameters: `id`, `Type/id`, a URL under our base (R4 search.html#reference)."""

from __future__ import annotations

from fhir_facade.fhir.ids import is_id
from fhir_facade.fhir.r4_types import is_r4_type
from fhir_facade.fhir.references import parse_reference
from fhir_facade.mirror.criteria import NothingCriterion, ReferenceCriterion, TokenCriterion
from fhir_facade.resources.definition import SearchParameter
from fhir_facade.resources.index_rows import identifier_of
from fhir_facade.search.values.text import (
    alternatives,
    malformed,
    unescape,
    unsupported_modifier,
)
from fhir_facade.search.values.token import token_value

_RULE = "an id, Type/id, or an absolute URL on this server"


def reference_criterion(
    parameter: SearchParameter, modifier: str, value: str, base: str
) -> ReferenceCriterion | TokenCriterion | NothingCriterion:
    """The criterion of one reference parameter; a type as modifier (`subject:Patient=1`) narrows
    it, `:identifier` asks for the business identifier that stands in the reference itself.

    References to other servers, or to a type the parameter never leads to, match nothing.
    """
    name = parameter.name
    if modifier == "identifier":
        values = alternatives(name, value, token_value)
        return TokenCriterion(identifier_of(name), values)
    if modifier and not is_r4_type(modifier):
        raise unsupported_modifier(name, modifier, "a resource type, :identifier, :missing")
    read = alternatives(name, value, lambda n, text: _target(n, unescape(text), modifier, base))
    possible = tuple(
        target for target in read if target is not None and _leads_to(parameter, target[0])
    )
    return ReferenceCriterion(name, possible) if possible else NothingCriterion()


def _leads_to(parameter: SearchParameter, target_type: str) -> bool:
    return not target_type or not parameter.targets or target_type in parameter.targets


def _target(name: str, text: str, modifier: str, base: str) -> tuple[str, str] | None:
    """`(type or '', id)`; None when it is not on this server."""
    if is_id(text):
        return (modifier, text)
    reference = parse_reference(text, base)
    if reference is None:
        raise malformed(name, _RULE)
    if reference.base is not None or (modifier and reference.type != modifier):
        return None
    return (reference.type, reference.id)
