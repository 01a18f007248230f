"""StructureDefinition: the extensions that resources of this server carry, declared here once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.r4_types import FHIR_VERSION
from fhir_facade.fhir.systems import (
    EXPORT_FILE_SHA256,
    EXPORT_FILE_SIZE,
    EXTENSION_CONTEXT_TYPE,
    GROUP_RULE,
    LOCAL_SCHEDULE,
    QUBS_APPOINTMENT_STATUS,
    QUBS_PRIORITY,
    ROOM,
    SITE_TIME_ZONE,
    SOURCE_RECORD,
    STRUCTURE_DEFINITION_KIND,
    TENANT_TIME_ZONE,
    TYPE_DERIVATION_RULE,
    UPSTREAM_PRIORITY,
    UPSTREAM_STATUS,
    search_parameter,
    value_set_of,
)
from fhir_facade.policy import ReachClass
from fhir_facade.resources.conformance_search import conformance_parameters
from fhir_facade.resources.definition import ResourceDefinition, canonical, token, uri
from fhir_facade.resources.version import head


def _definition(name: str) -> str:
    return search_parameter(f"StructureDefinition-{name}")


DEFINITION = ResourceDefinition(
    type="StructureDefinition",
    reach=ReachClass.DIRECTORY,
    search=(
        token("abstract", "abstract", definition=_definition("abstract")),
        canonical("base", "baseDefinition", definition=_definition("base")),
        token(
            "base-path",
            "snapshot.element.base.path",
            "differential.element.base.path",
            definition=_definition("base-path"),
        ),
        *conformance_parameters("identifier", "title"),
        token(
            "derivation",
            "derivation",
            definition=_definition("derivation"),
            system=TYPE_DERIVATION_RULE,
        ),
        token("experimental", "experimental", definition=_definition("experimental")),
        token(
            "ext-context",
            "context.type",
            definition=_definition("ext-context"),
            system=EXTENSION_CONTEXT_TYPE,
        ),
        token("keyword", "keyword", definition=_definition("keyword")),
        token("kind", "kind", definition=_definition("kind"), system=STRUCTURE_DEFINITION_KIND),
        token(
            "path",
            "snapshot.element.path",
            "differential.element.path",
            definition=_definition("path"),
        ),
        uri("type", "type", definition=_definition("type")),
    ),  # no valueset: ours have no snapshot
    exportable=False,
    stored=False,
    documentation="The extensions of this server.",
)


@dataclass(frozen=True)
class Part:
    """A nested extension, or with `url` "" the value of a plain one. `value_set`: the binding of a
    coded value, extensible."""

    url: str
    types: tuple[str, ...]
    documentation: str
    required: bool = False
    value_set: str = ""


@dataclass(frozen=True)
class ExtensionDefinition:
    """One extension: the elements it is put on, and its value or its parts."""

    url: str
    name: str
    title: str
    contexts: tuple[str, ...]
    documentation: str
    parts: tuple[Part, ...]

    @property
    def is_plain(self) -> bool:
        """Whether it has a value rather than parts."""
        return not self.parts[0].url


_MANIFEST = (
    "In the manifest of a bulk export, which is no resource: `extension` of a file has the URL as "
    "its member, and the bare value."
)

EXTENSIONS: tuple[ExtensionDefinition, ...] = (
    ExtensionDefinition(
        EXPORT_FILE_SHA256,
        "ExportFileSha256",
        "SHA-256 of an export file",
        ("Element",),
        _MANIFEST,
        (Part("", ("string",), "SHA-256 of the bytes of the file, uncompressed, in hex."),),
    ),
    ExtensionDefinition(
        EXPORT_FILE_SIZE,
        "ExportFileSize",
        "Size of an export file",
        ("Element",),
        _MANIFEST,
        (Part("", ("decimal",), "The bytes of the file, uncompressed: a whole number."),),
    ),
    ExtensionDefinition(
        GROUP_RULE,
        "GroupRule",
        "Rule of a group",
        ("Group",),
        "The rule that finds the members; absent where they are listed by hand.",
        (Part("", ("string",), "The rule, and its value where it has one."),),
    ),
    ExtensionDefinition(
        LOCAL_SCHEDULE,
        "LocalSchedule",
        "Local times of an appointment",
        ("Appointment",),
        "Date and times as the upstream said them, where they give no instant.",
        (
            Part("date", ("date", "string"), "The local date; text where it is unreadable."),
            Part("startTime", ("time", "string"), "The local start; text where unreadable."),
            Part("endTime", ("time", "string"), "The local end; text where unreadable."),
            Part("site", ("string",), "The site whose time it is."),
        ),
    ),
    ExtensionDefinition(
        ROOM,
        "Room",
        "Room of an appointment",
        ("Appointment",),
        "The room as the upstream names it: text without a stable id.",
        (Part("", ("string",), "The name of the room."),),
    ),
    ExtensionDefinition(
        SITE_TIME_ZONE,
        "SiteTimeZone",
        "Time zone of a site",
        ("Location",),
        "The time zone whose local times the upstream gives for this site.",
        (Part("", ("code", "string"), "The IANA name as a code; a name that is none, as text."),),
    ),
    ExtensionDefinition(
        SOURCE_RECORD,
        "SourceRecord",
        "Record of the upstream",
        ("Provenance.entity",),
        "The record of the upstream that the target was made from.",
        (
            Part("system", ("string",), "The upstream.", required=True),
            Part("view", ("string",), "Its list or view.", required=True),
            Part("key", ("string",), "The key of the record there.", required=True),
            Part("correlationId", ("string",), "That of the request which fetched it."),
            Part("mappingVersion", ("string",), "The version of the mapping.", required=True),
            Part("hash", ("string",), "SHA-256 of the stored record, in hex.", required=True),
        ),
    ),
    ExtensionDefinition(
        TENANT_TIME_ZONE,
        "TenantTimeZone",
        "Time zone of the tenant",
        ("CapabilityStatement",),
        "The zone that dates of a search are read in when they carry none.",
        (Part("", ("code",), "The IANA name."),),
    ),
    ExtensionDefinition(
        UPSTREAM_PRIORITY,
        "UpstreamPriority",
        "Priority in the upstream",
        ("Appointment",),
        "The priority as the upstream has it.",
        (
            Part(
                "",
                ("Coding",),
                "The upstream's code: text that FHIR's number cannot hold.",
                value_set=value_set_of(QUBS_PRIORITY),
            ),
        ),
    ),
    ExtensionDefinition(
        UPSTREAM_STATUS,
        "UpstreamStatus",
        "Status in the upstream",
        ("Appointment", "DiagnosticReport"),
        "The status as the upstream has it, which the FHIR status was mapped from.",
        (
            Part(
                "",
                ("Coding",),
                "The upstream's code.",
                value_set=value_set_of(QUBS_APPOINTMENT_STATUS),
            ),
        ),
    ),
)


def structure_definitions() -> tuple[FHIRResource, ...]:
    """The extensions (R4 structuredefinition.html, defining-extensions.html) as differentials."""
    return tuple(_structure_definition(one) for one in EXTENSIONS)


def _structure_definition(one: ExtensionDefinition) -> FHIRResource:
    resource_id = one.url.rpartition("/")[2]
    resource = head("StructureDefinition", resource_id, one.url, one.name, one.title)
    return resource | {
        "description": one.documentation,
        "fhirVersion": FHIR_VERSION,
        "kind": "complex-type",
        "abstract": False,
        "context": [{"type": "element", "expression": context} for context in one.contexts],
        "type": "Extension",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Extension",
        "derivation": "constraint",
        "differential": {"element": list(_elements(one))},
    }


def _elements(one: ExtensionDefinition) -> Iterator[dict[str, Any]]:
    yield {
        "id": "Extension",
        "path": "Extension",
        "short": one.title,
        "definition": one.documentation,
    }
    if one.is_plain:
        (value,) = one.parts
        yield {"id": "Extension.extension", "path": "Extension.extension", "max": "0"}
        yield _url("Extension", "Extension", one.url)
        yield _value("Extension", "Extension", value)
        return
    for part in one.parts:
        place, path = f"Extension.extension:{part.url}", "Extension.extension"
        yield {
            "id": place,
            "path": path,
            "sliceName": part.url,
            "short": part.documentation,
            "min": int(part.required),
            "max": "1",
        }
        yield {"id": f"{place}.extension", "path": f"{path}.extension", "max": "0"}
        yield _url(place, path, part.url)
        yield _value(place, path, part)
    yield _url("Extension", "Extension", one.url)
    yield {"id": "Extension.value[x]", "path": "Extension.value[x]", "max": "0"}


def _url(place: str, path: str, value: str) -> dict[str, Any]:
    return {"id": f"{place}.url", "path": f"{path}.url", "fixedUri": value}


def _value(place: str, path: str, part: Part) -> dict[str, Any]:
    element: dict[str, Any] = {
        "id": f"{place}.value[x]",
        "path": f"{path}.value[x]",
        "short": part.documentation,
        "min": 1,
        "type": [{"code": kind} for kind in part.types],
    }
    if part.value_set:
        element["binding"] = {"strength": "extensible", "valueSet": part.value_set}
    return element
