"""Patient: from the QUBS patient summary and from what the views say of a patient."""

from __future__ import annotations

from fhir_facade.fhir.systems import US_CORE_PATIENT, search_parameter, us_core_search_parameter
from fhir_facade.policy import ReachClass
from fhir_facade.resources.address_search import address_parameters
from fhir_facade.resources.definition import (
    ResourceDefinition,
    date,
    include_names,
    reference,
    string,
    token,
)

_SEARCH = (
    token("active", "active", definition=search_parameter("Patient-active")),
    *address_parameters(lambda name: search_parameter(f"individual-{name}")),
    date("birthdate", "birthDate", definition=us_core_search_parameter("patient-birthdate")),
    date("death-date", "deceasedDateTime", definition=search_parameter("Patient-death-date")),
    token("email", "telecom(system=email)", definition=search_parameter("individual-email")),
    string("family", "name.family", definition=us_core_search_parameter("patient-family")),
    token("gender", "gender", definition=us_core_search_parameter("patient-gender")),
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
)  # no deceased (a boolean over two elements), no phonetic (needs a language-bound algorithm)

DEFINITION = ResourceDefinition(
    type="Patient",
    reach=ReachClass.PATIENT,
    search=_SEARCH,
    profiles=(US_CORE_PATIENT,),
    patient_paths=("",),
    includes=include_names("Patient", _SEARCH),
)
