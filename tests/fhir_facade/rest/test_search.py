"""search over HTTP: matches, pages, totals, includes, links, reach."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from werkzeug.test import TestResponse

from fhir_facade.fhir.validation import deep_check
from tests.support.published import appointment, patient, publish
from tests.support.rest_app import PUBLIC_URL, RestApp, base_of
from tests.support.tokens import backend_token, user_token

DOCTOR = user_token("user/*.rs")
PATIENT_1 = user_token("patient/*.rs", patient="p1", fhir_user="Patient/p1", whole_tenant=False)
FORM = "application/x-www-form-urlencoded"


def bundle(answer: TestResponse) -> dict[str, Any]:
    assert answer.status_code == 200, answer.data
    assert answer.json is not None
    assert answer.json["resourceType"] == "Bundle"
    assert answer.json["type"] == "searchset"
    return answer.json


def ids(found: dict[str, Any], mode: str = "match") -> list[str]:
    return [
        entry["resource"]["id"]
        for entry in found.get("entry", ())
        if entry["search"]["mode"] == mode
    ]


def links(found: dict[str, Any]) -> dict[str, str]:
    return {link["relation"]: link["url"] for link in found["link"]}


def local(url: str) -> str:
    assert url.startswith(base_of("acme") + "/")
    return url.removeprefix(base_of("acme"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/Patient", ["p1", "p2", "p3", "p4", "p5"]),
        ("/Patient?_id=p2,p4,nobody", ["p2", "p4"]),
        ("/Patient?name=family3", ["p3"]),
        ("/Patient?name=fam&gender=female", ["p1", "p2", "p3", "p4", "p5"]),
        ("/Patient?gender=male", []),
        ("/Patient?identifier=urn:test:patient|4", ["p4"]),
        ("/Patient?birthdate=1980", ["p1", "p2", "p3", "p4", "p5"]),
        ("/Patient?birthdate=1981", []),
        ("/Appointment?patient=p1", ["a1", "a6"]),
        ("/Appointment?patient=Patient/p1", ["a1", "a6"]),
        (f"/Appointment?patient={base_of('acme')}/Patient/p1", ["a1", "a6"]),
        ("/Appointment?patient=p1,p2&date=lt2026-11-05", ["a1", "a2"]),
        ("/Appointment?date=ge2026-11-09", ["a9", "a10"]),
        ("/Appointment?date=2026-11-03", ["a3"]),
        ("/Appointment?status:not=booked", []),
        ("/Appointment?location=l1&date=2026-11-03", ["a3"]),
        ("/DiagnosticReport?patient=p2", ["r2"]),
        ("/DiagnosticReport?category=RAD", ["r1"]),
        ("/Provenance?target=Appointment/a1", ["Appointment-a1"]),
        ("/Location?name=site", ["l1", "l2"]),
        ("/Location?_lastUpdated=gt2100", []),
    ],
)
def test_finds(calm: RestApp, path: str, expected: list[str]) -> None:
    found = bundle(calm.get(path, DOCTOR))
    assert ids(found) == expected
    assert found["total"] == len(expected)


def test_a_bundle_is_valid_and_absolute(calm: RestApp) -> None:
    found = bundle(calm.get("/Patient?name=family1&_count=1", DOCTOR))
    assert deep_check(found) == []
    assert found["entry"][0]["fullUrl"] == f"{PUBLIC_URL}/fhir/acme/Patient/p1"
    assert links(found)["self"] == f"{base_of('acme')}/Patient?name=family1&_count=1"
    empty = bundle(calm.get("/Patient?name=nobody", DOCTOR))
    assert "entry" not in empty
    assert deep_check(empty) == []


def test_pages_give_each_match_once_while_data_moves(rest: RestApp) -> None:
    seen: list[str] = []
    found = bundle(rest.get("/Appointment?_count=3&status=booked", DOCTOR))
    page = 0
    while True:
        seen += ids(found)
        assert found["total"] == 10
        if "next" not in links(found):
            break
        page += 1
        publish(rest.database, appointment(f"new{page}", of_patient=1), patient(1, f"F{page}"))
        publish(rest.database, appointment(10 - page, of_patient=1, status="noshow"))
        found = bundle(rest.get(local(links(found)["next"]), DOCTOR))
    assert seen == sorted(f"a{n}" for n in range(1, 11))
    assert page == 3


def test_a_page_link_shows_nothing_and_stands_alone(rest: RestApp) -> None:
    found = bundle(rest.get("/Patient?name=family&_count=2&_pretty=true", DOCTOR))
    following = links(found)["next"]
    assert set(parse_qs(urlsplit(following).query)) == {"_cursor", "_pretty"}
    assert "family" not in following.lower()
    second = rest.get(local(following), DOCTOR)
    assert second.data.startswith(b"{\n")
    assert ids(bundle(second)) == ["p3", "p4"]
    assert rest.get(local(following) + "&name=x", DOCTOR).status_code == 400


def test_a_page_link_is_bound_to_its_principal_and_time(rest: RestApp) -> None:
    with time_machine.travel("2026-11-21T00:00:00Z", tick=False) as clock:
        path = local(links(bundle(rest.get("/Patient?_count=2", DOCTOR)))["next"])
        other = user_token("user/Patient.rs")
        assert rest.get(path, other).status_code == 400
        assert rest.get(path.replace("Patient", "Appointment"), DOCTOR).status_code == 400
        globex = user_token("user/*.rs", tenant="globex")
        assert rest.get(path, globex, tenant="globex").status_code == 400
        assert rest.get("/Patient?_cursor=garbage", DOCTOR).status_code == 400
        clock.shift(3601)
        assert rest.get(path, DOCTOR).status_code == 410


def test_post_searches_like_get_and_puts_no_value_in_links(rest: RestApp) -> None:
    answer = rest.request(
        "POST", "/Patient/_search?_count=2", DOCTOR, data="name=family", content_type=FORM
    )
    found = bundle(answer)
    assert ids(found) == ["p1", "p2"]
    assert "family" not in str(found["link"]).lower()
    assert ids(bundle(rest.get(local(links(found)["next"]), DOCTOR))) == ["p3", "p4"]
    assert ids(bundle(rest.get(local(links(found)["self"]), DOCTOR))) == ["p1", "p2"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("name=family1", FORM, 200),
        ("name=family1", FORM + "; charset=UTF-8", 200),
        ("", None, 200),
        ("{}", "application/fhir+json", 415),
        ("name=family1", "text/plain", 415),
        ("name=family1", None, 415),
        ("name=%ff", FORM, 400),
        ("name=" + "x" * (1 << 20), FORM, 413),
    ],
)
def test_post_bodies(calm: RestApp, body: str, content_type: str | None, status: int) -> None:
    answer = calm.request("POST", "/Patient/_search", DOCTOR, data=body, content_type=content_type)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("query", "total", "entries"),
    [
        ("_count=2", 5, 2),
        ("_count=0", 5, 0),
        ("_summary=count", 5, 0),
        ("_count=2&_total=none", None, 2),
        ("_count=2&_total=accurate", 5, 2),
        ("_total=none&_count=0", 5, 0),
    ],
)
def test_totals(calm: RestApp, query: str, total: int | None, entries: int) -> None:
    found = bundle(calm.get(f"/Patient?{query}", DOCTOR))
    assert found.get("total") == total
    assert len(found.get("entry", ())) == entries


def test_includes_come_once_and_are_marked(calm: RestApp) -> None:
    found = bundle(
        calm.get(
            "/Appointment?patient=p1&_include=Appointment:patient&_include=Appointment:location"
            "&_revinclude=Provenance:target",
            DOCTOR,
        )
    )
    assert ids(found) == ["a1", "a6"]
    assert ids(found, "include") == ["p1", "l1", "Appointment-a1", "Appointment-a6"]
    assert found["total"] == 2
    people = bundle(calm.get("/Patient?_id=p1&_revinclude=Appointment:patient", DOCTOR))
    assert ids(people, "include") == ["a1", "a6"]


def test_includes_stay_within_the_scopes(rest: RestApp) -> None:
    path = "/Appointment?_include=Appointment:patient&_revinclude=Provenance:target"
    narrow = bundle(rest.get(path, user_token("user/Appointment.rs")))
    assert ids(narrow, "include") == []
    read_only = bundle(rest.get(path, user_token("user/Appointment.rs user/Patient.r")))
    assert ids(read_only, "include") == ["p1", "p2", "p3", "p4", "p5"]


def test_a_patients_token_finds_its_own_only(calm: RestApp) -> None:
    assert ids(bundle(calm.get("/Patient", PATIENT_1))) == ["p1"]
    assert ids(bundle(calm.get("/Appointment", PATIENT_1))) == ["a1", "a6"]
    assert ids(bundle(calm.get("/Appointment?patient=p1", PATIENT_1))) == ["a1", "a6"]
    assert bundle(calm.get("/Appointment?_summary=count", PATIENT_1))["total"] == 2
    assert ids(bundle(calm.get("/Location", PATIENT_1))) == ["l1", "l2"]
    for path in (
        "/Appointment?patient=p2",
        "/Appointment?patient=p1,p2",
        "/Appointment?actor=Patient/p2",
        "/DiagnosticReport?subject=p2",
        "/Patient?_id=p2",
    ):
        answer = calm.get(path, PATIENT_1)
        assert answer.status_code == 403, path
        assert answer.json is not None
        assert answer.json["issue"][0]["code"] == "forbidden"
    posted = calm.request(
        "POST", "/Appointment/_search", PATIENT_1, data="patient=p2", content_type=FORM
    )
    assert posted.status_code == 403


def test_an_assigned_user_finds_the_assigned(rest: RestApp) -> None:
    nurse = user_token("user/*.rs", whole_tenant=False, patients={"p2", "p3"})
    assert ids(bundle(rest.get("/Patient", nurse))) == ["p2", "p3"]
    assert ids(bundle(rest.get("/Patient?_id=p1", nurse))) == []


def test_a_backend_finds_its_group(rest: RestApp) -> None:
    backend = backend_token("system/*.rs", groups={"nobody"})
    assert ids(bundle(rest.get("/Patient", backend))) == []
    everything = backend_token("system/*.rs", whole_tenant=True)
    assert len(ids(bundle(rest.get("/Patient", everything)))) == 5


def test_split_letters_hold(rest: RestApp) -> None:
    assert rest.get("/Patient", user_token("user/Patient.r")).status_code == 403
    assert rest.get("/Patient/p1", user_token("user/Patient.s")).status_code == 403


def test_lenient_says_what_it_ignored(rest: RestApp) -> None:
    path = "/Patient?nickname=x&_id=p1"
    assert rest.get(path, DOCTOR).status_code == 400
    found = bundle(rest.get(path, DOCTOR, headers={"Prefer": "handling=lenient"}))
    assert ids(found) == ["p1"]
    (note,) = [e for e in found["entry"] if e["search"]["mode"] == "outcome"]
    assert note["resource"]["resourceType"] == "OperationOutcome"
    assert note["resource"]["issue"][0]["expression"] == ["nickname"]
    assert "nickname" not in links(found)["self"]
    assert deep_check(found) == []


def test_what_r4_has_and_no_type_here_is_refused_by_its_name(calm: RestApp) -> None:
    answer = calm.get('/Patient?_filter=name eq "x"', DOCTOR)
    assert answer.status_code == 400
    assert answer.json is not None
    (issue,) = answer.json["issue"]
    assert issue["details"]["text"] == "The search parameter '_filter' of R4 is not supported here."
    assert issue["expression"] == ["_filter"]
    assert '"x"' not in issue["diagnostics"]


def test_subsets_are_marked(rest: RestApp) -> None:
    found = bundle(rest.get("/Patient?_elements=birthDate&_id=p1", DOCTOR))
    resource = found["entry"][0]["resource"]
    assert set(resource) == {"resourceType", "id", "meta", "birthDate"}
    assert resource["meta"]["tag"][0]["code"] == "SUBSETTED"


def test_tenants_share_nothing(rest: RestApp) -> None:
    globex = user_token("user/*.rs", tenant="globex")
    assert ids(bundle(rest.get("/Patient", globex, tenant="globex"))) == []
    assert rest.get("/Patient/p1", globex, tenant="globex").status_code == 404
    assert rest.get("/Patient/p1", globex, tenant="acme").status_code == 401
