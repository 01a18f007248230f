"""A second opinion on FHIR search: every resource is looked at, nothing is indexed.

Written from R4 search.html and the SearchParameter definitions, not from the code under test: own
element paths, own dates, own text folding. Slow and plain on purpose.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

Resource = dict[str, Any]
Span = tuple[dt.datetime, dt.datetime]

EARLIEST = dt.datetime.min.replace(tzinfo=dt.UTC)
LATEST = dt.datetime.max.replace(tzinfo=dt.UTC)

_ADDRESSED = {
    "address": "address",
    "address-city": "address.city",
    "address-country": "address.country",
    "address-postalcode": "address.postalCode",
    "address-state": "address.state",
    "address-use": "address.use",
}
_PERSON = {
    **_ADDRESSED,
    "active": "active",
    "email": "telecom[system=email]",
    "family": "name.family",
    "gender": "gender",
    "given": "name.given",
    "identifier": "identifier",
    "name": "name",
    "phone": "telecom[system=phone]",
    "telecom": "telecom",
}
PATHS: dict[str, dict[str, str]] = {
    "Appointment": {
        "actor": "participant.actor",
        "appointment-type": "appointmentType",
        "date": "start",
        "identifier": "identifier",
        "location": "participant.actor->Location",
        "part-status": "participant.status",
        "patient": "participant.actor->Patient",
        "practitioner": "participant.actor->Practitioner",
        "reason-code": "reasonCode",
        "service-category": "serviceCategory",
        "service-type": "serviceType",
        "specialty": "specialty",
        "status": "status",
    },
    "ConceptMap": {
        "date": "date",
        "description": "description",
        "identifier": "identifier",
        "name": "name",
        "publisher": "publisher",
        "source-code": "group.element.code",
        "source-system": "group.source",
        "status": "status",
        "target-code": "group.element.target.code",
        "target-system": "group.target",
        "title": "title",
        "url": "url",
        "version": "version",
    },
    "DiagnosticReport": {
        "category": "category",
        "code": "code",
        "conclusion": "conclusionCode",
        "date": "effectiveDateTime|effectivePeriod",
        "identifier": "identifier",
        "issued": "issued",
        "patient": "subject->Patient",
        "performer": "performer",
        "results-interpreter": "resultsInterpreter",
        "status": "status",
        "subject": "subject",
    },
    "Group": {
        "actual": "actual",
        "characteristic": "characteristic.code",
        "code": "code",
        "exclude": "characteristic.exclude",
        "identifier": "identifier",
        "managing-entity": "managingEntity",
        "member": "member.entity",
        "type": "type",
        "value": "characteristic.valueCodeableConcept|characteristic.valueBoolean",
    },
    "Location": {
        **_ADDRESSED,
        "identifier": "identifier",
        "name": "name|alias",
        "operational-status": "operationalStatus",
        "organization": "managingOrganization",
        "partof": "partOf",
        "status": "status",
        "type": "type",
    },
    "Organization": {
        **_ADDRESSED,
        "active": "active",
        "identifier": "identifier",
        "name": "name|alias",
        "partof": "partOf",
        "type": "type",
    },
    "Patient": {
        **_PERSON,
        "birthdate": "birthDate",
        "death-date": "deceasedDateTime",
        "general-practitioner": "generalPractitioner",
        "language": "communication.language",
        "link": "link.other",
        "organization": "managingOrganization",
    },
    "Practitioner": {**_PERSON, "communication": "communication"},
    "Provenance": {
        "agent": "agent.who",
        "agent-role": "agent.role",
        "agent-type": "agent.type",
        "entity": "entity.what",
        "location": "location",
        "patient": "target->Patient",
        "recorded": "recorded",
        "signature-type": "signature.type",
        "target": "target",
        "when": "occurredDateTime",
    },
}
IMPLIED = {
    ("Appointment", "part-status"): "http://hl7.org/fhir/participationstatus",
    ("Appointment", "status"): "http://hl7.org/fhir/appointmentstatus",
    ("ConceptMap", "status"): "http://hl7.org/fhir/publication-status",
    ("DiagnosticReport", "status"): "http://hl7.org/fhir/diagnostic-report-status",
    ("Group", "type"): "http://hl7.org/fhir/group-type",
    ("Location", "status"): "http://hl7.org/fhir/location-status",
    ("Patient", "gender"): "http://hl7.org/fhir/administrative-gender",
    ("Practitioner", "gender"): "http://hl7.org/fhir/administrative-gender",
}
"""The systems that bound `code` elements imply (R4 search.html#token)."""
_PARTS = "text family given prefix suffix line city district state postalCode country".split()
_CONTACT = {"phone", "fax", "email", "pager", "url", "sms", "other"}


def nodes(resource: Resource, param: str) -> list[Any]:
    """The values that a parameter looks at."""
    found: list[Any] = []
    for path in PATHS[resource["resourceType"]][param].split("|"):
        path, _, target = path.partition("->")
        here: list[Any] = [resource]
        for step in path.split("."):
            here = list(_step(here, step))
        if target:
            here = [one for one in here if one.get("reference", "").startswith(target + "/")]
        found += here
    return found


def _step(here: Sequence[Any], step: str) -> Iterator[Any]:
    name, _, condition = step.rstrip("]").partition("[")
    key, _, wanted = condition.partition("=")
    for node in here:
        value = node.get(name) if isinstance(node, dict) else None
        for one in value if isinstance(value, list) else [value]:
            if one is not None and (not key or one.get(key) == wanted):
                yield one


def tokens(resource: Resource, param: str) -> set[tuple[str, str]]:
    """(system or '', code) of every coded value."""
    found: set[tuple[str, str]] = set()
    for node in nodes(resource, param):
        if isinstance(node, bool):
            found.add(("", str(node).lower()))
        elif isinstance(node, str):
            implied = ("", "http://hl7.org/fhir/address-use")[param == "address-use"]
            found.add((IMPLIED.get((resource["resourceType"], param), implied), node))
        else:
            for one in node.get("coding", [node]):
                code = one.get("code", one.get("value"))
                system = one.get("system", "")
                if code is not None:
                    found.add(("" if system in _CONTACT else system, code))
    return found


def strings(resource: Resource, param: str) -> list[str]:
    """Every text of a string parameter: parts of names and addresses each for itself."""
    found: list[str] = []
    for node in nodes(resource, param):
        if isinstance(node, str):
            found.append(node)
        else:
            for part in _PARTS:
                value = node.get(part, [])
                found += [value] if isinstance(value, str) else value
    return found


def references(resource: Resource, param: str) -> set[str]:
    """`Type/id` of every literal reference."""
    return {one["reference"] for one in nodes(resource, param) if "reference" in one}


def spans(resource: Resource, param: str, zone: ZoneInfo) -> list[Span]:
    """First instant and the instant after the last one of every date."""
    found = []
    for node in nodes(resource, param):
        if isinstance(node, str):
            found.append(span(node, zone))
        elif "start" in node or "end" in node:
            first = span(node["start"], zone)[0] if "start" in node else EARLIEST
            last = span(node["end"], zone)[1] if "end" in node else LATEST
            found.append((first, last))
    return found


def span(text: str, zone: ZoneInfo) -> Span:
    """The instants a FHIR date names; without a zone of its own it is read in `zone`."""
    if re.fullmatch(r"\d{4}(-\d\d){0,2}", text):
        numbers = [int(part) for part in text.split("-")]
        year, month, day = (*numbers, 1, 1)[:3]
        first = dt.date(year, month, day)
        if len(numbers) == 1:
            after = dt.date(year + 1, 1, 1)
        elif len(numbers) == 2:
            after = dt.date(year + month // 12, month % 12 + 1, 1)
        else:
            after = first + dt.timedelta(days=1)
        return _midnight(first, zone), _midnight(after, zone)
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    fraction = re.search(r"\.(\d+)", text)
    if fraction:
        width = dt.timedelta(microseconds=10 ** max(0, 6 - len(fraction[1])))
    else:
        width = dt.timedelta(seconds=1 if re.search(r"T\d\d:\d\d:\d\d", text) else 60)
    start = moment.astimezone(dt.UTC)
    return start, start + width


def _midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(dt.UTC)


def date_matches(target: Span, prefix: str, wanted: Span) -> bool:
    """R4 search.html#prefix, word for word, on the ranges of both."""
    lo, hi = wanted
    contained = lo <= target[0] and target[1] <= hi
    above, below = target[1] > hi, target[0] < lo
    return {
        "eq": contained,
        "ne": not contained,
        "gt": above,
        "lt": below,
        "ge": above or contained,
        "le": below or contained,
        "sa": target[0] >= hi,
        "eb": target[1] <= lo,
    }[prefix]


def folded(text: str) -> str:
    """Without case and accents, for the default match of strings."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(char for char in apart if not unicodedata.combining(char))
    return " ".join(bare.split())


def matches(
    resource: Resource, param: str, kind: str, value: str, zone: ZoneInfo, modifier: str = ""
) -> bool:
    """Whether one parameter with one value (no commas, no escapes) holds for a resource."""
    if modifier == "missing":
        return (value == "true") == (not _present(resource, param, kind, zone))
    if kind in ("token", "uri"):
        return _token_matches(resource, param, kind, value) != (modifier == "not")
    if kind == "string":
        return any(_string_matches(text, value, modifier) for text in strings(resource, param))
    if kind == "date":
        prefix, moment = (value[:2], value[2:]) if value[:2].isalpha() else ("eq", value)
        wanted = span(moment, zone)
        return any(date_matches(one, prefix, wanted) for one in spans(resource, param, zone))
    target = f"{modifier}/{value}" if modifier else value
    found = references(resource, param)
    return target in found if "/" in target else any(one.endswith(f"/{target}") for one in found)


def _present(resource: Resource, param: str, kind: str, zone: ZoneInfo) -> bool:
    if kind in ("token", "uri"):
        return bool(tokens(resource, param))
    if kind == "string":
        return bool(strings(resource, param))
    if kind == "date":
        return bool(spans(resource, param, zone))
    return bool(references(resource, param))


def _token_matches(resource: Resource, param: str, kind: str, value: str) -> bool:
    found = tokens(resource, param)
    if kind == "uri" or "|" not in value:
        return any(code == value for _, code in found)
    system, _, code = value.rpartition("|")
    if not code:
        return any(one == system for one, _ in found)
    return (system, code) in found


def _string_matches(text: str, value: str, modifier: str) -> bool:
    if modifier == "exact":
        return text == value
    if modifier == "contains":
        return folded(value) in folded(text)
    return folded(text).startswith(folded(value))
