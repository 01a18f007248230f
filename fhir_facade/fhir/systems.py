"""Every code system, identifier system, profile and extension URL. Their one home: nobody else
spells one.
"""

from __future__ import annotations

from typing import Final

CANONICAL_BASE: Final = "https://fhir-facade.dev/fhir"
"""Canonical base of what this project defines; names only, nothing is fetched from there."""

_HL7: Final = "http://hl7.org/fhir"
_THO: Final = "http://terminology.hl7.org/CodeSystem"
_US_CORE: Final = "http://hl7.org/fhir/us/core"

# Code systems of others
LOINC: Final = "http://loinc.org"
SNOMED_CT: Final = "http://snomed.info/sct"
UCUM: Final = "http://unitsofmeasure.org"
ICD_10: Final = "http://hl7.org/fhir/sid/icd-10"
CPT: Final = "http://www.ama-assn.org/go/cpt"
DICOM_DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
BCP_47: Final = "urn:ietf:bcp:47"
BCP_13: Final = "urn:ietf:bcp:13"
ISO_3166: Final = "urn:iso:std:iso:3166"
DICOM_UID: Final = "urn:dicom:uid"
OMB_RACE: Final = "urn:oid:2.16.840.1.113883.6.238"

V2_0074: Final = f"{_THO}/v2-0074"
"""Diagnostic service section: `RAD` is radiology."""
V2_0131: Final = f"{_THO}/v2-0131"
V2_0203: Final = f"{_THO}/v2-0203"
"""Identifier types: `MR`, `ACSN`, `PRN`, `MC`."""
V3_ACT_CODE: Final = f"{_THO}/v3-ActCode"
V3_ACT_REASON: Final = f"{_THO}/v3-ActReason"
V3_MARITAL_STATUS: Final = f"{_THO}/v3-MaritalStatus"
V3_NULL_FLAVOR: Final = f"{_THO}/v3-NullFlavor"
V3_OBSERVATION_VALUE: Final = f"{_THO}/v3-ObservationValue"
V3_PARTICIPATION_TYPE: Final = f"{_THO}/v3-ParticipationType"
V3_DATA_OPERATION: Final = f"{_THO}/v3-DataOperation"
APPOINTMENT_CANCELLATION_REASON: Final = f"{_THO}/appointment-cancellation-reason"
DATA_ABSENT_REASON_CODES: Final = f"{_THO}/data-absent-reason"
LOCATION_PHYSICAL_TYPE: Final = f"{_THO}/location-physical-type"
ORGANIZATION_TYPE: Final = f"{_THO}/organization-type"
PROVENANCE_PARTICIPANT_TYPE: Final = f"{_THO}/provenance-participant-type"
SERVICE_CATEGORY: Final = f"{_THO}/service-category"
SERVICE_TYPE: Final = f"{_THO}/service-type"
RESTFUL_SECURITY_SERVICE: Final = f"{_THO}/restful-security-service"
AUDIT_EVENT_TYPE: Final = f"{_THO}/audit-event-type"
AUDIT_ENTITY_TYPE: Final = f"{_THO}/audit-entity-type"
OBJECT_ROLE: Final = f"{_THO}/object-role"
SECURITY_SOURCE_TYPE: Final = f"{_THO}/security-source-type"
IHE_FORMAT_CODE: Final = "http://ihe.net/fhir/ValueSet/IHE.FormatCode.codesystem"
BALP_ENTITY_TYPE: Final = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
COMMUNICATION_CATEGORY: Final = f"{_THO}/communication-category"
FLAG_CATEGORY: Final = f"{_THO}/flag-category"

