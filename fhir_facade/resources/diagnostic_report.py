"""DiagnosticReport: exactly one for each appointment that has reached imaging."""

from __future__ import annotations

from fhir_facade.fhir.systems import (
    US_CORE_DIAGNOSTIC_REPORT_NOTE,
    search_parameter,
    us_core_search_parameter,
)
from fhir_facade.policy import ReachClass
from fhir_facade.resources.definition import (
    ResourceDefinition,
    date,
    include_names,
    reference,
    token,
)


def _definition(name: str) -> str:
    return search_parameter(f"DiagnosticReport-{name}")


def _us_core(name: str) -> str:
    return us_core_search_parameter(f"diagnosticreport-{name}")


_SEARCH = (
    token("category", "category", definition=_us_core("category")),
    token("code", "code", definition=_us_core("code")),
    token("conclusion", "conclusionCode", definition=_definition("conclusion")),
    date("date", "effective[x]", definition=_us_core("date")),
    token("identifier", "identifier", definition=search_parameter("clinical-identifier")),
    date("issued", "issued", definition=_definition("issued")),
    reference("patient", "subject", targets=("Patient",), definition=_us_core("patient")),
    reference(
        "performer",
        "performer",
        targets=("Organization", "Practitioner"),
        definition=_definition("performer"),
    ),
    reference(
        "results-interpreter",
        "resultsInterpreter",
        targets=("Practitioner", "Organization"),
        definition=_definition("results-interpreter"),
    ),
    token("status", "status", definition=_us_core("status")),
    reference(
        "subject",
        "subject",
        targets=("Patient", "Group", "Location"),
        definition=_definition("subject"),
    ),
)  # no based-on, encounter, media, result, specimen: their targets are not served

DEFINITION = ResourceDefinition(
    type="DiagnosticReport",
    reach=ReachClass.PATIENT,
    search=_SEARCH,
    profiles=(US_CORE_DIAGNOSTIC_REPORT_NOTE,),
    patient_paths=("subject",),
    category_path="category",
    includes=include_names("DiagnosticReport", _SEARCH),
)
