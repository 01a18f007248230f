"""history of an instance: newest first, in pages, within reach."""

from __future__ import annotations

from typing import Any

from fhir_facade.fhir.validation import deep_check
from smart_auth.verify import VerifiedToken
from tests.support.published import appointment, location, patient, publish
from tests.support.rest_app import RestApp, base_of
from tests.support.tokens import user_token

DOCTOR = user_token("user/*.rs")


def history(rest: RestApp, path: str) -> dict[str, Any]:
    answer = rest.get(path, DOCTOR)
    assert answer.status_code == 200, answer.data
    found = answer.json
    assert found is not None
    assert found["type"] == "history"
    assert deep_check(found) == []
    return found


def tags(found: dict[str, Any]) -> list[str]:
    return [entry["response"]["etag"] for entry in found["entry"]]


def test_lists_versions_newest_first_in_pages(rest: RestApp) -> None:
    for number in range(4):
        publish(rest.database, patient(1, family=f"Name{number}"))
    asked = "/Patient/p1/_history?_count=2&_since=2020-01-01T00:00:00%2B10:00"
    found = history(rest, asked)
    assert tags(found) == ['W/"5"', 'W/"4"']
    links = {link["relation"]: link["url"] for link in found["link"]}
    assert links["self"] == f"{base_of('acme')}{asked}"
    following = links["next"]
    publish(rest.database, patient(1, family="Later"))
    second = history(rest, following.removeprefix(base_of("acme")))
    assert tags(second) == ['W/"3"', 'W/"2"']
    (here,) = (link["url"] for link in second["link"] if link["relation"] == "self")
    assert tags(history(rest, here.removeprefix(base_of("acme")))) == ['W/"3"', 'W/"2"']


def test_shows_deletions_without_content(rest: RestApp) -> None:
    found = history(rest, "/Appointment/agone/_history")
    methods = [entry["request"]["method"] for entry in found["entry"]]
    assert methods == ["DELETE", "PUT"]
    assert "resource" not in found["entry"][0]


def test_shows_nothing_beyond_the_reach(rest: RestApp) -> None:
    publish(rest.database, appointment(1, of_patient=2))
    own = user_token("patient/*.rs", patient="p1")
    assert rest.get("/Appointment/a1/_history", own).status_code == 404
    other = user_token("patient/*.rs", patient="p2")
    answer = rest.get("/Appointment/a1/_history", other)
    assert answer.json is not None
    assert tags(answer.json) == ['W/"2"']


def test_versions_out_of_reach_end_no_page_early(rest: RestApp) -> None:
    """The appointment was the other patient's for longer than a page, and came back."""
    for status in ("booked", "arrived", "fulfilled", "noshow"):
        publish(rest.database, appointment(1, 2, status))
    publish(rest.database, appointment(1, 1, "cancelled"))
    own = user_token("patient/*.rs", patient="p1")
    url, found = "/Appointment/a1/_history?_count=1", []
    while url:
        answer = rest.get(url, own)
        assert answer.status_code == 200, answer.data
        assert answer.json is not None
        found += tags(answer.json)
        links = {link["relation"]: link["url"] for link in answer.json["link"]}
        url = links.get("next", "").removeprefix(base_of("acme"))
    assert found == ['W/"6"', 'W/"1"']


def test_refuses_what_it_does_not_know(rest: RestApp) -> None:
    assert rest.get("/Patient/nobody/_history", DOCTOR).status_code == 404
    for query in (
        "_count=0",
        "_count=x",
        "_since=then",
        "_at=2026-13",
        "_at=2026&_at=2027",
        "_cursor=x",
    ):
        assert rest.get(f"/Patient/p1/_history?{query}", DOCTOR).status_code == 400
    maps = rest.get("/ConceptMap", DOCTOR).json
    assert maps is not None
    one = maps["entry"][0]["resource"]["id"]
    assert tags(history(rest, f"/ConceptMap/{one}/_history")) == ['W/"1"']
    assert tags(history(rest, "/ConceptMap/_history?_since=2020")) != []
    assert "entry" not in history(rest, "/ConceptMap/_history?_since=2999")


def versions(found: dict[str, Any]) -> list[str]:
    return [
        entry["request"]["url"] + entry["response"]["etag"].strip("W/").replace('"', "/")
        for entry in found.get("entry", ())
    ]


