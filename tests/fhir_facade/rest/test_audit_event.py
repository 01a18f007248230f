"""AuditEvents over HTTP: operators only, valid, paged newest first, audited themselves."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_facade.fhir.validation import deep_check, fast_check
from fhir_facade.policy import admits_every_row, compile_reach
from fhir_facade.resources.registry import REGISTRY
from smart_auth.verify import VerifiedToken
from tests.support.rest_app import RestApp, base_of
from tests.support.soak import examples
from tests.support.tokens import backend_token, user_token

ADMIN = user_token("user/AuditEvent.rs user/Patient.rs", role="admin")
WHOLE = backend_token("system/AuditEvent.rs", whole_tenant=True)
DOCTOR = user_token("user/*.rs")
NOBODY_ELSE = {
    "a practitioner": user_token("user/AuditEvent.rs user/*.rs"),
    "a patient": user_token(
        "patient/*.rs patient/AuditEvent.rs user/AuditEvent.rs",
        patient="p1",
        role="patient",
        fhir_user="Patient/p1",
        whole_tenant=False,
        patients=["p1"],
    ),
    "a developer": user_token("user/AuditEvent.rs", role="developer"),
    "an administrator's patient scope": user_token(
        "patient/AuditEvent.rs patient/*.rs", patient="p1", role="admin"
    ),
    "an administrator's app that is kept to patients": user_token(
        "user/AuditEvent.rs", role="admin", app_patients=["p1"]
    ),
    "an administrator without the scope": user_token("user/Patient.rs", role="admin"),
    "a backend of groups": backend_token("system/AuditEvent.rs system/*.rs", groups=["g"]),
    "a backend with a person's scope": backend_token("user/AuditEvent.rs", whole_tenant=True),
}

SCOPES = [
    f"{level}/{name}.{letters}"
    for level in ("patient", "user", "system")
    for name in ("*", "AuditEvent", "Patient")
    for letters in ("rs", "r", "s", "cruds")
]


def search(rest: RestApp, query: str = "", token: VerifiedToken = ADMIN) -> dict[str, Any]:
    rest.audit.close()  # writes what is queued
    answer = rest.get(f"/AuditEvent{query}", token)
    assert answer.status_code == 200, answer.data
    found: dict[str, Any] = json.loads(answer.data)
    return found


def events(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle.get("entry", ())]


@pytest.mark.parametrize("who", NOBODY_ELSE)
def test_nobody_but_operators_sees_one(rest: RestApp, who: str) -> None:
    rest.get("/Patient/p1", DOCTOR)
    one = events(search(rest))[0]["id"]
    token = NOBODY_ELSE[who]
    for path in (
        "/AuditEvent",
        f"/AuditEvent/{one}",
        f"/AuditEvent/{one}/_history",
        f"/AuditEvent/{one}/_history/1",
        "/AuditEvent?_summary=count",
    ):
        assert rest.get(path, token).status_code == 403, path
    form = {"data": {"_count": "1"}}
    assert rest.request("POST", "/AuditEvent/_search", token, **form).status_code == 403
    assert rest.get("/AuditEvent").status_code == 401


@pytest.mark.parametrize("token", [ADMIN, WHOLE, user_token("user/*.rs", role="admin")])
def test_operators_do(rest: RestApp, token: VerifiedToken) -> None:
    rest.get("/Patient/p1", DOCTOR)
    assert search(rest, token=token)["total"] == 1


@settings(max_examples=examples(100), deadline=None)
@given(
    role=st.sampled_from(["practitioner", "patient", "developer", "admin"]),
    scope=st.lists(st.sampled_from(SCOPES), max_size=5).map(" ".join),
    backend=st.booleans(),
    whole_tenant=st.booleans(),
    app_patients=st.sampled_from([None, (), ("p1",)]),
)
def test_no_other_principal_ever_reaches_one(
    role: Any, scope: str, backend: bool, whole_tenant: bool, app_patients: Any
) -> None:
    if backend:
        token = backend_token(scope, whole_tenant=whole_tenant, groups=["g"])
        level, operator = "system", whole_tenant
    else:
        token = user_token(
            scope,
            role=role,
            whole_tenant=whole_tenant,
            patient="p1",
            patients=["p1"],
            app_patients=app_patients,
        )
        level, operator = "user", role == "admin" and app_patients is None
    reach = compile_reach(token, REGISTRY)
    for letter in ("r", "s"):
        named = any(
            word in scope.split()
            for name in ("*", "AuditEvent")
            for letters in ("rs", "cruds", letter)
            for word in (f"{level}/{name}.{letters}",)
        )
        assert reach.allows_type("AuditEvent", letter) == (operator and named)  # type: ignore[arg-type]
        assert not admits_every_row(reach, "AuditEvent", letter)  # type: ignore[arg-type]


def test_an_event_is_valid_and_read_like_any_resource(rest: RestApp) -> None:
    rest.get("/Patient?name=Family2&_count=5", DOCTOR, headers={"X-Correlation-Id": "corr-123456"})
    (event,) = events(search(rest, "?correlation-id=corr-123456"))
    assert fast_check(event) == []
    assert deep_check(event) == []
    assert event["action"] == "E"
    assert event["outcome"] == "0"
    assert [agent["altId"] for agent in event["agent"]] == ["u1", "app"]
    assert event["agent"][0]["who"]["reference"] == "Practitioner/d1"
    assert {"reference": "Patient/p2"} in [entity.get("what") for entity in event["entity"]]
    assert "Family2" not in json.dumps(event)
    query = next(entity for entity in event["entity"] if "query" in entity)
    assert query["query"] == "UGF0aWVudD9uYW1lJl9jb3VudA=="  # Patient?name&_count
    answer = rest.get(f"/AuditEvent/{event['id']}", ADMIN)
    assert answer.json == event
    assert answer.headers["ETag"] == 'W/"1"'
    assert rest.get(f"/AuditEvent/{event['id']}/_history/1", ADMIN).json == event
    history = rest.get(f"/AuditEvent/{event['id']}/_history", ADMIN).json
    assert history is not None
    assert [entry["resource"] for entry in history["entry"]] == [event]
    part = rest.get(f"/AuditEvent/{event['id']}?_elements=outcome", ADMIN).json
    assert part is not None
    assert "entity" not in part
    bundle = search(rest, "?_count=1")
    assert deep_check(bundle) == []


@pytest.mark.parametrize("other", ["nope", "0", "1", "ffffffffffffffffff", "A1"])
def test_an_id_of_no_event_is_not_found(calm: RestApp, other: str) -> None:
    assert calm.get(f"/AuditEvent/{other}", ADMIN).status_code == 404


def test_events_of_another_tenant_are_not_there(rest: RestApp) -> None:
    rest.get("/Patient/p1", DOCTOR)
    one = events(search(rest))[0]["id"]
    theirs = user_token("user/AuditEvent.rs", role="admin", tenant="globex")
    rest.audit.close()
    assert rest.get(f"/AuditEvent/{one}", theirs, tenant="globex").status_code == 404
    found = rest.get("/AuditEvent", theirs, tenant="globex").json
    assert found is not None
    own = [entry["resource"]["id"] for entry in found.get("entry", ())]
    assert one not in own


def test_pages_newest_first_by_sealed_links(rest: RestApp) -> None:
    for number in range(7):
        rest.get(f"/Patient/p{number % 5 + 1}", DOCTOR)
    page = search(rest, "?subtype=read&type=rest&_count=3")
    links = {link["relation"]: link["url"] for link in page["link"]}
    assert "_sort=-date" in links["self"]
    assert page["total"] == 7
    seen = events(page)
    while "next" in links:
        assert "subtype" not in links["next"]
        page = json.loads(rest.get(links["next"].removeprefix(base_of("acme")), ADMIN).data)
        assert page["total"] == 7
        seen += events(page)
        links = {link["relation"]: link["url"] for link in page["link"]}
    recorded = [event["recorded"] for event in seen]
    assert len({event["id"] for event in seen}) == 7
    assert recorded == sorted(recorded, reverse=True)
    backwards = events(search(rest, "?subtype=read&type=rest&_sort=date"))
    assert [event["id"] for event in backwards] == [event["id"] for event in seen][::-1]
    path = urlsplit(links["self"]).query
    assert rest.get(f"/AuditEvent?{path}", WHOLE).status_code == 400  # another's link


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?_summary=count", 200),
        ("?_count=0", 200),
        ("?_total=none", 200),
        ("?_total=accurate", 200),
        ("?_sort=altid", 400),
        ("?_sort=date,_id", 400),
        ("?colour=red", 400),
        ("?date=yesterday", 400),
        ("?patient.name=x", 400),
        ("?agent:identifier=x", 400),
        ("?_include=AuditEvent:patient", 400),
        ("/_history", 400),
    ],
)
def test_result_parameters_and_errors_are_those_of_any_type(
    calm: RestApp, query: str, status: int
) -> None:
    assert calm.get(f"/AuditEvent{query}", ADMIN).status_code == status


def test_totals(rest: RestApp) -> None:
    for _ in range(3):
        rest.get("/Patient/p1", DOCTOR)
    rest.audit.close()
    query = "?patient=p1&_count=2"
    assert search(rest, query)["total"] == 3
    assert "total" not in search(rest, f"{query}&_total=none")
    counted = search(rest, "?patient=p1&_summary=count")
    assert counted["total"] == 3
    assert "entry" not in counted


def test_search_by_post_shows_no_value(rest: RestApp) -> None:
    rest.get("/Patient/p1", DOCTOR)
    rest.audit.close()
    answer = rest.request("POST", "/AuditEvent/_search", ADMIN, data={"patient": "p1"})
    assert answer.json is not None
    assert answer.json["total"] == 1
    assert "patient=" not in json.dumps(answer.json["link"])


def test_looking_at_the_trail_is_in_the_trail(rest: RestApp) -> None:
    rest.get("/Patient/p1", DOCTOR)
    one = events(search(rest, "?patient=p1"))[0]["id"]
    rest.get(f"/AuditEvent/{one}", ADMIN)
    (looked,) = events(search(rest, "?entity=AuditEvent/" + one))
    assert looked["agent"][0]["altId"] == "u1"
    rows = [row for row in rest.audited() if row["type"] == "AuditEvent"]
    assert {(row["interaction"], row["resource_id"], row["query"]) for row in rows} == {
        ("search-type", None, "patient\n_sort"),
        ("search-type", None, "entity\n_sort"),
        ("read", one, None),
    }
    assert {row["patients"] for row in rows} == {""}


def test_other_searches_do_not_lead_to_events(rest: RestApp) -> None:
    rest.get("/Patient/p1", DOCTOR)
    rest.audit.close()
    wide = user_token("user/*.rs", role="admin")
    answer = rest.get("/Patient?_revinclude=AuditEvent:patient", wide)
    assert answer.status_code == 400
    assert rest.get("/Patient?_has:AuditEvent:patient:action=R", wide).status_code == 400
    every = rest.get("?_type=Patient,AuditEvent", wide)
    assert every.status_code == 400
    plain = rest.get("/Patient/p1/$everything", wide)
    assert b"AuditEvent" not in plain.data


def test_an_event_can_be_about_a_resource_of_any_served_type() -> None:
    entity = REGISTRY["AuditEvent"].parameter("entity")
    assert entity is not None
    assert set(entity.targets) == set(REGISTRY)
