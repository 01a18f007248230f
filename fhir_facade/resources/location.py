"""Location: a QUBS site."""

from __future__ import annotations

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.ids import resource_id
from fhir_facade.fhir.systems import (
    LOCATION_STATUS,
    SITE_TIME_ZONE,
    US_CORE_LOCATION,
    search_parameter,
    us_core_search_parameter,
)
from fhir_facade.fhir.zones import resolve_zone
from fhir_facade.policy import ReachClass
from fhir_facade.resources import qubs_fields as fields
from fhir_facade.resources.address_search import address_parameters
from fhir_facade.resources.context import SOURCE, MappingWarning, QubsContext, Records, unknown
from fhir_facade.resources.definition import (
    PROFILE,
    ResourceDefinition,
    include_names,
    reference,
    string,
    token,
)
from fhir_facade.upstream.qubs_words import SITE_SETTINGS

_US_CORE = ("name", "address", "address-city", "address-state", "address-postalcode")


def _definition(name: str) -> str:
    if name in _US_CORE:
        return us_core_search_parameter(f"location-{name}")
    return search_parameter(f"Location-{name}")


_SEARCH = (
    PROFILE,
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
    token(
        "status",
        "status",
        definition=_definition("status"),
        system=LOCATION_STATUS,
    ),
    token("type", "type", definition=_definition("type")),
)  # no endpoint (not served), no near (no upstream gives a position)

DEFINITION = ResourceDefinition(
    type="Location",
    reach=ReachClass.DIRECTORY,
    search=_SEARCH,
    profiles=(US_CORE_LOCATION,),
    includes=include_names("Location", _SEARCH),
)


def location_from_qubs(
    site: str, records: Records, context: QubsContext
) -> tuple[FHIRResource, list[MappingWarning]]:
    """The Location of one site (R4 location.html), with its time zone as an extension.

    A zone name that is neither IANA nor Windows is kept as text, and no instants are made in it.
    """
    warnings: list[MappingWarning] = []
    resource: FHIRResource = {
        "resourceType": "Location",
        "id": resource_id(SOURCE, site),
        "meta": {"profile": [US_CORE_LOCATION]},
    }
    settings = records.get((SITE_SETTINGS, site))
    zone_name = fields.text(settings, fields.TIME_ZONE) if isinstance(settings, dict) else None
    if zone_name is not None:
        zone = resolve_zone(zone_name)
        if zone is None:
            warnings.append(unknown("unknown-time-zone", zone_name))
            value = {"valueString": zone_name}
        else:
            value = {"valueCode": zone.key}
        resource["extension"] = [{"url": SITE_TIME_ZONE, **value}]
    resource["identifier"] = [{"system": context.site_system, "value": site}]
    resource["status"] = "active"
    resource["name"] = site
    resource["mode"] = "instance"
    resource["managingOrganization"] = {"reference": context.organization_reference}
    return resource, warnings
