"""history of an instance: newest first, in pages, within reach."""

from __future__ import annotations

from typing import Any

from fhir_facade.fhir.validation import deep_check
from tests.support.published import appointment, patient, publish
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
    found = history(rest, "/Patient/p1/_history?_count=2")
    assert tags(found) == ['W/"5"', 'W/"4"']
    following = {link["relation"]: link["url"] for link in found["link"]}["next"]
    publish(rest.database, patient(1, family="Later"))
    second = history(rest, following.removeprefix(base_of("acme")))
    assert tags(second) == ['W/"3"', 'W/"2"']


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
    for query in ("_count=0", "_count=x", "_since=2026", "_cursor=x"):
        assert rest.get(f"/Patient/p1/_history?{query}", DOCTOR).status_code == 400
    maps = rest.get("/ConceptMap", DOCTOR).json
    assert maps is not None
    one = maps["entry"][0]["resource"]["id"]
    assert tags(history(rest, f"/ConceptMap/{one}/_history")) == ['W/"1"']
