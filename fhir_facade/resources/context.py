"""What a mapping is given and what it gives back: plain values, no clock, no settings, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.ids import resource_id
from fhir_facade.fhir.systems import tenant_system
from fhir_facade.resources.subject import Subject
from fhir_facade.resources.terminology import BUILT_IN, CodeTables

SOURCE = "qubs"
"""The source prefix of ids and identifier systems."""

RecordKey = tuple[str, str]
"""View and upstream key of one stored record."""
ResourceKey = tuple[str, str]
"""Type and id of a resource."""
Records = Mapping[RecordKey, Any]
"""Parsed bodies by view and key."""

NO_RECORDS: Records = {}


@dataclass(frozen=True)
class QubsContext:
    """One tenant's side of the mapping.

    `fhir_base` is the tenant's canonical base, `domain` its QUBS domain exactly as spelled there,
    `organization_name` what people call it (the domain when None).
    """

    fhir_base: str
    domain: str
    organization_name: str | None = None
    tables: CodeTables = BUILT_IN

    @cached_property
    def appointment_system(self) -> str:
        """Identifier system of appointment ids."""
        return tenant_system(self.fhir_base, "qubs-appointment-id")

    @cached_property
    def attachment_system(self) -> str:
        """Identifier system of attachment GUIDs."""
        return tenant_system(self.fhir_base, "qubs-attachment-id")

    @cached_property
    def patient_system(self) -> str:
        """Identifier system of patient ids."""
        return tenant_system(self.fhir_base, "qubs-patient-id")

    @cached_property
    def domain_system(self) -> str:
        """Identifier system of domains."""
        return tenant_system(self.fhir_base, "qubs-domain")

    @cached_property
    def site_system(self) -> str:
        """Identifier system of site names."""
        return tenant_system(self.fhir_base, "qubs-site")

    @cached_property
    def staff_system(self) -> str:
        """Identifier system of employee ids."""
        return tenant_system(self.fhir_base, "qubs-employee-id")

    @cached_property
    def exam_system(self) -> str:
        """Code system of exam keys: each customer configures its own."""
        return tenant_system(self.fhir_base, "qubs-exam-code")

    @cached_property
    def organization_reference(self) -> str:
        """`Organization/{id}` of the domain."""
        return f"Organization/{resource_id(SOURCE, self.domain)}"


WarningCode = Literal[
    "missing-status",
    "patient-conflict",
    "too-many-attachments",
    "unknown-attachment-category",
    "unknown-gender",
    "unknown-site",
    "unknown-status",
    "unknown-time-zone",
    "unreadable-date",
    "unreadable-date-time",
    "unreadable-time",
]


class MappingWarning(NamedTuple):
    """Something of a record that was served under a default or left out.

    `value` is the upstream code or site name for `unknown-…`, at most 64 characters, to be listed
    to operators and never logged; None where it could be personal.
    """

    code: WarningCode
    value: str | None = None


class Rejection(NamedTuple):
    """A record that cannot be mapped: to be quarantined. `reason` holds no value of the record."""

    view: str
    key: str
    reason: str


@dataclass(frozen=True)
class SubjectRecords:
    """The stored records of a subject, and of the subjects it depends on."""

    own: Records
    related: Mapping[Subject, Records] = field(default_factory=dict)


@dataclass(frozen=True)
class MappedSubject:
    """What a subject maps to.

    `inherits` says of a resource that is reached as others are (a Binary) which those are; they
    come before it. `sources` runs parallel to `resources`: the records each was made from
    (`provenance_for` wants their origins). With `rejected` records the resources are those of the
    rest: a caller that gets fewer than before must keep the old ones, not delete them.
    """

    resources: tuple[FHIRResource, ...] = ()
    sources: tuple[tuple[RecordKey, ...], ...] = ()
    dependencies: tuple[Subject, ...] = ()
    warnings: tuple[MappingWarning, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    inherits: Mapping[ResourceKey, tuple[ResourceKey, ...]] = field(default_factory=dict)


def unknown(code: WarningCode, value: str) -> MappingWarning:
    """A warning that names an upstream code, cut to 64 characters."""
    return MappingWarning(code, value[:64])
