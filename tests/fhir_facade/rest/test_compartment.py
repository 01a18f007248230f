"""Searches in the compartment of one patient."""

from __future__ import annotations

import pytest

from smart_auth.verify import VerifiedToken
from tests.support.rest_app import RestApp, base_of
from tests.support.tokens import backend_token, user_token

DOCTOR = user_token("user/*.rs")
OWN = user_token("patient/*.rs", patient="p1")
OF_P1 = [
    "Appointment/a1",
    "Appointment/a6",
    "DiagnosticReport/r1",
    "Patient/p1",
    "Provenance/Appointment-a1",
    "Provenance/Appointment-a6",
]


def walk(rest: RestApp, path: str, token: VerifiedToken = DOCTOR) -> list[str]:
    """What is found on all pages."""
    found: list[str] = []
    while path:
        answer = rest.get(path, token)
        assert answer.status_code == 200, answer.data
        page = answer.json or {}
        found += [
            f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
            for entry in page.get("entry", ())
        ]
        links = {one["relation"]: one["url"] for one in page["link"]}
        path = links.get("next", "").removeprefix(base_of("acme"))
    return found


@pytest.mark.parametrize("token", [DOCTOR, OWN])
@pytest.mark.parametrize("size", [1, 2, 50])
def test_one_type_and_all(calm: RestApp, token: VerifiedToken, size: int) -> None:
    assert walk(calm, f"/Patient/p1/Appointment?_count={size}", token) == OF_P1[:2]
    assert walk(calm, f"/Patient/p1/Patient?_count={size}", token) == ["Patient/p1"]
    assert walk(calm, f"/Patient/p1/*?_count={size}", token) == OF_P1
    two = walk(calm, f"/Patient/p1/*?_type=DiagnosticReport,Patient&_count={size}", token)
    assert two == OF_P1[2:4]


def test_parameters_narrow_it_and_links_stay_in_it(calm: RestApp) -> None:
    assert walk(calm, "/Patient/p1/Appointment?_id=a6,a2") == ["Appointment/a6"]
    included = walk(calm, "/Patient/p1/Appointment?_id=a1&_include=Appointment:location")
    assert included == ["Appointment/a1", "Location/l1"]
    page = calm.get("/Patient/p1/Appointment?_count=1&status=booked,fulfilled", DOCTOR).json or {}
    links = {one["relation"]: one["url"] for one in page["link"]}
    here = f"{base_of('acme')}/Patient/p1/Appointment?"
    assert links["self"] == f"{here}_count=1&status=booked,fulfilled"
    assert links["next"].startswith(f"{here}_cursor=")
    elsewhere = links["next"].replace("/p1/", "/p2/").removeprefix(base_of("acme"))
    assert calm.get(elsewhere, DOCTOR).status_code == 400


@pytest.mark.parametrize(
    ("path", "found"),
    [("/Patient/p1/Appointment/_search", OF_P1[:2]), ("/Patient/p1/_search", OF_P1)],
)
def test_by_post(calm: RestApp, path: str, found: list[str]) -> None:
    answer = calm.request("POST", path, DOCTOR, data={"_lastUpdated": "gt2020"})
    page = answer.json or {}
    assert [
        entry["fullUrl"].removeprefix(f"{base_of('acme')}/") for entry in page["entry"]
    ] == found
    assert "2020" not in page["link"][0]["url"]


def test_a_patient_out_of_reach_is_as_one_that_is_not_there(calm: RestApp) -> None:
    group = backend_token("system/*.rs", groups=["nobody"])
    for path in ("/Patient/p2/Appointment", "/Patient/none/Appointment", "/Patient/p2/*"):
        assert walk(calm, path, group) == []
    for path in ("/Patient/p2/Appointment", "/Patient/none/Appointment"):
        assert calm.get(path, OWN).status_code == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/Patient/p1/Location", 404),
        ("/Patient/p1/Observation", 404),
        ("/Patient/p1/Nonsense", 404),
        ("/Patient/a%20b/Appointment", 404),
        ("/Patient/p1/*?_type=Location", 400),
        ("/Patient/p1/*?_type=Patient,Location", 400),
        ("/Patient/p1/Appointment?nickname=x", 400),
        ("/Location/l1/Appointment", 404),
    ],
)
def test_refuses(calm: RestApp, path: str, status: int) -> None:
    assert calm.get(path, DOCTOR).status_code == status


def test_scopes_decide(calm: RestApp) -> None:
    reports = user_token("user/DiagnosticReport.rs")
    assert walk(calm, "/Patient/p1/DiagnosticReport", reports) == ["DiagnosticReport/r1"]
    assert walk(calm, "/Patient/p1/*", reports) == ["DiagnosticReport/r1"]
    assert calm.get("/Patient/p1/Appointment", reports).status_code == 403
    assert calm.get("/Patient/p1/DiagnosticReport", user_token("user/*.r")).status_code == 403
    places = user_token("user/Location.rs")
    assert calm.get("/Patient/p1/*", places).status_code == 400