# Code systems and value sets of R4 itself (ConceptMap sources and targets)
APPOINTMENT_STATUS: Final = f"{_HL7}/appointmentstatus"
ENCOUNTER_STATUS: Final = f"{_HL7}/encounter-status"
DIAGNOSTIC_REPORT_STATUS: Final = f"{_HL7}/diagnostic-report-status"
DOCUMENT_RELATIONSHIP_TYPE: Final = f"{_HL7}/document-relationship-type"
DOCUMENT_REFERENCE_STATUS: Final = f"{_HL7}/document-reference-status"
TASK_STATUS: Final = f"{_HL7}/task-status"
ADMINISTRATIVE_GENDER: Final = f"{_HL7}/administrative-gender"
PARTICIPATION_STATUS: Final = f"{_HL7}/participationstatus"
LOCATION_STATUS: Final = f"{_HL7}/location-status"
GROUP_TYPE: Final = f"{_HL7}/group-type"
PUBLICATION_STATUS: Final = f"{_HL7}/publication-status"
RESOURCE_TYPES: Final = f"{_HL7}/resource-types"
SEARCH_PARAM_TYPE: Final = f"{_HL7}/search-param-type"
CODE_SYSTEM_CONTENT_MODE: Final = f"{_HL7}/codesystem-content-mode"
OPERATION_KIND: Final = f"{_HL7}/operation-kind"
STRUCTURE_DEFINITION_KIND: Final = f"{_HL7}/structure-definition-kind"
TYPE_DERIVATION_RULE: Final = f"{_HL7}/type-derivation-rule"
EXTENSION_CONTEXT_TYPE: Final = f"{_HL7}/extension-context-type"
AUDIT_EVENT_ACTION: Final = f"{_HL7}/audit-event-action"
AUDIT_EVENT_OUTCOME: Final = f"{_HL7}/audit-event-outcome"
RESTFUL_INTERACTION: Final = f"{_HL7}/restful-interaction"
ADDRESS_USE: Final = f"{_HL7}/address-use"
VS_APPOINTMENT_STATUS: Final = f"{_HL7}/ValueSet/appointmentstatus"
VS_ENCOUNTER_STATUS: Final = f"{_HL7}/ValueSet/encounter-status"
VS_DIAGNOSTIC_REPORT_STATUS: Final = f"{_HL7}/ValueSet/diagnostic-report-status"
VS_TASK_STATUS: Final = f"{_HL7}/ValueSet/task-status"
VS_ADMINISTRATIVE_GENDER: Final = f"{_HL7}/ValueSet/administrative-gender"

# Identifier systems of others
AU_MEDICARE_NUMBER: Final = "http://ns.electronichealth.net.au/id/medicare-number"
AU_MEDICARE_PROVIDER_NUMBER: Final = "http://ns.electronichealth.net.au/id/medicare-provider-number"

# Extensions of HL7
DATA_ABSENT_REASON: Final = f"{_HL7}/StructureDefinition/data-absent-reason"
OAUTH_URIS: Final = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
CAPABILITIES: Final = "http://fhir-registry.smarthealthit.org/StructureDefinition/capabilities"
CAPABILITY_SEARCH_PARAMETER_COMBINATION: Final = (
    f"{_HL7}/StructureDefinition/capabilitystatement-search-parameter-combination"
)
PATIENT_INTERPRETER_REQUIRED: Final = f"{_HL7}/StructureDefinition/patient-interpreterRequired"
US_CORE_RACE: Final = f"{_US_CORE}/StructureDefinition/us-core-race"
US_CORE_ETHNICITY: Final = f"{_US_CORE}/StructureDefinition/us-core-ethnicity"
US_CORE_BIRTH_SEX: Final = f"{_US_CORE}/StructureDefinition/us-core-birthsex"

# Profiles of HL7
US_CORE_PATIENT: Final = f"{_US_CORE}/StructureDefinition/us-core-patient"
US_CORE_DIAGNOSTIC_REPORT_NOTE: Final = (
    f"{_US_CORE}/StructureDefinition/us-core-diagnosticreport-note"
)
US_CORE_LOCATION: Final = f"{_US_CORE}/StructureDefinition/us-core-location"
US_CORE_ORGANIZATION: Final = f"{_US_CORE}/StructureDefinition/us-core-organization"
US_CORE_PRACTITIONER: Final = f"{_US_CORE}/StructureDefinition/us-core-practitioner"
US_CORE_PRACTITIONER_ROLE: Final = f"{_US_CORE}/StructureDefinition/us-core-practitionerrole"
US_CORE_ENCOUNTER: Final = f"{_US_CORE}/StructureDefinition/us-core-encounter"
US_CORE_DOCUMENT_REFERENCE: Final = f"{_US_CORE}/StructureDefinition/us-core-documentreference"
US_CORE_DOCUMENT_CATEGORY: Final = f"{_US_CORE}/CodeSystem/us-core-documentreference-category"
VS_US_CORE_DOCUMENT_TYPE: Final = f"{_US_CORE}/ValueSet/us-core-documentreference-type"
US_CORE_PROVENANCE: Final = f"{_US_CORE}/StructureDefinition/us-core-provenance"
BULK_DATA: Final = "http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"
BULK_GROUP_EXPORT: Final = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/group-export"
BULK_PATIENT_EXPORT: Final = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export"
BULK_SYSTEM_EXPORT: Final = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export"
US_CORE_DOCREF: Final = f"{_US_CORE}/OperationDefinition/docref"
PATIENT_COMPARTMENT: Final = f"{_HL7}/CompartmentDefinition/patient"
PATIENT_EVERYTHING: Final = f"{_HL7}/OperationDefinition/Patient-everything"
RESOURCE_VALIDATE: Final = f"{_HL7}/OperationDefinition/Resource-validate"
BULK_DATA_GUIDE: Final = (
    "http://hl7.org/fhir/uv/bulkdata/ImplementationGuide/hl7.fhir.uv.bulkdata|2.0.0"
)
SMART_APP_LAUNCH_GUIDE: Final = (
    "http://hl7.org/fhir/smart-app-launch/ImplementationGuide/hl7.fhir.uv.smart-app-launch|2.2.0"
)

