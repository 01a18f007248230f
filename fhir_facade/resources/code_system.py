"""CodeSystem: the codes of the upstream and of the audit trail, as they are served."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.systems import (
    AUDIT_ACT,
    CODE_SYSTEM_CONTENT_MODE,
    QUBS_APPOINTMENT_STATUS,
    QUBS_ATTACHMENT_CATEGORY,
    QUBS_EXAM_CATEGORY,
    QUBS_MODALITY,
    QUBS_PRIORITY,
    QUBS_SEX,
    search_parameter,
    tenant_system,
    value_set_of,
)
from fhir_facade.policy import ReachClass
from fhir_facade.resources.audit_acts import INTERACTIONS, OTHERS
from fhir_facade.resources.code_rows import ATTACHMENT_CATEGORY, GENDER
from fhir_facade.resources.conformance_search import conformance_parameters
from fhir_facade.resources.definition import ResourceDefinition, token, uri
from fhir_facade.resources.version import head


def _definition(name: str) -> str:
    return search_parameter(f"CodeSystem-{name}")


DEFINITION = ResourceDefinition(
    type="CodeSystem",
    reach=ReachClass.DIRECTORY,
    search=(
        token("code", "concept.code", definition=_definition("code")),
        token(
            "content-mode",
            "content",
            definition=_definition("content-mode"),
            system=CODE_SYSTEM_CONTENT_MODE,
        ),
        *conformance_parameters("identifier", "title"),
        token("language", "concept.designation.language", definition=_definition("language")),
        uri("system", "url", definition=_definition("system")),
    ),  # no supplements: nothing that is published here is one
    exportable=False,
    stored=False,
    documentation="The code systems of the upstream and of the audit trail. Content 'fragment': "
    "the codes known so far; 'not-present': the upstream publishes no list.",
)

_STATUS_DISPLAYS = {
    "NOT ARRIVED": "Not arrived",
    "ARRIVED": "Arrived",
    "DID NOT ATTEND": "Did not attend",
    "APPPOINTMENT CANCELLED": "Appointment cancelled",
    "CANCELLATION LIST": "Cancellation list",
    "STUDY INPROGRESS": "Study in progress",
    "PENDING REPORTING": "Pending reporting",
    "DICTATION INPROGRESS": "Dictation in progress",
    "DICTATED": "Dictated",
    "TYPING INPROGRESS": "Typing in progress",
    "TYPED": "Typed",
    "REVIEW TYPED": "Review typed",
    "AUTHORISING": "Authorising",
    "AUTHORISED": "Authorised",
    "SECOND REVIEW": "Second review",
    "PEER REVIEW": "Peer review",
    "SECOND OPINION": "Second opinion",
    "FINALISED": "Finalised",
}


@dataclass(frozen=True)
class CodeList:
    """A code system of ours. `displays` are its codes; `url` is a canonical URL, or None when it
    is `{id}` of each tenant."""

    id: str
    name: str
    title: str
    description: str
    url: str | None
    content: Literal["complete", "fragment", "not-present"]
    displays: Mapping[str, str]
    case_sensitive: bool = True

    def url_at(self, fhir_base: str) -> str:
        """The URL that codings of this tenant carry."""
        return self.url or tenant_system(fhir_base, self.id)


def _words(codes: Iterable[str]) -> dict[str, str]:
    return {code: code.replace("-", " ").capitalize() for code in sorted(codes)}


CODE_LISTS: tuple[CodeList, ...] = (
    CodeList(
        "audit-act",
        "AuditAct",
        "Acts of the audit trail",
        "What was done, in the word of the audit trail: the first subtype of every AuditEvent.",
        AUDIT_ACT,
        "complete",
        _words({*INTERACTIONS, *OTHERS}),
    ),
    CodeList(
        "qubs-appointment-status",
        "QubsAppointmentStatus",
        "QUBS appointment status",
        "The workflow states of a QUBS appointment that are known, as QUBS spells them. A state "
        "that QUBS adds is served before it is listed here.",
        QUBS_APPOINTMENT_STATUS,
        "fragment",
        _STATUS_DISPLAYS,
    ),
    CodeList(
        "qubs-sex",
        "QubsSex",
        "QUBS gender text",
        "QUBS publishes no list: these are the texts that are mapped, whatever their case.",
        QUBS_SEX,
        "fragment",
        {code: code for code in GENDER["rows"]},
        case_sensitive=False,
    ),
    CodeList(
        "qubs-attachment-category",
        "QubsAttachmentCategory",
        "QUBS attachment category",
        "QUBS publishes no list: these are the categories that are mapped, whatever their case.",
        QUBS_ATTACHMENT_CATEGORY,
        "fragment",
        {code: code for code in ATTACHMENT_CATEGORY["rows"]},
        case_sensitive=False,
    ),
    CodeList(
        "qubs-modality",
        "QubsModality",
        "QUBS modality",
        "The modality of an appointment as QUBS has it; QUBS publishes no list.",
        QUBS_MODALITY,
        "not-present",
        {},
    ),
    CodeList(
        "qubs-exam-category",
        "QubsExamCategory",
        "QUBS exam category",
        "The category of an exam code as the site has it; QUBS publishes no list.",
        QUBS_EXAM_CATEGORY,
        "not-present",
        {},
    ),
    CodeList(
        "qubs-priority",
        "QubsPriority",
        "QUBS priority",
        "The priority of an appointment as QUBS has it; QUBS publishes no list.",
        QUBS_PRIORITY,
        "not-present",
        {},
    ),
    CodeList(
        "qubs-exam-code",
        "QubsExamCode",
        "Exam codes of this practice",
        "The keys of exams as the practice configures them in QUBS, so each tenant has its own.",
        None,
        "not-present",
        {},
    ),
)


def code_systems(fhir_base: str) -> tuple[FHIRResource, ...]:
    """The code systems (R4 codesystem.html) as a tenant serves them."""
    return _each(lambda one: _code_system(one, one.url_at(fhir_base)))


def value_sets(fhir_base: str) -> tuple[FHIRResource, ...]:
    """For each code system the ValueSet of all its codes (R4 valueset.html)."""
    return _each(lambda one: _value_set(one, one.url_at(fhir_base)))


def _each(make: Callable[[CodeList], FHIRResource]) -> tuple[FHIRResource, ...]:
    return tuple(make(one) for one in CODE_LISTS)


def _code_system(one: CodeList, url: str) -> FHIRResource:
    resource = head("CodeSystem", one.id, url, one.name, one.title)
    resource |= {
        "description": one.description,
        "caseSensitive": one.case_sensitive,
        "valueSet": value_set_of(url),
        "content": one.content,
    }
    if one.displays:
        resource["count"] = len(one.displays)
        resource["concept"] = [
            {"code": code, "display": display} for code, display in one.displays.items()
        ]
    return resource


def _value_set(one: CodeList, url: str) -> FHIRResource:
    resource = head("ValueSet", one.id, value_set_of(url), one.name, one.title)
    return resource | {"description": one.description, "compose": {"include": [{"system": url}]}}