def walk(rest: RestApp, path: str, token: VerifiedToken = DOCTOR) -> list[str]:
    """Every version, page after page."""
    found: list[str] = []
    while path:
        answer = rest.get(path, token)
        assert answer.status_code == 200, answer.data
        assert answer.json is not None
        found += versions(answer.json)
        links = {link["relation"]: link["url"] for link in answer.json["link"]}
        path = links.get("next", "").removeprefix(base_of("acme"))
    return found


def test_a_type_and_the_system_have_a_history_in_pages(rest: RestApp) -> None:
    publish(rest.database, patient(1, "Changed"), location("l1") | {"name": "Other"})
    publish(rest.database, patient(2, "Changed"))
    people = walk(rest, "/Patient/_history?_count=2")
    assert people[:2] == ["Patient/p2/2/", "Patient/p1/2/"]
    assert sorted(people[2:]) == [f"Patient/p{n}/1/" for n in range(1, 6)]
    first = history(rest, "/_history?_count=3")
    assert versions(first) == ["Patient/p2/2/", *versions(first)[1:]]
    everything = walk(rest, "/_history?_count=7")
    assert len(everything) == len(set(everything))
    assert {*people, "Location/l1/2/", "Location/l1/1/", "Appointment/agone/2/"} <= {*everything}
    assert everything == walk(rest, "/_history?_count=1000")


def test_a_page_link_keeps_to_its_revision(rest: RestApp) -> None:
    first = history(rest, "/Patient/_history?_count=2")
    following = {link["relation"]: link["url"] for link in first["link"]}["next"]
    publish(rest.database, *(patient(n, "Changed") for n in range(1, 9)))
    second = walk(rest, following.removeprefix(base_of("acme")))
    assert sorted(versions(first) + second) == [f"Patient/p{n}/1/" for n in range(1, 6)]


def test_since_and_at_name_the_versions_of_a_time(rest: RestApp) -> None:
    publish(rest.database, patient(1, "Second"))
    publish(rest.database, patient(1, "Third"))
    one = history(rest, "/Patient/p1/_history")
    times = [entry["response"]["lastModified"] for entry in one["entry"]]
    third, second, first = times
    assert walk(rest, f"/Patient/p1/_history?_since={second}") == ["Patient/p1/3/", "Patient/p1/2/"]
    assert walk(rest, f"/Patient/_history?_since={third}") == ["Patient/p1/3/"]
    assert walk(rest, f"/Patient/p1/_history?_at={second}") == ["Patient/p1/2/"]
    assert walk(rest, f"/Patient/p1/_history?_at={third}&_since={second}") == ["Patient/p1/3/"]
    assert walk(rest, "/_history?_since=2999-01-01T00:00:00Z") == []
    assert walk(rest, "/_history?_at=1999") == []
    assert "Patient/p1/3/" in walk(rest, "/Patient/_history?_at=2999")
    assert walk(rest, f"/Patient/p1/_history?_at={first}")[-1] == "Patient/p1/1/"


def test_a_type_history_stays_within_the_reach(rest: RestApp) -> None:
    publish(rest.database, patient(1, "Changed"), patient(2, "Changed"), appointment(1, 2))
    own = user_token("patient/*.rs", patient="p1")
    assert walk(rest, "/Patient/_history", own) == ["Patient/p1/2/", "Patient/p1/1/"]
    visits = walk(rest, "/Appointment/_history?_count=1", own)
    assert visits == ["Appointment/agone/2/", "Appointment/agone/1/", "Appointment/a6/1/"]
    seen = walk(rest, "/_history", own)
    assert {url.split("/")[0] for url in seen} <= {
        "Patient", "Appointment", "DiagnosticReport", "Location", "Organization", "Practitioner",
        "Provenance",
    }  # fmt: skip
    assert not [url for url in seen if url.startswith("Patient/p2")]
    searching = user_token("patient/Patient.s", patient="p1")
    assert rest.get("/Patient/_history", searching).status_code == 403
    assert walk(rest, "/_history", searching) == []
    ct = user_token(
        "user/DiagnosticReport.rs?category=http://terminology.hl7.org/CodeSystem/v2-0074|CT"
    )
    assert walk(rest, "/DiagnosticReport/_history", ct) == ["DiagnosticReport/r2/1/"]
