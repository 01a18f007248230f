"""OperationDefinition: the operations of this server, declared here once. The CapabilityStatement,
the published definitions and the OpenAPI description derive from the list; `rest` does the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.systems import (
    BULK_GROUP_EXPORT,
    OPERATION_KIND,
    PATIENT_EVERYTHING,
    RESOURCE_VALIDATE,
    US_CORE_DOCREF,
    own_operation,
    search_parameter,
)
from fhir_facade.policy import ReachClass
from fhir_facade.resources.conformance_search import conformance_parameters
from fhir_facade.resources.definition import ResourceDefinition, canonical, token
from fhir_facade.resources.version import head

Level = Literal["type", "instance"]
ANY_TYPE = "Resource"


@dataclass(frozen=True)
class Parameter:
    """One parameter as this server takes it; `max` is a number or `*`."""

    name: str
    type: str
    documentation: str
    min: int = 0
    max: str = "1"
    use: Literal["in", "out"] = "in"


@dataclass(frozen=True)
class Operation:
    """One operation of this server.

    `definition` is the canonical URL of the standard that it follows; what we publish says which
    of its parameters are taken here. `types` holds ANY_TYPE for every served type.
    """

    id: str
    code: str
    name: str
    title: str
    definition: str
    types: tuple[str, ...]
    levels: tuple[Level, ...]
    documentation: str
    parameters: tuple[Parameter, ...]

    def applies_to(self, resource_type: str) -> bool:
        """Whether it is an operation of this type."""
        return resource_type in self.types or ANY_TYPE in self.types


_BUNDLE = Parameter("return", "Bundle", "A searchset Bundle.", min=1, use="out")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        id="documentreference-docref",
        code="docref",
        name="DocumentReferenceDocref",
        title="DocumentReference: documents of a patient",
        definition=US_CORE_DOCREF,
        types=("DocumentReference",),
        levels=("type",),
        documentation="The current documents of a patient, of the care dates and the type asked "
        "for. None is made on demand.",
        parameters=(
            Parameter("patient", "id", "The logical id of the patient.", min=1),
            Parameter("start", "date", "Care from this date on."),
            Parameter("end", "date", "Care until the end of this date."),
            Parameter("type", "code", "A type of documents, as in a search."),
            Parameter("on-demand", "boolean", "false, or left out."),
            Parameter("_count", "integer", "Entries of a page."),
            _BUNDLE,
        ),
    ),
    Operation(
        id="patient-everything",
        code="everything",
        name="PatientEverything",
        title="Patient: everything",
        definition=PATIENT_EVERYTHING,
        types=("Patient",),
        levels=("type", "instance"),
        documentation="What lies in the compartment of a patient, or of every patient within "
        "reach, and what of the directory it refers to, in pages.",
        parameters=(
            Parameter("start", "date", "Care from this date on."),
            Parameter("end", "date", "Care until the end of this date."),
            Parameter("_since", "instant", "What changed since then."),
            Parameter("_type", "code", "Types, separated by commas."),
            Parameter("_count", "integer", "Entries of a page."),
            _BUNDLE,
        ),
    ),
    Operation(
        id="group-export",
        code="export",
        name="GroupExport",
        title="Group: bulk export",
        definition=BULK_GROUP_EXPORT,
        types=("Group",),
        levels=("instance",),
        documentation="Everything of the members of a group as files, asynchronously: "
        "Bulk Data Access 2.0.",
        parameters=(
            Parameter("_outputFormat", "string", "application/fhir+ndjson, or left out."),
            Parameter("_since", "instant", "What changed after it, and what was deleted."),
            Parameter("_type", "string", "Types, separated by commas.", max="*"),
        ),
    ),
    Operation(
        id="resource-validate",
        code="validate",
        name="ResourceValidate",
        title="Validate a resource",
        definition=RESOURCE_VALIDATE,
        types=(ANY_TYPE,),
        levels=("type", "instance"),
        documentation="Holds a resource to R4 itself and stores nothing. Profiles are not checked, "
        "and the outcome says so.",
        parameters=(
            Parameter("resource", "Resource", "The resource.", min=1),
            Parameter("mode", "code", "create or update."),
            Parameter("profile", "uri", "A profile of R4 itself; others are not checked."),
            Parameter("return", "OperationOutcome", "What was found.", min=1, use="out"),
        ),
    ),
)


def _definition(name: str) -> str:
    return search_parameter(f"OperationDefinition-{name}")


DEFINITION = ResourceDefinition(
    type="OperationDefinition",
    reach=ReachClass.DIRECTORY,
    search=(
        canonical("base", "base", definition=_definition("base")),
        token("code", "code", definition=_definition("code")),
        *conformance_parameters("title"),
        token("instance", "instance", definition=_definition("instance")),
        token("kind", "kind", definition=_definition("kind"), system=OPERATION_KIND),
        token("system", "system", definition=_definition("system")),
        token("type", "type", definition=_definition("type")),
    ),  # no input-profile, output-profile: not used
    exportable=False,
    stored=False,
    documentation="The operations of this server as it takes them.",
)


def operation_definitions() -> tuple[FHIRResource, ...]:
    """The operations (R4 operationdefinition.html), each based on its standard definition."""
    return tuple(_operation_definition(operation) for operation in OPERATIONS)


def _operation_definition(operation: Operation) -> FHIRResource:
    resource = head(
        "OperationDefinition",
        operation.id,
        own_operation(operation.id),
        operation.name,
        operation.title,
    )
    return resource | {
        "kind": "operation",
        "description": operation.documentation,
        "affectsState": False,
        "code": operation.code,
        "base": operation.definition,
        "resource": list(operation.types),
        "system": False,
        "type": "type" in operation.levels,
        "instance": "instance" in operation.levels,
        "parameter": [_parameter(parameter) for parameter in operation.parameters],
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "use": parameter.use,
        "min": parameter.min,
        "max": parameter.max,
        "documentation": parameter.documentation,
        "type": parameter.type,
    }
