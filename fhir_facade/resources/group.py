"""Group: the patients a backend client may export, listed or found by a rule."""

from __future__ import annotations

from fhir_facade.fhir.systems import search_parameter
from fhir_facade.policy import ReachClass
from fhir_facade.resources.definition import ResourceDefinition, include_names, reference, token


def _definition(name: str) -> str:
    return search_parameter(f"Group-{name}")


_SEARCH = (
    token("actual", "actual", definition=_definition("actual")),
    token("characteristic", "characteristic.code", definition=_definition("characteristic")),
    token("code", "code", definition=_definition("code")),
    token("exclude", "characteristic.exclude", definition=_definition("exclude")),
    token("identifier", "identifier", definition=_definition("identifier")),
    reference(
        "managing-entity",
        "managingEntity",
        targets=("Organization", "Practitioner"),
        definition=_definition("managing-entity"),
    ),
    reference("member", "member.entity", targets=("Patient",), definition=_definition("member")),
    token("type", "type", definition=_definition("type")),
    token(
        "value",
        "characteristic.valueCodeableConcept",
        "characteristic.valueBoolean",
        definition=_definition("value"),
    ),
)  # no characteristic-value (composite)

DEFINITION = ResourceDefinition(
    type="Group",
    reach=ReachClass.STAFF,
    search=_SEARCH,
    includes=include_names("Group", _SEARCH),
)
