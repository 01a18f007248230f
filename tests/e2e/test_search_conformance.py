"""Search over plain HTTP, held to a full scan of what an export gave (`search_oracle`).

R4 search.html; nothing of the server is imported but the list of its parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit
from zoneinfo import ZoneInfo

import pytest

from fhir_facade.resources.registry import REGISTRY
from tests.support import search_oracle as oracle
from tests.support.demo import RunningDemo
from tests.support.fhir_api import Api, Exported, api_of, entries, issue, link

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
LENIENT = {"Prefer": "handling=lenient"}
ALL = [("_count", "1000")]
OPERATORS_ONLY = {"AuditEvent"}
TYPES = sorted(set(REGISTRY) - OPERATORS_ONLY)
PARAMETERS = [(name, p.name, p.type) for name in TYPES for p in REGISTRY[name].search]
Scan = dict[str, list[oracle.Resource]]


@pytest.fixture(scope="module")
def api(demo: RunningDemo) -> Api:
    return api_of(demo)


@pytest.fixture(scope="module")
def zone(demo: RunningDemo) -> ZoneInfo:
    return ZoneInfo(demo.demo["timezone"])


@pytest.fixture(scope="module")
def exported(api: Api) -> Exported:
    return api.export()


@pytest.fixture(scope="module")
def scan(api: Api, exported: Exported) -> Scan:
    """Every resource the backend client reaches: what it exported, and types never exported."""
    found: Scan = {name: [] for name in TYPES}
    for name, resource in exported.lines():
        found[name].append(resource)
    for name in TYPES:
        if not REGISTRY[name].exportable:
            pages = api.pages(api.search(name, ALL, "backend"), "backend")
            found[name] = [one for page in pages for one in entries(page)]
    return found


def escaped(text: str) -> str:
    return re.sub(r"([\\,|$])", r"\\\1", text)


def ids_of(found: Iterable[oracle.Resource]) -> list[str]:
    return sorted(one["id"] for one in found)


def some(values: set[Any]) -> list[Any]:
    """A few of the values, from both ends and the middle."""
    ordered = sorted(values)
    chosen = [ordered[0], ordered[len(ordered) // 2], ordered[-1]] if ordered else []
    return list(dict.fromkeys(chosen))


# What a parameter is asked: name as sent, value as sent, modifier, value for the oracle.
Question = tuple[str, str, str, str]


def token_questions(scanned: list[oracle.Resource], name: str) -> Iterator[Question]:
    found = {pair for one in scanned for pair in oracle.tokens(one, name)}
    for system, code in some(found):
        yield name, escaped(code), "", code
        yield name, escaped(code.swapcase() + "x"), "", code.swapcase() + "x"
        yield name, f"{escaped(system)}|{escaped(code)}", "", f"{system}|{code}"
        if system:
            yield name, f"{escaped(system)}|", "", f"{system}|"
            yield name, f"|{escaped(code)}", "", f"|{code}"
        yield f"{name}:not", escaped(code), "not", code
    for text in some({text for one in scanned for text in oracle.texts(one, name)}):
        yield f"{name}:text", escaped(text[:5]), "text", text[:5]


def string_questions(scanned: list[oracle.Resource], name: str) -> Iterator[Question]:
    found = {text for one in scanned for text in oracle.strings(one, name)}
    for text in some(found):
        for wanted in (text, text[:3].upper(), text[1:4].strip(), text.lower()):
            if wanted.strip():
                yield name, escaped(wanted), "", wanted
                yield f"{name}:contains", escaped(wanted), "contains", wanted
                yield f"{name}:exact", escaped(wanted), "exact", wanted


def uri_questions(scanned: list[oracle.Resource], name: str) -> Iterator[Question]:
    for uri in some({code for one in scanned for _, code in oracle.tokens(one, name)}):
        yield name, escaped(uri), "", uri
        yield f"{name}:below", escaped(uri[:-2]), "below", uri[:-2]
        yield f"{name}:above", escaped(f"{uri}/more"), "above", f"{uri}/more"
        yield name, escaped(uri[:-2]), "", uri[:-2]


def date_questions(scanned: list[oracle.Resource], name: str, zone: ZoneInfo) -> Iterator[Question]:
    found = {one for resource in scanned for one in oracle.spans(resource, name, zone)}
    for number, (first, _) in enumerate(some(found)):
        local = first.astimezone(zone) if first > oracle.EARLIEST else first
        texts = [
            local.isoformat(timespec="seconds"),
            local.strftime("%Y-%m-%dT%H:%M"),
            local.strftime("%Y-%m-%d"),
            first.strftime("%Y-%m-%d"),
            local.strftime("%Y-%m"),
            local.strftime("%Y"),
        ]
        prefixes = ("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
        for place, text in enumerate(dict.fromkeys(texts)):
            # All prefixes on one value of each precision, a few of them on the others.
            for prefix in prefixes if number == 1 or len(found) == 1 else prefixes[place % 3 :: 3]:
                yield name, prefix + text, "", prefix + text


def reference_questions(scanned: list[oracle.Resource], name: str, base: str) -> Iterator[Question]:
    found = {text for one in scanned for text in oracle.references(one, name)}
    for text in some(found):
        yield name, text, "", text
        if "://" in text:
            yield name, f"{text}x", "", f"{text}x"
            continue
        target_type, _, target_id = text.partition("/")
        yield name, target_id, "", target_id
        yield name, f"{base}/{text}", "", text
        yield f"{name}:{target_type}", target_id, target_type, target_id
        yield name, f"http://elsewhere.example/fhir/{text}", "", "Nothing/nobody"
        yield name, f"{target_type}/{target_id}x", "", f"{target_type}/{target_id}x"
    for system, value in some({pair for one in scanned for pair in oracle.identifiers(one, name)}):
        yield f"{name}:identifier", escaped(value), "identifier", value
        both = f"{system}|{value}"
        yield f"{name}:identifier", f"{escaped(system)}|{escaped(value)}", "identifier", both


@pytest.mark.parametrize(
    ("resource_type", "name", "kind"), PARAMETERS, ids=[f"{t}-{n}" for t, n, _ in PARAMETERS]
)
def test_every_declared_parameter_finds_what_a_full_scan_finds(
    api: Api, scan: Scan, zone: ZoneInfo, resource_type: str, name: str, kind: str
) -> None:
    scanned = scan[resource_type]
    questions: list[Question] = [
        (f"{name}:missing", value, "missing", value) for value in ("true", "false")
    ]
    if kind == "date":
        questions += date_questions(scanned, name, zone)
    elif kind == "string":
        questions += string_questions(scanned, name)
    elif kind == "reference":
        questions += reference_questions(scanned, name, api.base)
    elif kind == "uri":
        questions += uri_questions(scanned, name)
    else:
        bare = REGISTRY[resource_type].parameter(name)
        coded = bare is not None and not bare.system
        questions += [one for one in token_questions(scanned, name) if coded or one[2] != "text"]
    if resource_type == "Provenance":
        questions = questions[::4]  # it has by far the most resources
    for sent, value, modifier, wanted in questions:
        right = ids_of(
            one for one in scanned if oracle.matches(one, name, kind, wanted, zone, modifier)
        )
        bundle = api.search(resource_type, [(sent, value), *ALL], "backend")
        pages = api.pages(bundle, "backend")
        found = sorted(one["id"] for page in pages for one in entries(page))
        assert found == right, f"{sent}={value}"
        assert bundle["total"] == len(right)


def test_the_capability_statement_lists_exactly_what_is_served(api: Api) -> None:
    rest = api.get("/metadata", None).json()["rest"][0]
    listed = {
        (resource["type"], parameter["name"], parameter["type"])
        for resource in rest["resource"]
        for parameter in resource["searchParam"]
    }
    common = {
        (name, *one) for name in TYPES for one in (("_id", "token"), ("_lastUpdated", "date"))
    }
    assert {one for one in listed if one[0] not in OPERATORS_ONLY} == set(PARAMETERS) | common
    assert set(oracle.PATHS) == set(TYPES)


@pytest.mark.parametrize("resource_type", TYPES)
def test_every_declared_include_is_accepted(api: Api, resource_type: str) -> None:
    rest = api.get("/metadata", None).json()["rest"][0]
    resource = next(one for one in rest["resource"] if one["type"] == resource_type)
    asked = [("_include", one) for one in resource.get("searchInclude", [])]
    asked += [("_revinclude", one) for one in resource.get("searchRevInclude", [])]
    for pair in asked:
        api.search(resource_type, [pair, ("_count", "5")], "backend")


# --- what a person's token sees


@pytest.mark.parametrize("resource_type", ["Patient", "Appointment", "DiagnosticReport"])
def test_a_group_client_searches_exactly_what_it_exports(
    api: Api, scan: Scan, resource_type: str
) -> None:
    assert api.ids(resource_type, ALL, "backend") == sorted(
        one["id"] for one in scan[resource_type]
    )


def test_search_results_are_the_exported_bytes(api: Api, exported: Exported) -> None:
    lines = {line for content in exported.files.values() for line in content.splitlines()}
    answer = api.get("/Appointment", "backend", params="_count=20")
    for resource in entries(answer.json()):
        read = api.get(f"/{resource['resourceType']}/{resource['id']}", "backend")
        assert read.content in lines
        assert read.content in answer.content
        assert read.json() == resource


# --- combinations


def test_repeated_parameters_are_and_and_commas_are_or(
    api: Api, scan: Scan, zone: ZoneInfo
) -> None:
    statuses = some(
        {code for one in scan["Appointment"] for _, code in oracle.tokens(one, "status")}
    )
    dates = sorted(one["start"] for one in scan["Appointment"] if "start" in one)
    low, high = dates[len(dates) // 4][:10], dates[3 * len(dates) // 4][:10]
    pairs = [
        ("status", ",".join(statuses[:2])),
        ("date", f"ge{low}"),
        ("date", f"lt{high}"),
        *ALL,
    ]

    def holds(one: oracle.Resource) -> bool:
        any_status = any(oracle.matches(one, "status", "token", s, zone) for s in statuses[:2])
        after = oracle.matches(one, "date", "date", f"ge{low}", zone)
        return any_status and after and oracle.matches(one, "date", "date", f"lt{high}", zone)

    right = ids_of(filter(holds, scan["Appointment"]))
    assert right
    for asked in (pairs, list(reversed(pairs))):
        found = api.ids("Appointment", asked, "backend")
        assert sorted(found) == right


def test_us_core_combinations(api: Api, scan: Scan, zone: ZoneInfo) -> None:
    patient = api.contract["patient_id"]
    person = next(one for one in scan["Patient"] if one["id"] == patient)
    report = next(
        one
        for one in scan["DiagnosticReport"]
        if one["subject"]["reference"] == f"Patient/{patient}"
    )
    code = report["code"]["coding"][0]
    asked: list[tuple[str, list[tuple[str, str]]]] = [
        ("Patient", [("birthdate", person["birthDate"]), ("name", person["name"][0]["family"])]),
        ("Patient", [("gender", person["gender"]), ("name", person["name"][0]["family"])]),
        ("Patient", [("family", person["name"][0]["family"]), ("gender", person["gender"])]),
        ("Patient", [("identifier", person["identifier"][0]["value"])]),
        ("DiagnosticReport", [("patient", patient), ("category", "http://loinc.org|LP29684-5")]),
        ("DiagnosticReport", [("patient", patient), ("code", f"{code['system']}|{code['code']}")]),
        ("DiagnosticReport", [("patient", patient), ("status", report["status"])]),
        ("DiagnosticReport", [("patient", patient), ("category", "LP29684-5"), ("date", "ge2020")]),
        (
            "Appointment",
            [("patient", f"Patient/{patient}"), ("date", "ge2020"), ("date", "le2100")],
        ),
    ]
    kinds = {(t, n): k for t, n, k in PARAMETERS}
    for resource_type, pairs in asked:
        right = ids_of(
            one
            for one in scan[resource_type]
            if all(
                oracle.matches(one, name, kinds[(resource_type, name)], value, zone)
                for name, value in pairs
            )
        )
        assert right, pairs
        assert sorted(api.ids(resource_type, [*pairs, *ALL], "backend")) == right, pairs


def test_ids_and_last_updated(api: Api, scan: Scan, zone: ZoneInfo) -> None:
    chosen = [one["id"] for one in scan["Appointment"][::40]]
    sent = ",".join([*chosen, "nobody", chosen[0]])
    assert api.ids("Appointment", [("_id", sent), *ALL], "backend") == sorted(set(chosen))
    assert api.ids("Appointment", [("_id", chosen[0]), ("_id", chosen[1])], "backend") == []
    instants = sorted({one["meta"]["lastUpdated"] for one in scan["Appointment"]})
    for instant in (instants[0], instants[len(instants) // 2], instants[-1]):
        for prefix in ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"):
            wanted = oracle.span(instant, zone)
            right = ids_of(
                one
                for one in scan["Appointment"]
                if oracle.date_matches(
                    oracle.span(one["meta"]["lastUpdated"], zone), prefix, wanted
                )
            )
            params = [("_lastUpdated", f"{prefix}{instant}"), *ALL]
            assert api.ids("Appointment", params, "backend") == right, f"{prefix}{instant}"


def test_approximately_now_finds_today_and_not_the_far_past(api: Api, scan: Scan) -> None:
    dated = [one for one in scan["Appointment"] if "start" in one]
    chosen = dated[len(dated) // 2]
    found = api.ids("Appointment", [("date", f"ap{chosen['start'][:10]}"), *ALL], "backend")
    assert chosen["id"] in found
    assert api.ids("Appointment", [("date", "ap1950"), *ALL], "backend") == []


@pytest.mark.parametrize(
    ("sent", "rule"),
    [
        ("\\,", "escaped comma"),
        ("a\\,b", "escaped comma inside"),
        ("a\\|b", "escaped bar"),
        ("a\\\\b", "escaped backslash"),
        ("a\\$b", "escaped dollar"),
        ("%", "percent is no wildcard"),
        ("_", "underscore is no wildcard"),
        ("'", "quote"),
        ("' OR 1=1 --", "injection"),
        ("ß", "folded to ss"),
        ("\u0130", "dotted capital i"),
        ("\U0001f600", "outside the basic plane"),
        ("\u200b", "zero width"),
        ("\\", "a lone backslash"),
    ],
)
def test_odd_strings_are_text_and_nothing_more(
    api: Api, scan: Scan, zone: ZoneInfo, sent: str, rule: str
) -> None:
    plain = re.sub(r"\\([\\,|$])", r"\1", sent)
    right = ids_of(
        one
        for one in scan["Patient"]
        if oracle.matches(one, "name", "string", plain, zone, "contains")
    )
    assert api.ids("Patient", [("name:contains", sent), *ALL], "backend") == right, rule


# --- POST


POSTS = [
    ("all in the body", "", "status=booked&_count=1000"),
    ("all in the URL", "status=booked&_count=1000", ""),
    ("both", "_count=1000", "status=booked"),
    ("AND over both", "status=booked&_count=1000", "status=booked"),
    ("format in the URL", "_format=json", "status=booked&_count=1000"),
    ("format in the body", "", "_format=application%2Ffhir%2Bjson&status=booked&_count=1000"),
]


@pytest.mark.parametrize(("url", "body"), [one[1:] for one in POSTS], ids=[one[0] for one in POSTS])
def test_post_search_finds_what_get_finds(api: Api, url: str, body: str) -> None:
    right = api.ids("Appointment", "status=booked&_count=1000")
    answer = api.call("POST", "/Appointment/_search", params=url, headers=FORM, body=body)
    assert answer.status_code == 200, answer.text
    assert [one["id"] for one in entries(answer.json())] == right


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/json"}, "{}", 415),
        ({"Content-Type": "application/fhir+json"}, "{}", 415),
        ({"Content-Type": "text/plain"}, "status=booked", 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, "--x--", 415),
        (
            {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
            "status=booked",
            200,
        ),
        ({"Content-Type": "APPLICATION/X-WWW-FORM-URLENCODED"}, "status=booked", 200),
        (FORM, "", 200),
        (FORM, "nonsense=1", 400),
        (FORM, "status", 400),
        (FORM, "date=%ff", 400),
        (FORM, "_cursor=abc", 400),
        ({**FORM, "Connection": "close"}, "a=" + "b" * (1 << 20), 413),
    ],
)
def test_post_search_bodies(api: Api, headers: dict[str, str], body: str, status: int) -> None:
    answer = api.call("POST", "/Appointment/_search", headers=headers, body=body)
    if status == 200:
        assert answer.status_code == 200, answer.text
    else:
        issue(answer, status)


def test_no_link_after_a_post_carries_a_value(api: Api) -> None:
    family = api.get(f"/Patient/{api.contract['patient_id']}").json()["name"][0]["family"]
    body = urlencode({"name": family[:1], "_count": "1"})
    answer = api.call("POST", "/Patient/_search", headers=FORM, body=body)
    bundle = answer.json()
    for page in api.pages(bundle):
        for one in page["link"]:
            names = {name for name, _ in parse_qsl(urlsplit(one["url"]).query)}
            assert names <= {"_cursor", "_format", "_pretty"}
    right = api.ids("Patient", [("name", family[:1]), *ALL])
    assert [one["id"] for page in api.pages(bundle) for one in entries(page)] == right
    again = api.get(str(link(bundle, "self"))).json()
    assert [one["id"] for one in entries(again)] == [one["id"] for one in entries(bundle)]


# --- result parameters and links


@pytest.mark.parametrize(
    ("params", "count", "shown"),
    [
        ("", 50, {}),
        ("_count=1", 1, {"_count": "1"}),
        ("_count=7", 7, {"_count": "7"}),
        ("_count=1001", 1000, {"_count": "1000"}),
        ("_count=0", 0, {"_count": "0"}),
        ("_summary=count", 0, {"_summary": "count"}),
    ],
)
def test_count_is_honoured_and_shown(
    api: Api, params: str, count: int, shown: dict[str, str]
) -> None:
    whole = api.ids("Appointment", ALL)
    bundle = api.search("Appointment", params)
    assert bundle["total"] == len(whole)
    assert [one["id"] for one in entries(bundle)] == whole[:count]
    assert dict(parse_qsl(urlsplit(str(link(bundle, "self"))).query)) == shown
    assert (link(bundle, "next") is not None) == (0 < count < len(whole))


REFUSED = [
    "_count=-1",
    "_count=abc",
    "_count=1.5",
    "_count=",
    "_count=5&_count=6",
    "_total=x",
    "_summary=x",
    "_summary=true&_elements=status",
    "_elements=Appointment.status",
    "_elements=",
    "_sort=",
    "_sort=-",
    "_sort=+date",
    "_sort=nonsense",
    "_sort=date,nonsense",
    "_sort=date,,status",
    "_sort=date&_sort=status",
    "_sort=date,status,_id,identifier,patient,location",
    "_sort:asc=date",
    "_include=Appointment",
    "_include=Appointment:nope",
    "_include=Appointment:status",
    "_include=Appointment:*:Patient",
    "_include=Appointment:patient:",
    "_include=Patient:organization",
    "_include=Appointment:patient:Practitioner",
    "_include:iterate=Appointment:nope",
    "_include:sometimes=Appointment:patient",
    "_revinclude=Observation:subject",
    "_revinclude=Foo:bar",
    "_revinclude=Patient:organization",
    "_revinclude=Provenance",
    "_has:DiagnosticReport:patient:status=final",
    "_has:Provenance:target:nope=x",
    "_has:Provenance:nope:recorded=2020",
    "_has:Provenance:recorded:recorded=2020",
    "_has:Provenance:target=x",
    "_has:Provenance=x",
    "_has:Nothing:target:recorded=2020",
    "_has=x",
    "patient.name=",
    "patient.nope=x",
    "patient.=x",
    ".name=x",
    "status.name=x",
    "patient:Location.name=x",
    "patient:Nothing.name=x",
    "patient.gender:text=x",
    "patient.birthdate=yesterday",
    "patient.organization.partof.name=x",
    "patient._has:Appointment:patient:location.name=x",
    "_text=x",
    "_content=x",
    "_filter=x",
    "_query=x",
    "_since=2026",
    "_type=Appointment",
    "_contained=true",
    "nonsense=1",
    "Status=booked",
    "=booked",
    "status",
    "status=",
    "status:exact=booked",
    "status:in=x",
    "status:text=x",
    "status:nonsense=x",
    "status:not=",
    "status=,booked",
    "status=booked,",
    "status=|",
    "status=a|b|c",
    "status:missing=yes",
    "status:missing=",
    "date=yesterday",
    "date=2026-13",
    "date=2026-02-30",
    "date=2026-1-1",
    "date=26",
    "date=20261121",
    "date=zz2026",
    "date=ge",
    "date=2026-11-21T25:00",
    "date=2026-11-21T10",
    "date=2026-11-21T10:00:00%2B25:00",
    "date=2026,",
    "date:exact=2026",
    "date:contains=2026",
    "patient:identifier=a|b|c",
    "date:text=2026",
    "date:identifier=2026",
    "patient:nonsense=x",
    "patient=urn:uuid:8b1c",
    "patient=%23contained",
    "patient=Nobody/1",
    "patient=Patient/",
    "patient=a%20b",
    "patient=Patient/a%20b",
    "_id:exact=x",
    "_lastUpdated=soon",
    "_pretty=maybe",
    "status=%00",
    "status=%ff",
    "status=%0a",
    "&".join(f"status=x{number}" for number in range(300)),
    "status=" + ",".join("x" * 3 for _ in range(1001)),
    "_cursor=",
    "_cursor=abc",
    "_cursor=AAAA%00",
    "_cursor=" + "A" * 6000,
]


@pytest.mark.parametrize("query", REFUSED, ids=[one[:40] for one in REFUSED])
def test_what_is_not_understood_is_refused_with_its_name(api: Api, query: str) -> None:
    found = issue(api.get("/Appointment", params=query), 400)
    assert found["code"] in ("invalid", "not-supported", "value", "structure", "required")
    value = query.partition("=")[2]
    if len(value) > 3 and query.startswith(("status=", "date=", "patient=")):
        assert value not in found["details"]["text"]


LENIENT_CASES = [
    ("nonsense=1", "nonsense"),
    ("_has:DiagnosticReport:patient:status=final", "_has:DiagnosticReport:patient:status"),
    ("patient.nope=x", "patient.nope"),
    ("status.name=x", "status.name"),
    ("_sort=nope", "_sort"),
    ("_include:iterate=Appointment:nope", "_include:iterate"),
    ("_revinclude=Provenance:nope", "_revinclude"),
    ("_include=Appointment:nope", "_include"),
    ("_contained=true", "_contained"),
]


@pytest.mark.parametrize(("query", "name"), LENIENT_CASES)
def test_lenient_handling_leaves_out_and_says_so(api: Api, query: str, name: str) -> None:
    right = api.ids("Appointment", "status=booked&_count=1000")
    url = f"/Appointment?status=booked&_count=1000&{query}"
    answer = api.get(url, headers=LENIENT)
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert [one["id"] for one in entries(bundle)] == right
    outcomes = entries(bundle, "outcome")
    assert [one["resourceType"] for one in outcomes] == ["OperationOutcome"]
    assert [one["expression"] for one in outcomes[0]["issue"]] == [[name]]
    assert outcomes[0]["issue"][0]["severity"] == "warning"
    shown = {key for key, _ in parse_qsl(urlsplit(str(link(bundle, "self"))).query)}
    assert shown == {"status", "_count"}
    issue(api.get(url, headers={"Prefer": "handling=strict"}), 400)
    issue(api.get(url), 400)


@pytest.mark.parametrize(
    "query", ["status:text=x", "date=yesterday", "status=", "_count=abc", "status:missing=yes"]
)
def test_lenient_handling_forgives_no_bad_value(api: Api, query: str) -> None:
    issue(api.get("/Appointment", params=query, headers=LENIENT), 400)


@pytest.mark.parametrize(
    ("prefer", "status"),
    [
        ("handling=lenient", 200),
        ('handling="lenient"', 200),
        ("return=representation, handling=lenient", 200),
        ("return=minimal; handling=lenient", 200),
        ("HANDLING=LENIENT", 200),
        ("handling=strict", 400),
        ("lenient", 400),
        ("xhandling=lenient", 400),
        ("handling=lenientish", 400),
        ("", 400),
    ],
)
def test_how_lenient_may_be_spelled(api: Api, prefer: str, status: int) -> None:
    answer = api.get("/Patient", params="nonsense=1", headers={"Prefer": prefer})
    assert answer.status_code == status


def test_self_links_say_what_was_applied(api: Api) -> None:
    params = [("status", "booked,arrived"), ("date", "ge2020-01-01"), ("_count", "3")]
    bundle = api.search("Appointment", params)
    own = str(link(bundle, "self"))
    assert own.startswith(f"{api.base}/Appointment?")
    assert parse_qsl(urlsplit(own).query) == params
    assert not re.search(r'[|<>"{}\\^` ]', own)
    assert api.get(own).json()["entry"] == bundle["entry"]


def test_totals(api: Api) -> None:
    whole = len(api.ids("Appointment", ALL))
    assert "total" not in api.search("Appointment", "_total=none")
    for mode in ("accurate", "estimate"):
        assert api.search("Appointment", f"_total={mode}&_count=2")["total"] == whole
    second = list(api.pages(api.search("Appointment", "_count=100")))[1]
    assert second["total"] == whole


def test_elements_and_summaries(api: Api) -> None:
    whole = {one["id"]: one for one in entries(api.search("Appointment", ALL))}
    for one in entries(api.search("Appointment", "_elements=start,description&_count=20")):
        kept = set(one) - {"resourceType", "id", "meta"}
        assert kept <= {"start", "_start", "description", "status", "participant"}
        assert {"status", "participant"} <= kept
        assert any(tag["code"] == "SUBSETTED" for tag in one["meta"]["tag"])
        assert one.get("start") == whole[one["id"]].get("start")
    for one in entries(api.search("Appointment", "_summary=text&_count=5")):
        assert {"status", "participant"} <= set(one)
        assert "description" not in one
    for one in entries(api.search("Appointment", "_summary=false&_count=5")):
        assert one == whole[one["id"]]
    summarised = entries(api.search("Appointment", "_summary=true&_count=5"))
    assert all(
        {"resourceType", "id", "meta", "status", "start"} - set(one) <= {"start"}
        for one in summarised
    )


# --- paging


@pytest.mark.parametrize("count", [1, 7, 50, 333])
def test_a_walk_gives_everything_once_in_one_order(api: Api, count: int) -> None:
    whole = api.ids("Patient" if count == 1 else "Appointment", ALL)
    bundle = api.search("Patient" if count == 1 else "Appointment", f"_count={count}")
    walked = [one["id"] for page in api.pages(bundle) for one in entries(page)]
    assert walked == whole


def test_next_links_are_opaque_absolute_and_repeatable(api: Api) -> None:
    bundle = api.search("Appointment", "status=booked&_count=2")
    following = str(link(bundle, "next"))
    assert following.startswith(f"{api.base}/Appointment?_cursor=")
    assert "booked" not in following
    first, again = api.get(following), api.get(following)
    assert first.json()["entry"] == again.json()["entry"]
    own = str(link(first.json(), "self"))
    assert entries(api.get(own).json()) == entries(first.json())


def test_included_resources_come_with_every_page(api: Api) -> None:
    first = api.search("Appointment", "_count=20&_include=Appointment:patient")
    pages = list(api.pages(first))[:3]
    for page in pages:
        wanted = {
            actor["reference"]
            for one in entries(page)
            for actor in (p["actor"] for p in one["participant"])
            if actor.get("reference", "").startswith("Patient/")
        }
        got = [f"Patient/{one['id']}" for one in entries(page, "include")]
        assert set(got) == wanted
        assert len(got) == len(set(got))


def cursor_of(api: Api, who: str = "practitioner", query: str = "_count=2") -> str:
    following = str(link(api.search("Appointment", query, who), "next"))
    return dict(parse_qsl(urlsplit(following).query))["_cursor"]


@pytest.mark.parametrize(
    ("path", "who", "extra"),
    [
        ("/Patient", "practitioner", ""),
        ("/DiagnosticReport", "practitioner", ""),
        ("/Appointment", "backend", ""),
        ("/Appointment", "patient", ""),
        ("/Appointment", "practitioner", "&status=booked"),
        ("/Appointment", "practitioner", "&_count=5"),
        ("/Appointment", "practitioner", "&_include=Appointment:patient"),
    ],
)
def test_a_cursor_is_good_for_its_own_search_only(
    api: Api, path: str, who: str, extra: str
) -> None:
    cursor = cursor_of(api)
    issue(api.get(path, who, params=f"_cursor={cursor}{extra}"), 400)


def test_a_changed_cursor_is_refused(api: Api) -> None:
    cursor = cursor_of(api)
    for place in range(0, len(cursor), max(1, len(cursor) // 12)):
        other = "A" if cursor[place] != "A" else "B"
        changed = cursor[:place] + other + cursor[place + 1 :]
        issue(api.get("/Appointment", params=f"_cursor={changed}"), 400)
    issue(api.get("/Appointment", params=f"_cursor={cursor}&_cursor={cursor}"), 400)
    issue(api.get("/Appointment", params=f"_cursor={cursor[:-4]}"), 400)
    issue(api.get("/Appointment", None, params=f"_cursor={cursor}"), 401)
    good = api.get("/Appointment", params=f"_cursor={cursor}&_format=json&_pretty=true")
    assert good.status_code == 200
    assert b"\n" in good.content


def test_a_cursor_works_in_a_post_body_too(api: Api) -> None:
    cursor = cursor_of(api)
    by_get = api.get("/Appointment", params=f"_cursor={cursor}").json()
    by_post = api.call(
        "POST", "/Appointment/_search", headers=FORM, body=f"_cursor={quote(cursor)}"
    )
    assert by_post.json()["entry"] == by_get["entry"]


# --- includes


def test_includes_are_what_the_matches_name(api: Api, scan: Scan) -> None:
    everything = {f"{one['resourceType']}/{one['id']}" for of in scan.values() for one in of}
    for include, targets in (
        ("Appointment:patient", {"Patient"}),
        ("Appointment:location", {"Location"}),
        ("Appointment:actor", {"Patient", "Location", "Practitioner"}),
        ("Appointment:actor:Location", {"Location"}),
    ):
        bundle = api.search("Appointment", [("_include", include), ("_count", "100")], "backend")
        named = {
            text
            for one in entries(bundle)
            for text in oracle.references(one, "actor")
            if text.partition("/")[0] in targets
        }
        got = [f"{one['resourceType']}/{one['id']}" for one in entries(bundle, "include")]
        assert sorted(got) == sorted(named & everything), include
        assert bundle["total"] == len(scan["Appointment"])


def test_provenance_comes_with_its_targets(api: Api, scan: Scan) -> None:
    for name in ("Patient", "Appointment", "DiagnosticReport", "Practitioner", "Location"):
        params = [("_revinclude", "Provenance:target"), ("_count", "30")]
        bundle = api.search(name, params, "backend")
        wanted = {f"{name}/{one['id']}" for one in entries(bundle)}
        right = {
            one["id"] for one in scan["Provenance"] if oracle.references(one, "target") & wanted
        }
        assert {one["id"] for one in entries(bundle, "include")} == right, name
        assert len(right) >= len(wanted)


def test_several_includes_together_give_each_resource_once(api: Api) -> None:
    params = [
        ("patient", api.contract["patient_id"]),
        ("_include", "Appointment:patient"),
        ("_include", "Appointment:actor"),
        ("_include", "Appointment:location"),
        ("_revinclude", "Provenance:target"),
        ("_revinclude", "Provenance:target"),
    ]
    bundle = api.search("Appointment", params)
    urls = [one["fullUrl"] for one in bundle["entry"]]
    assert len(urls) == len(set(urls))
    assert {one["resourceType"] for one in entries(bundle, "include")} == {
        "Patient",
        "Location",
        "Provenance",
    }
    assert all(url.startswith(f"{api.base}/") for url in urls)
