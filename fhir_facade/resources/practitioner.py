"""Practitioner: a member of staff in the skill grid of a QUBS site."""

from __future__ import annotations

from fhir_facade.fhir.systems import (
    US_CORE_PRACTITIONER,
    search_parameter,
    us_core_search_parameter,
)
from fhir_facade.policy import ReachClass
from fhir_facade.resources.address_search import address_parameters
from fhir_facade.resources.definition import ResourceDefinition, include_names, string, token


def _individual(name: str) -> str:
    return search_parameter(f"individual-{name}")


_SEARCH = (
    token("active", "active", definition=search_parameter("Practitioner-active")),
    *address_parameters(_individual),
    token(
        "communication", "communication", definition=search_parameter("Practitioner-communication")
    ),
    token("email", "telecom(system=email)", definition=_individual("email")),
    string("family", "name.family", definition=_individual("family")),
    token("gender", "gender", definition=_individual("gender")),
    string("given", "name.given", definition=_individual("given")),
    token(
        "identifier", "identifier", definition=us_core_search_parameter("practitioner-identifier")
    ),
    string("name", "name", definition=us_core_search_parameter("practitioner-name")),
    token("phone", "telecom(system=phone)", definition=_individual("phone")),
    token("telecom", "telecom", definition=_individual("telecom")),
)  # no phonetic (needs a language-bound algorithm)

DEFINITION = ResourceDefinition(
    type="Practitioner",
    reach=ReachClass.DIRECTORY,
    search=_SEARCH,
    profiles=(US_CORE_PRACTITIONER,),
    includes=include_names("Practitioner", _SEARCH),
)
