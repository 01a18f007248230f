"""Facts that the fhir.resources R4B models hold wrong, cut or not at all, as R4 4.0.1 has them.

Where the models list the codes of a required binding in full, the models are the source.
"""

from __future__ import annotations

from fhir_facade.fhir.r4_types import R4_TYPES

_COMPARATORS = ("<", "<=", ">=", ">")
_ENCOUNTER = (
    "planned",
    "arrived",
    "triaged",
    "in-progress",
    "onleave",
    "finished",
    "cancelled",
    "entered-in-error",
    "unknown",
)

_RESOURCES = ("DomainResource", "Resource", *sorted(R4_TYPES))

REQUIRED_CODES: dict[str, tuple[str, ...]] = {
    "Age.comparator": _COMPARATORS,
    "AuditEvent.action": ("C", "R", "U", "D", "E"),
    "AuditEvent.outcome": ("0", "4", "8", "12"),
    "AuditEventAgentNetwork.type": ("1", "2", "3", "4", "5"),
    "CapabilityStatement.fhirVersion": ("4.0.1",),
    "CapabilityStatementRestResource.type": tuple(sorted(R4_TYPES)),
    "Count.comparator": _COMPARATORS,
    "DiagnosticReport.status": (
        "registered",
        "partial",
        "preliminary",
        "final",
        "amended",
        "corrected",
        "appended",
        "cancelled",
        "entered-in-error",
        "unknown",
    ),
    "Distance.comparator": _COMPARATORS,
    "Duration.comparator": _COMPARATORS,
    "Encounter.status": _ENCOUNTER,
    "EncounterStatusHistory.status": _ENCOUNTER,
    "Observation.status": (
        "registered",
        "preliminary",
        "final",
        "amended",
        "corrected",
        "cancelled",
        "entered-in-error",
        "unknown",
    ),
    "OperationOutcomeIssue.code": (
        "invalid",
        "structure",
        "required",
        "value",
        "invariant",
        "security",
        "login",
        "unknown",
        "expired",
        "forbidden",
        "suppressed",
        "processing",
        "not-supported",
        "duplicate",
        "multiple-matches",
        "not-found",
        "deleted",
        "too-long",
        "code-invalid",
        "extension",
        "too-costly",
        "business-rule",
        "conflict",
        "transient",
        "lock-error",
        "no-store",
        "exception",
        "timeout",
        "incomplete",
        "throttled",
        "informational",
    ),
    "OperationDefinition.resource": _RESOURCES,
    "Quantity.comparator": _COMPARATORS,
    "SearchParameter.base": _RESOURCES,
    "SearchParameter.target": _RESOURCES,
    "StructureDefinition.fhirVersion": ("4.0.1",),
    "Task.status": (
        "draft",
        "requested",
        "received",
        "accepted",
        "rejected",
        "ready",
        "cancelled",
        "in-progress",
        "on-hold",
        "failed",
        "completed",
        "entered-in-error",
    ),
    "TimingRepeat.when": (
        *("MORN", "MORN.early", "MORN.late", "NOON", "AFT", "AFT.early", "AFT.late"),
        *("EVE", "EVE.early", "EVE.late", "NIGHT", "PHS", "HS", "WAKE"),
        *("C", "CM", "CD", "CV", "AC", "ACM", "ACD", "ACV", "PC", "PCM", "PCD", "PCV"),
    ),
}
"""`{model class}.{element}` → the codes of its required binding. `fhirVersion` is narrowed to ours.
"""

NOT_REQUIRED = frozenset({"CapabilityStatement.format", "Expression.language"})
"""Elements whose listed codes are examples of a wider set (MIME types, an extensible binding)."""

REFERENCE_TARGETS: dict[str, tuple[str, ...]] = {
    "DiagnosticReport.subject": ("Patient", "Group", "Device", "Location"),
    "Observation.subject": ("Patient", "Group", "Device", "Location"),
    "GroupMember.entity": (
        "Patient",
        "Practitioner",
        "PractitionerRole",
        "Device",
        "Medication",
        "Substance",
        "Group",
    ),
}
"""Where R4B allows more target types than R4."""

NOT_IN_R4 = frozenset(
    f"{stem}{kind}"
    for stem in (
        "Extension.value",
        "ElementDefinition.defaultValue",
        "ElementDefinition.fixed",
        "ElementDefinition.pattern",
        "ElementDefinitionExample.value",
    )
    for kind in ("CodeableReference", "RatioRange")
)
"""Elements that R4B added."""
