"""Patient: from the QUBS patient summary and from what the views say of a patient."""

from __future__ import annotations

from typing import Any

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.data_absent import data_absent
from fhir_facade.fhir.ids import resource_id
from fhir_facade.fhir.systems import (
    ADMINISTRATIVE_GENDER,
    US_CORE_PATIENT,
    V2_0203,
    search_parameter,
    us_core_search_parameter,
)
from fhir_facade.policy import ReachClass
from fhir_facade.resources import qubs_fields as fields
from fhir_facade.resources.address_search import address_parameters
from fhir_facade.resources.context import (
    SOURCE,
    MappingWarning,
    QubsContext,
    RecordKey,
    Records,
    unknown,
)
from fhir_facade.resources.definition import (
    PROFILE,
    ResourceDefinition,
    date,
    include_names,
    reference,
    string,
    token,
)
from fhir_facade.upstream.qubs_words import PATIENTS, TELE_REPORTING

_SEARCH = (
    PROFILE,
    token("active", "active", definition=search_parameter("Patient-active")),
    *address_parameters(lambda name: search_parameter(f"individual-{name}")),
    date(
        "birthdate",
        "birthDate",
        definition=us_core_search_parameter("patient-birthdate"),
        single=True,
    ),
    date(
        "death-date",
        "deceasedDateTime",
        definition=search_parameter("Patient-death-date"),
        single=True,
    ),
    token("deceased", "deceased[x].exists()", definition=search_parameter("Patient-deceased")),
    token("email", "telecom(system=email)", definition=search_parameter("individual-email")),
    string("family", "name.family", definition=us_core_search_parameter("patient-family")),
    token(
        "gender",
        "gender",
        definition=us_core_search_parameter("patient-gender"),
        system=ADMINISTRATIVE_GENDER,
    ),
    reference(
        "general-practitioner",
        "generalPractitioner",
        targets=("Practitioner", "Organization"),
        definition=search_parameter("Patient-general-practitioner"),
    ),
    string("given", "name.given", definition=us_core_search_parameter("patient-given")),
    token("identifier", "identifier", definition=us_core_search_parameter("patient-identifier")),
    token("language", "communication.language", definition=search_parameter("Patient-language")),
    reference(
        "link",
        "link.other",
        targets=("Patient",),
        definition=search_parameter("Patient-link"),
    ),
    string("name", "name", definition=us_core_search_parameter("patient-name")),
    reference(
        "organization",
        "managingOrganization",
        targets=("Organization",),
        definition=search_parameter("Patient-organization"),
    ),
    token("phone", "telecom(system=phone)", definition=search_parameter("individual-phone")),
    token("telecom", "telecom", definition=search_parameter("individual-telecom")),
)  # no phonetic (needs a language-bound algorithm)

DEFINITION = ResourceDefinition(
    type="Patient",
    reach=ReachClass.PATIENT,
    search=_SEARCH,
    profiles=(US_CORE_PATIENT,),
    patient_paths=("",),
    includes=include_names("Patient", _SEARCH),
)


def patient_from_qubs(
    patient_id: str, records: Records, context: QubsContext
) -> tuple[FHIRResource | None, tuple[RecordKey, ...], list[MappingWarning]]:
    """The Patient (R4 patient.html) that these records speak of; None when there are none.

    The patient summary comes first, field by field, then the tele-reporting views, latest
    appointment first. An operational view or a comment only says that the patient exists.
    """
    used = _sources(patient_id, records)
    if not used:
        return None, (), []
    bodies = [b for key in used if isinstance(b := records[key], dict)]
    warnings: list[MappingWarning] = []
    resource: FHIRResource = {
        "resourceType": "Patient",
        "id": resource_id(SOURCE, patient_id),
        "meta": {"profile": [US_CORE_PATIENT]},
        "identifier": [_identifier(patient_id, context)],
        "name": [_name(bodies)],
    }
    if email := _first(bodies, fields.EMAIL):
        resource["telecom"] = [{"system": "email", "value": email}]
    resource["gender"] = _gender(_first(bodies, fields.GENDER), context, warnings)
    if born := _first(bodies, fields.BIRTH_DATE):
        birth_date = fields.birth_date(born)
        if birth_date is None:
            warnings.append(MappingWarning("unreadable-date"))
        else:
            resource["birthDate"] = birth_date
    if country := _first(bodies, fields.COUNTRY):
        resource["address"] = [{"country": country}]
    resource["managingOrganization"] = {"reference": context.organization_reference}
    return resource, used, warnings


def _sources(patient_id: str, records: Records) -> tuple[RecordKey, ...]:
    """The records that tell the patient, best first; else one that at least names them."""
    summary = (PATIENTS, patient_id)
    told = sorted(
        (key for key in records if key[0] == TELE_REPORTING),
        key=lambda key: (fields.text(records[key], fields.APPOINTMENT_DATE) or "", key),
        reverse=True,
    )
    found = ([summary] if summary in records else []) + told[:1]
    if found:
        return tuple(found)
    return tuple(sorted(records)[:1])


def _first(bodies: list[dict[str, Any]], names: fields.Names) -> str | None:
    for body in bodies:
        value = fields.text(body, names)
        if value is not None:
            return value
    return None


def _identifier(patient_id: str, context: QubsContext) -> dict[str, Any]:
    coding = {"system": V2_0203, "code": "PI", "display": "Patient internal identifier"}
    return {
        "use": "usual",
        "type": {"coding": [coding]},
        "system": context.patient_system,
        "value": patient_id,
    }


def _name(bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """The name in parts where the upstream has parts; a display name is never split.

    Without parts US Core wants the reason said on the name (invariant us-core-6).
    """
    name: dict[str, Any] = {}
    for body in bodies:
        text = fields.text(body, fields.PATIENT_NAME)
        family = fields.text(body, fields.LAST_NAME)
        given = fields.text(body, fields.FIRST_NAME)
        if text or family or given:
            if text:
                name["text"] = text
            if family:
                name["family"] = family
            if given:
                name["given"] = [given]
            break
    if "family" not in name and "given" not in name:
        name = {**data_absent("unknown"), **name}
    return name


def _gender(text: str | None, context: QubsContext, warnings: list[MappingWarning]) -> str:
    table = context.tables.gender
    if text is None:
        return table.default or "unknown"
    code, known = table.lookup(text)
    if not known:
        warnings.append(unknown("unknown-gender", text))
    return code or "unknown"
