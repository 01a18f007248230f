"""Location: a QUBS site."""

from __future__ import annotations

from fhir_facade.fhir.systems import US_CORE_LOCATION, search_parameter, us_core_search_parameter
from fhir_facade.policy import ReachClass
from fhir_facade.resources.address_search import address_parameters
from fhir_facade.resources.definition import (
    ResourceDefinition,
    include_names,
    reference,
    string,
    token,
)

_US_CORE = ("name", "address", "address-city", "address-state", "address-postalcode")


def _definition(name: str) -> str:
    if name in _US_CORE:
        return us_core_search_parameter(f"location-{name}")
    return search_parameter(f"Location-{name}")


_SEARCH = (
    *address_parameters(_definition),
    token("identifier", "identifier", definition=_definition("identifier")),
    string("name", "name", "alias", definition=_definition("name")),
    token("operational-status", "operationalStatus", definition=_definition("operational-status")),
    reference(
        "organization",
        "managingOrganization",
        targets=("Organization",),
        definition=_definition("organization"),
    ),
    reference("partof", "partOf", targets=("Location",), definition=_definition("partof")),
    token("status", "status", definition=_definition("status")),
    token("type", "type", definition=_definition("type")),
)  # no endpoint (not served), no near (no upstream gives a position)

DEFINITION = ResourceDefinition(
    type="Location",
    reach=ReachClass.DIRECTORY,
    search=_SEARCH,
    profiles=(US_CORE_LOCATION,),
    includes=include_names("Location", _SEARCH),
)
