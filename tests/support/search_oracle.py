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

from tests.support.search_paths import IMPLIED, PATHS

Resource = dict[str, Any]
Span = tuple[dt.datetime, dt.datetime]

EARLIEST = dt.datetime.min.replace(tzinfo=dt.UTC)
LATEST = dt.datetime.max.replace(tzinfo=dt.UTC)

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
            here = [one for one in here if _leads_to(one, target)]
        found += here
    return found


def _leads_to(reference: Resource, target: str) -> bool:
    """Whether a reference is to a type, as `resolve() is Type` has it; a logical one may say so."""
    if "reference" in reference:
        return str(reference["reference"]).startswith(f"{target}/")
    return bool(reference.get("type") == target)


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
    if (resource["resourceType"], param) == ("Patient", "deceased"):
        # R4: Patient.deceased.exists() and Patient.deceased != false
        dead = [one for one in nodes(resource, param) if one is not False]
        return {("", "true" if dead else "false")}
    for node in nodes(resource, param):
        if isinstance(node, bool):
            found.add(("", str(node).lower()))
        elif isinstance(node, str):
            found.add((IMPLIED.get((resource["resourceType"], param), ""), node))
        else:
            for one in node.get("coding", [node]):
                code = one.get("code", one.get("value"))
                system = one.get("system", "")
                if code is not None:
                    found.add(("" if system in _CONTACT else system, code))
    return found


def texts(resource: Resource, param: str) -> list[str]:
    """What people read of coded values: CodeableConcept.text, Coding.display,
    Identifier.type.text."""
    found: list[str | None] = []
    for node in nodes(resource, param):
        if isinstance(node, dict):
            kind = node.get("type")
            found += [node.get("text"), node.get("display")]
            found += [one.get("display") for one in node.get("coding", [])]
            found.append(kind.get("text") if isinstance(kind, dict) else None)
    return [text for text in found if text is not None]


def identifiers(resource: Resource, param: str) -> set[tuple[str, str]]:
    """(system or '', value) of the identifiers that stand in references."""
    found = [one.get("identifier", {}) for one in nodes(resource, param) if isinstance(one, dict)]
    return {(one.get("system", ""), one["value"]) for one in found if "value" in one}


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
    """`Type/id` of every literal reference, and every canonical as it stands."""
    found = nodes(resource, param)
    literal = {one["reference"] for one in found if isinstance(one, dict) and "reference" in one}
    return literal | {one for one in found if isinstance(one, str)}


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
    if modifier == "text":
        return any(_string_matches(text, value, "") for text in texts(resource, param))
    if modifier == "identifier":
        return _is_token(identifiers(resource, param), value)
    if kind == "token":
        return _is_token(tokens(resource, param), value) != (modifier == "not")
    if kind == "uri":
        found = {code for _, code in tokens(resource, param)}
        return any(_uri_matches(one, value, modifier) for one in found)
    if kind == "string":
        return any(_string_matches(text, value, modifier) for text in strings(resource, param))
    if kind == "date":
        prefix, moment = (value[:2], value[2:]) if value[:2].isalpha() else ("eq", value)
        wanted = span(moment, zone)
        return any(date_matches(one, prefix, wanted) for one in spans(resource, param, zone))
    target = f"{modifier}/{value}" if modifier else value
    named = references(resource, param)
    return target in named if "/" in target else any(one.endswith(f"/{target}") for one in named)


def _present(resource: Resource, param: str, kind: str, zone: ZoneInfo) -> bool:
    if kind in ("token", "uri"):
        return bool(tokens(resource, param))
    if kind == "string":
        return bool(strings(resource, param))
    if kind == "date":
        return bool(spans(resource, param, zone))
    return bool(references(resource, param)) or bool(identifiers(resource, param))


def _is_token(found: set[tuple[str, str]], value: str) -> bool:
    if "|" not in value:
        return any(code == value for _, code in found)
    system, _, code = value.rpartition("|")
    if not code:
        return any(one == system for one, _ in found)
    return (system, code) in found


def _uri_matches(uri: str, value: str, modifier: str) -> bool:
    """R4 search.html#uri, on the characters of the URIs."""
    if modifier == "below":
        return uri.startswith(value)
    return value.startswith(uri) if modifier == "above" else uri == value


def _string_matches(text: str, value: str, modifier: str) -> bool:
    if modifier == "exact":
        return text == value
    if modifier == "contains":
        return folded(value) in folded(text)
    return folded(text).startswith(folded(value))


def sort_value(resource: Resource, param: str, kind: str, zone: ZoneInfo, last: bool) -> Any:
    """What a resource is ordered by: of several values the first, or for a descending order the
    last (R4 search.html#sort); None without one."""
    if kind in ("token", "uri"):
        found: list[Any] = [code for _, code in tokens(resource, param)]
    elif kind == "string":
        found = [folded(text) for text in strings(resource, param)]
    elif kind == "date":
        found = [first for first, _ in spans(resource, param, zone)]
    else:
        found = [one.partition("/")[2] for one in references(resource, param)]
    return (max if last else min)(found) if found else None
