"""The resource types the fast gate knows, and where their schemas lie."""

from __future__ import annotations

from pathlib import Path

SCHEMA_DIRECTORY = Path(__file__).with_name("schemas")

FAST_TYPES: tuple[str, ...] = (
    "Appointment",
    "AuditEvent",
    "Binary",
    "Bundle",
    "CapabilityStatement",
    "ChargeItem",
    "CodeSystem",
    "Communication",
    "ConceptMap",
    "Condition",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "Flag",
    "Group",
    "HealthcareService",
    "ImagingStudy",
    "Location",
    "Observation",
    "OperationDefinition",
    "OperationOutcome",
    "Organization",
    "Parameters",
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Provenance",
    "SearchParameter",
    "ServiceRequest",
    "StructureDefinition",
    "Task",
    "ValueSet",
)
