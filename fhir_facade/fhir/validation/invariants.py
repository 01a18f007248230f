"""The invariants of R4 4.0.1 that a JSON Schema can hold, per model class. The rest are in `rules`.

Each fragment's `description` begins with the key of the invariant; a failing instance is reported
under it. An element whose value is absent with a reason (`_start` alone) exists, as in FHIRPath.
"""

from __future__ import annotations

from fhir_facade.fhir.validation.definition_invariants import DEFINITION_INVARIANTS
from fhir_facade.fhir.validation.schema_parts import Schema, any_of, equals, has, lacks, needs

_DAYLESS = ("proposed", "cancelled", "waitlist")
_UCUM = "http://unitsofmeasure.org"


def _time_quantity(key: str) -> list[Schema]:
    text = f"{key}: a value needs a code, and the system must be UCUM"
    return [
        {**needs(text, "value", "code"), "properties": {"system": {"enum": [_UCUM]}}},
    ]


_APPOINTMENT = [
    any_of(
        "app-2: start and end are both given or both missing",
        {"required": ["start", "end"]},
        {"allOf": [has("start"), has("end")]},
        lacks("start", "end"),
    ),
    any_of(
        "app-3: only proposed, cancelled and wait-listed appointments may lack start and end",
        {"required": ["start"]},
        equals("status", *_DAYLESS),
        has("start"),
    ),
    {
        "description": "app-4: cancelationReason needs the status cancelled or noshow",
        "dependencies": {"cancelationReason": equals("status", "cancelled", "noshow")},
    },
]

_CAPABILITY_STATEMENT = [
    any_of("cpb-1: rest, messaging or document is needed", has("rest", "messaging", "document")),
    any_of(
        "cpb-2: description, software or implementation is needed",
        has("description", "software", "implementation"),
    ),
    any_of(
        "cpb-3: a messaging endpoint needs kind instance",
        equals("kind", "instance"),
        lacks("messaging"),
        {"properties": {"messaging": {"items": {"not": {"required": ["endpoint"]}}}}},
    ),
    any_of(
        "cpb-14, cpb-15, cpb-16: software and implementation must fit kind",
        {"allOf": [equals("kind", "instance"), has("implementation")]},
        {"allOf": [equals("kind", "capability"), has("software"), lacks("implementation")]},
        {"allOf": [equals("kind", "requirements"), lacks("software", "implementation")]},
        lacks("kind"),
        {"required": ["_kind"]},
    ),
]

_TIMING = [
    needs("tim-1: a duration needs a unit", "duration", "durationUnit"),
    needs("tim-2: a period needs a unit", "period", "periodUnit"),
    {
        "description": "tim-4: a duration is not negative",
        "properties": {"duration": {"minimum": 0}},
    },
    {"description": "tim-5: a period is not negative", "properties": {"period": {"minimum": 0}}},
    needs("tim-6: periodMax needs period", "periodMax", "period"),
    needs("tim-7: durationMax needs duration", "durationMax", "duration"),
    needs("tim-8: countMax needs count", "countMax", "count"),
    {
        "description": "tim-9: an offset needs a when other than C, CM, CD, CV",
        "dependencies": {
            "offset": {
                "required": ["when"],
                "properties": {"when": {"items": {"not": {"enum": ["C", "CM", "CD", "CV"]}}}},
            }
        },
    },
    {
        "description": "tim-10: timeOfDay and when exclude each other",
        "dependencies": {"timeOfDay": lacks("when")},
    },
]

_BUNDLE = [
    {
        "description": "bdl-1: total needs the type searchset or history",
        "dependencies": {"total": equals("type", "searchset", "history")},
    },
    any_of(
        "bdl-2: entry.search needs the type searchset",
        equals("type", "searchset"),
        {"properties": {"entry": {"items": {"not": {"required": ["search"]}}}}},
    ),
]

_BUNDLE_ENTRY = [
    any_of(
        "bdl-5: resource, request or response is needed", has("resource", "request", "response")
    ),
    {
        "description": "bdl-8: fullUrl names no version",
        "properties": {"fullUrl": {"not": {"pattern": "/_history/"}}},
    },
]

_NO_HOME = {"items": {"not": equals("use", "home")}}

