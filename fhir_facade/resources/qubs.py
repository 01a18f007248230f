"""QUBS records to FHIR resources: the one seam that sync calls. Pure, and never raises on records.

What a caller needs is exported here: `links_of` when a record is stored, `dependencies_of` before
mapping, `map_subject`, and the types they take and give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fhir_facade.fhir import FHIRResource
from fhir_facade.resources.appointment import appointment_from_qubs
from fhir_facade.resources.binary import binary_from_qubs
from fhir_facade.resources.context import (
    NO_RECORDS,
    MappedSubject,
    MappingWarning,
    QubsContext,
    RecordKey,
    Records,
    Rejection,
    ResourceKey,
    SubjectRecords,
)
from fhir_facade.resources.diagnostic_report import report_from_qubs
from fhir_facade.resources.document_reference import document_from_qubs
from fhir_facade.resources.links import dependencies_of, links_of
from fhir_facade.resources.location import location_from_qubs
from fhir_facade.resources.organization import organization_from_qubs
from fhir_facade.resources.patient import patient_from_qubs
from fhir_facade.resources.practitioner import practitioner_from_qubs
from fhir_facade.resources.qubs_appointment import read_appointment, sites_of
from fhir_facade.resources.qubs_attachments import read_attachments
from fhir_facade.resources.qubs_records import readable
from fhir_facade.resources.subject import Subject
from fhir_facade.resources.version import MAPPING_VERSION
from fhir_facade.upstream.qubs_words import ATTACHMENTS, SITE_SETTINGS, SITES

__all__ = [
    "MAPPING_VERSION",
    "MappedSubject",
    "MappingWarning",
    "QubsContext",
    "RecordKey",
    "Records",
    "Rejection",
    "SubjectRecords",
    "dependencies_of",
    "links_of",
    "map_subject",
]


def map_subject(subject: Subject, records: SubjectRecords, context: QubsContext) -> MappedSubject:
    """The resources of one subject, without `meta.versionId` and `meta.lastUpdated`.

    Equal arguments give equal results. Records that cannot be mapped come back in `rejected`, the
    rest goes on. Raises ValueError for a kind of subject QUBS does not have.
    """
    mapper = _MAPPERS.get(subject.kind)
    if mapper is None:
        raise ValueError(f"QUBS has no subject of the kind {subject.kind!r}")
    if not subject.key.strip():
        nameless = tuple(Rejection(*key, "the subject has no key") for key in records.own)
        return MappedSubject(rejected=nameless)
    own, rejected = readable(records.own, context.domain)
    mapped = mapper(subject, SubjectRecords(own, records.related), context)
    return MappedSubject(
        mapped.resources,
        mapped.sources,
        dependencies_of(subject, own),
        mapped.warnings,
        rejected,
        mapped.inherits,
    )


def _map_domain(subject: Subject, records: SubjectRecords, context: QubsContext) -> MappedSubject:
    return MappedSubject((organization_from_qubs(context),), ((),))


def _map_site(subject: Subject, records: SubjectRecords, context: QubsContext) -> MappedSubject:
    if not records.own:
        return MappedSubject()
    location, warnings = location_from_qubs(subject.key, records.own, context)
    told = (SITES, SITE_SETTINGS)
    used = tuple(k for k in sorted(records.own) if k[0] in told) or tuple(sorted(records.own))
    return MappedSubject((location,), (used,), warnings=tuple(warnings))


def _map_staff(subject: Subject, records: SubjectRecords, context: QubsContext) -> MappedSubject:
    practitioner, used = practitioner_from_qubs(subject.key, records.own, context)
    return MappedSubject() if practitioner is None else MappedSubject((practitioner,), (used,))


def _map_patient(subject: Subject, records: SubjectRecords, context: QubsContext) -> MappedSubject:
    patient, used, warnings = patient_from_qubs(subject.key, records.own, context)
    if patient is None:
        return MappedSubject()
    return MappedSubject((patient,), (used,), warnings=tuple(warnings))


def _map_appointment(
    subject: Subject, records: SubjectRecords, context: QubsContext
) -> MappedSubject:
    sites = sites_of(records.own)
    site = Subject("site", sites[0]) if sites else None
    site_records = records.related.get(site, NO_RECORDS) if site else NO_RECORDS
    if site_records:
        # By the same rule as the site itself, or a reference could lead to no Location.
        site_records, _ = readable(site_records, context.domain)
    merged, used, warnings = read_appointment(subject.key, records.own, site_records, context)
    if merged is None:
        return MappedSubject()
    attachments, more = read_attachments(subject.key, records.own, context)
    listed = (*used, (ATTACHMENTS, subject.key))
    made = _Made()
    made.add(appointment_from_qubs(merged, context), used)
    report = report_from_qubs(merged, context, attachments)
    if report is not None:
        made.add(report, listed if "presentedForm" in report else used)
    for attachment in attachments:
        document = document_from_qubs(attachment, merged, context)
        if document is not None:
            made.add(document, listed)
        shown_by = (document, report if attachment.is_report else None)
        targets = tuple(_key(resource) for resource in shown_by if resource is not None)
        if targets and attachment.has_content:
            # It has no Provenance of its own: its targets have.
            made.add(binary_from_qubs(attachment, "/".join(targets[0])), (), targets)
    return made.mapped((*warnings, *more))


class _Made:
    """The resources of an appointment, as they are made."""

    def __init__(self) -> None:
        self._resources: list[FHIRResource] = []
        self._sources: list[tuple[RecordKey, ...]] = []
        self._inherits: dict[ResourceKey, tuple[ResourceKey, ...]] = {}

    def add(
        self,
        resource: FHIRResource,
        sources: tuple[RecordKey, ...],
        inherits: tuple[ResourceKey, ...] = (),
    ) -> None:
        """Take one."""
        self._resources.append(resource)
        self._sources.append(sources)
        if inherits:
            self._inherits[_key(resource)] = inherits

    def mapped(self, warnings: Iterable[MappingWarning]) -> MappedSubject:
        """All of them."""
        return MappedSubject(
            tuple(self._resources),
            tuple(self._sources),
            warnings=tuple(warnings),
            inherits=self._inherits,
        )


def _key(resource: FHIRResource) -> ResourceKey:
    return resource["resourceType"], resource["id"]


_MAPPERS: dict[str, Callable[[Subject, SubjectRecords, QubsContext], MappedSubject]] = {
    "appointment": _map_appointment,
    "domain": _map_domain,
    "patient": _map_patient,
    "site": _map_site,
    "staff": _map_staff,
}
