"""Organization: the QUBS domain, the practice a tenant is."""

from __future__ import annotations

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.ids import resource_id
from fhir_facade.fhir.systems import (
    US_CORE_ORGANIZATION,
    search_parameter,
    us_core_search_parameter,
)
from fhir_facade.policy import ReachClass
from fhir_facade.resources.address_search import address_parameters
from fhir_facade.resources.context import SOURCE, QubsContext
from fhir_facade.resources.definition import (
    PROFILE,
    ResourceDefinition,
    include_names,
    reference,
    string,
    token,
)


def _definition(name: str) -> str:
    if name in ("name", "address"):
        return us_core_search_parameter(f"organization-{name}")
    return search_parameter(f"Organization-{name}")


_SEARCH = (
    PROFILE,
    token("active", "active", definition=_definition("active")),
    *address_parameters(_definition),
    token("identifier", "identifier", definition=_definition("identifier")),
    string("name", "name", "alias", definition=_definition("name")),
    reference("partof", "partOf", targets=("Organization",), definition=_definition("partof")),
    token("type", "type", definition=_definition("type")),
)  # no endpoint (not served), no phonetic (needs a language-bound algorithm)

DEFINITION = ResourceDefinition(
    type="Organization",
    reach=ReachClass.DIRECTORY,
    search=_SEARCH,
    profiles=(US_CORE_ORGANIZATION,),
    includes=include_names("Organization", _SEARCH),
)


def organization_from_qubs(context: QubsContext) -> FHIRResource:
    """The Organization of the tenant's domain (R4 organization.html), from its settings."""
    return {
        "resourceType": "Organization",
        "id": resource_id(SOURCE, context.domain),
        "meta": {"profile": [US_CORE_ORGANIZATION]},
        "identifier": [{"system": context.domain_system, "value": context.domain}],
        "active": True,
        "name": context.organization_name or context.domain,
    }