INVARIANTS: dict[str, list[Schema]] = {
    **DEFINITION_INVARIANTS,
    "Age": _time_quantity("age-1"),
    "Appointment": _APPOINTMENT,
    "AppointmentParticipant": [any_of("app-1: type or actor is needed", has("type", "actor"))],
    "Attachment": [needs("att-1: data needs a contentType", "data", "contentType")],
    "AuditEventEntity": [
        {
            "description": "sev-1: name and query exclude each other",
            "dependencies": {"name": lacks("query")},
        }
    ],
    "Bundle": _BUNDLE,
    "BundleEntry": _BUNDLE_ENTRY,
    "CapabilityStatement": _CAPABILITY_STATEMENT,
    "ConceptMapGroupElementTarget": [
        any_of(
            "cmd-1: a narrower or inexact target needs a comment",
            has("comment"),
            {"not": equals("equivalence", "narrower", "inexact")},
        )
    ],
    "ConceptMapGroupUnmapped": [
        any_of("cmd-2: mode fixed needs a code", has("code"), {"not": equals("mode", "fixed")}),
        any_of(
            "cmd-3: mode other-map needs a url", has("url"), {"not": equals("mode", "other-map")}
        ),
    ],
    "ConditionEvidence": [any_of("con-2: code or detail is needed", has("code", "detail"))],
    "ConditionStage": [
        any_of("con-1: summary or assessment is needed", has("summary", "assessment"))
    ],
    "ContactPoint": [needs("cpt-2: a value needs a system", "value", "system")],
    "Count": [
        {
            **needs("cnt-3: a value needs the UCUM code 1", "value", "code"),
            "properties": {"system": {"enum": [_UCUM]}, "code": {"enum": ["1"]}},
        }
    ],
    "DataRequirementCodeFilter": [
        any_of(
            "drq-1: a path or a searchParam is needed, not both",
            {"allOf": [has("path"), lacks("searchParam")]},
            {"allOf": [lacks("path"), has("searchParam")]},
        )
    ],
    "DataRequirementDateFilter": [
        any_of(
            "drq-2: a path or a searchParam is needed, not both",
            {"allOf": [has("path"), lacks("searchParam")]},
            {"allOf": [lacks("path"), has("searchParam")]},
        )
    ],
    "Distance": _time_quantity("dis-1"),
    "Duration": [
        {
            "description": "drt-1: a code needs a value, and the system must be UCUM",
            "dependencies": {"code": {"allOf": [has("value"), equals("system", _UCUM)]}},
        }
    ],
    "Expression": [
        any_of("exp-1: an expression or a reference is needed", has("expression", "reference"))
    ],
    "Group": [
        {
            "description": "grp-1: only an actual group has members",
            "dependencies": {
                "member": {"required": ["actual"], "properties": {"actual": {"enum": [True]}}}
            },
        }
    ],
    "Observation": [
        {
            "description": "obs-6: dataAbsentReason and a value exclude each other",
            "dependencies": {
                "dataAbsentReason": lacks(
                    *("valueQuantity", "valueCodeableConcept", "valueString", "valueBoolean"),
                    *("valueInteger", "valueRange", "valueRatio", "valueSampledData"),
                    *("valueTime", "valueDateTime", "valuePeriod"),
                )
            },
        }
    ],
    "ObservationReferenceRange": [
        any_of("obs-3: low, high or text is needed", has("low", "high", "text"))
    ],
    "Organization": [
        any_of("org-1: a name or an identifier is needed", has("name", "identifier")),
        {"description": "org-2: no address of use home", "properties": {"address": _NO_HOME}},
        {"description": "org-3: no telecom of use home", "properties": {"telecom": _NO_HOME}},
    ],
    "PatientContact": [
        any_of(
            "pat-1: name, telecom, address or organization is needed",
            has("name", "telecom", "address", "organization"),
        )
    ],
    "Quantity": [needs("qty-3: a code needs a system", "code", "system")],
    "Ratio": [
        any_of(
            "rat-1: numerator and denominator come together",
            {"required": ["numerator", "denominator"]},
            {"allOf": [lacks("numerator", "denominator"), {"required": ["extension"]}]},
        )
    ],
    "ServiceRequest": [needs("prr-1: orderDetail needs a code", "orderDetail", "code")],
    "TimingRepeat": _TIMING,
    "TriggerDefinition": [
        {
            "description": "trd-1: timing and data exclude each other",
            "dependencies": {
                "data": lacks("timingTiming", "timingReference", "timingDate", "timingDateTime")
            },
        },
        needs("trd-2: a condition needs data", "condition", "data"),
        any_of(
            "trd-3: name, timing or data must fit the type",
            {"allOf": [equals("type", "named-event"), has("name")]},
            {
                "allOf": [
                    equals("type", "periodic"),
                    has("timingTiming", "timingReference", "timingDate", "timingDateTime"),
                ]
            },
            {"allOf": [{"not": equals("type", "named-event", "periodic")}, has("data")]},
        ),
    ],
}