# Extensions that we define; `resources.structure_definition` says what each holds
SITE_TIME_ZONE: Final = f"{CANONICAL_BASE}/StructureDefinition/site-time-zone"
LOCAL_SCHEDULE: Final = f"{CANONICAL_BASE}/StructureDefinition/local-schedule"
"""Complex: `date`, `startTime`, `endTime`, `site`, as the upstream said them, where no instant is
known.
"""
UPSTREAM_STATUS: Final = f"{CANONICAL_BASE}/StructureDefinition/upstream-status"
UPSTREAM_PRIORITY: Final = f"{CANONICAL_BASE}/StructureDefinition/upstream-priority"
ROOM: Final = f"{CANONICAL_BASE}/StructureDefinition/room"
"""The room as the upstream names it: text without a stable id."""
SOURCE_RECORD: Final = f"{CANONICAL_BASE}/StructureDefinition/source-record"
"""Complex, on Provenance: `system`, `view`, `key`, `correlationId`, `mappingVersion`, `hash`."""
GROUP_RULE: Final = f"{CANONICAL_BASE}/StructureDefinition/group-rule"
TENANT_TIME_ZONE: Final = f"{CANONICAL_BASE}/StructureDefinition/tenant-time-zone"
EXPORT_FILE_SIZE: Final = f"{CANONICAL_BASE}/StructureDefinition/export-file-size"
"""In a bulk manifest: the bytes of a file, uncompressed."""
EXPORT_FILE_SHA256: Final = f"{CANONICAL_BASE}/StructureDefinition/export-file-sha256"
"""In a bulk manifest: the SHA-256 of those bytes, in hex."""

# Code systems that we define
AUDIT_ACT: Final = f"{CANONICAL_BASE}/CodeSystem/audit-act"
"""What was done, in the word of the audit trail; docs/reference/audit.md lists them."""
QUBS_APPOINTMENT_STATUS: Final = f"{CANONICAL_BASE}/CodeSystem/qubs-appointment-status"
QUBS_EXAM_CODE: Final = f"{CANONICAL_BASE}/CodeSystem/qubs-exam-code"
QUBS_EXAM_CATEGORY: Final = f"{CANONICAL_BASE}/CodeSystem/qubs-exam-category"
QUBS_MODALITY: Final = f"{CANONICAL_BASE}/CodeSystem/qubs-modality"
QUBS_SEX: Final = f"{CANONICAL_BASE}/CodeSystem/qubs-sex"
QUBS_PRIORITY: Final = f"{CANONICAL_BASE}/CodeSystem/qubs-priority"
QUBS_COMMENT_TYPE: Final = f"{CANONICAL_BASE}/CodeSystem/qubs-comment-type"
QUBS_ATTACHMENT_CATEGORY: Final = f"{CANONICAL_BASE}/CodeSystem/qubs-attachment-category"


def search_parameter(name: str) -> str:
    """Canonical URL of a base R4 SearchParameter (`Patient-active`, `individual-given`)."""
    return f"{_HL7}/SearchParameter/{name}"


def own_search_parameter(name: str) -> str:
    """Canonical URL of a SearchParameter that we define (`AuditEvent-correlation-id`)."""
    return f"{CANONICAL_BASE}/SearchParameter/{name}"


def own_operation(name: str) -> str:
    """Canonical URL of an OperationDefinition that we publish (`patient-everything`)."""
    return f"{CANONICAL_BASE}/OperationDefinition/{name}"


def value_set_of(code_system: str) -> str:
    """Canonical URL of the ValueSet of all codes of a code system of ours."""
    return code_system.replace("/CodeSystem/", "/ValueSet/").replace("/sid/", "/ValueSet/")


def us_core_search_parameter(name: str) -> str:
    """Canonical URL of a US Core SearchParameter, without its prefix (`patient-name`)."""
    return f"{_US_CORE}/SearchParameter/us-core-{name}"


def concept_map_url(fhir_base: str, map_id: str) -> str:
    """Canonical URL of a ConceptMap a tenant publishes: maps can differ by tenant, so they live
    under its base.
    """
    return f"{fhir_base.rstrip('/')}/ConceptMap/{map_id}"


def tenant_system(fhir_base: str, name: str) -> str:
    """The identifier or code system `name` (`qubs-patient-id`, …) of one tenant, under its FHIR
    base.

    Upstream keys are unique within a tenant only, so their system names the tenant.
    """
    return f"{fhir_base.rstrip('/')}/sid/{name}"
