"""Practitioner: a member of staff in the skill grid of a QUBS site."""

from __future__ import annotations

from typing import Any

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.data_absent import data_absent
from fhir_facade.fhir.ids import resource_id
from fhir_facade.fhir.systems import (
    ADMINISTRATIVE_GENDER,
    US_CORE_PRACTITIONER,
    search_parameter,
    us_core_search_parameter,
)
from fhir_facade.policy import ReachClass
from fhir_facade.resources import qubs_fields as fields
from fhir_facade.resources.address_search import address_parameters
from fhir_facade.resources.context import SOURCE, QubsContext, RecordKey, Records
from fhir_facade.resources.definition import (
    PROFILE,
    ResourceDefinition,
    include_names,
    string,
    token,
)
from fhir_facade.upstream.qubs_words import STAFF_SKILLS


def _individual(name: str) -> str:
    return search_parameter(f"individual-{name}")


_SEARCH = (
    PROFILE,
    token("active", "active", definition=search_parameter("Practitioner-active")),
    *address_parameters(_individual),
    token(
        "communication", "communication", definition=search_parameter("Practitioner-communication")
    ),
    token("email", "telecom(system=email)", definition=_individual("email")),
    string("family", "name.family", definition=_individual("family")),
    token(
        "gender",
        "gender",
        definition=_individual("gender"),
        system=ADMINISTRATIVE_GENDER,
    ),
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


def practitioner_from_qubs(
    employee_id: str, records: Records, context: QubsContext
) -> tuple[FHIRResource | None, tuple[RecordKey, ...]]:
    """The Practitioner of one employee (R4 practitioner.html) and the skill grids that name them.

    None when no grid does. The upstream has one display name, so `family`, which US Core asks for,
    says that it is not known.
    """
    named: str | None = None
    used: list[RecordKey] = []
    for key in sorted(records):
        if key[0] != STAFF_SKILLS or not isinstance(records[key], dict):
            continue
        for row in fields.rows(records[key], fields.EMPLOYEES):
            if fields.text(row, fields.EMPLOYEE_ID) == employee_id:
                named = named or fields.text(row, fields.EMPLOYEE_NAME)
                used.append(key)
    if not used:
        return None, ()
    name: dict[str, Any] = {"text": named} if named else {}
    name["_family"] = data_absent("unknown")
    resource: FHIRResource = {
        "resourceType": "Practitioner",
        "id": resource_id(SOURCE, employee_id),
        "meta": {"profile": [US_CORE_PRACTITIONER]},
        "identifier": [{"system": context.staff_system, "value": employee_id}],
        "name": [name],
    }
    return resource, tuple(dict.fromkeys(used))
