"""Scopes: answered in the dialect asked for, and enforced as answered."""

from __future__ import annotations

import pytest

from tests.support.oauth_flow import OAuthFlow


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("patient/*.read", "patient/*.read"),
        ("patient/*.rs", "patient/*.rs"),
        ("patient/Patient.read patient/Appointment.rs", None),
        ("patient/Patient.r patient/Appointment.s", None),
        ("patient/Patient.r patient/Patient.s", None),
        ("patient/Patient.*", "patient/Patient.read"),
        ("patient/Patient.cruds", "patient/Patient.rs"),
        ("patient/Patient.rs patient/Nothing.rs nonsense", "patient/Patient.rs"),
        ("patient/DiagnosticReport.rs?category=LP29684-5", None),
        ("patient/DiagnosticReport.rs?category=http://loinc.org|LP29684-5", None),
        ("patient/Patient.rs patient/Patient.rs", "patient/Patient.rs"),
    ],
)
def test_scopes_are_answered_in_their_dialect(
    flow: OAuthFlow, asked: str, answered: str | None
) -> None:
    assert flow.tokens(asked)["scope"] == (answered or asked)


SPLIT = [
    ("patient/Patient.r", "Patient/{id}", 200),
    ("patient/Patient.r", "Patient?_id={id}", 403),
    ("patient/Patient.s", "Patient/{id}", 403),
    ("patient/Patient.s", "Patient?_id={id}", 200),
    ("patient/Patient.read", "Patient?_id={id}", 200),
    ("patient/Patient.rs", "Appointment?patient={id}", 403),
    ("patient/*.rs", "Patient/{other}", 404),
    ("patient/*.rs", "Appointment?patient={other}", 403),
    ("patient/*.rs", "Group", 403),
    ("patient/DiagnosticReport.rs?category=LP29684-5", "DiagnosticReport?patient={id}", 200),
    ("patient/DiagnosticReport.rs?category=http://loinc.org|LP29684-5", "DiagnosticReport", 200),
    ("patient/DiagnosticReport.rs?category=laboratory", "Patient/{id}", 403),
]


@pytest.fixture(scope="module")
def tokens_by_scope(flow: OAuthFlow) -> dict[str, str]:
    wanted = dict.fromkeys(scope for scope, _, _ in SPLIT)
    return {scope: flow.tokens(f"launch {scope}")["access_token"] for scope in wanted}


@pytest.mark.parametrize(("scope", "path", "status"), SPLIT)
def test_scopes_are_enforced(
    flow: OAuthFlow, tokens_by_scope: dict[str, str], scope: str, path: str, status: int
) -> None:
    names = flow.demo.demo
    url = path.format(id=names["patient_id"], other=names["other_patient_id"])
    answer = flow.fhir(url, tokens_by_scope[scope])
    assert answer.status_code == status
    if status == 403:
        challenge = answer.headers["WWW-Authenticate"]
        assert challenge.startswith("Bearer")
        assert ('error="insufficient_scope"' in challenge) == ("{other}" not in path)


def test_granular_scopes_filter(flow: OAuthFlow, tokens_by_scope: dict[str, str]) -> None:
    names = flow.demo.demo
    path = f"DiagnosticReport?patient={names['patient_id']}"
    wide = flow.fhir(path, tokens_by_scope["patient/*.rs"]).json()
    radiology = flow.fhir(path, tokens_by_scope["patient/DiagnosticReport.rs?category=LP29684-5"])
    lab = flow.fhir(path, tokens_by_scope["patient/DiagnosticReport.rs?category=laboratory"])
    assert radiology.json()["total"] == wide["total"] > 0
    assert lab.json()["total"] == 0
