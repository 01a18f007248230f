"""The shortcut answers as Flask would, keeps the same audit row, and takes what it is meant for."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client, TestResponse

from fhir_facade import clock
from smart_auth.verify import VerifiedToken
from tests.support.rest_app import RestApp
from tests.support.tokens import backend_token, user_token

DOCTOR = user_token("user/*.rs")
READER = user_token("user/Patient.r")
PATIENT_1 = user_token("patient/*.rs", patient="p1", fhir_user="Patient/p1", whole_tenant=False)
EVERYBODY = backend_token("system/*.rs")

SHORT: list[tuple[str, VerifiedToken, dict[str, str]]] = [
    ("/Patient/p1", DOCTOR, {}),
    ("/Patient/p1", PATIENT_1, {"Origin": "https://app.example"}),
    ("/Patient/p1", DOCTOR, {"Accept": "application/json", "X-Correlation-Id": "abcdefgh12"}),
    ("/Patient/p1", DOCTOR, {"Prefer": "handling=lenient"}),
    ("/Patient?_count=1", DOCTOR, {}),
    ("/Patient?_count=1&%5Fpretty=true", DOCTOR, {"Origin": "https://app.example"}),
    ("/Appointment?nothing=1", DOCTOR, {"Prefer": "handling=lenient"}),
    ("/Appointment", PATIENT_1, {}),
]
LONG: list[tuple[str, VerifiedToken | None, dict[str, str], int]] = [
    ("/Patient/p1", None, {}, 401),
    ("/Patient/p1", DOCTOR, {"Authorization": "Basic abc"}, 401),
    ("/Patient/p1", DOCTOR, {"Accept": "text/html"}, 406),
    ("/Patient/p1", DOCTOR, {"If-None-Match": 'W/"1"'}, 304),
    ("/Patient/p1", DOCTOR, {"If-None-Match": 'W/"7"'}, 200),
    ("/Patient/p1", DOCTOR, {"If-Match": 'W/"7"'}, 412),
    ("/Patient/p1?_summary=true", DOCTOR, {}, 200),
    ("/Patient/p2", PATIENT_1, {}, 404),
    ("/Patient/absent", DOCTOR, {}, 404),
    ("/Appointment/x", READER, {}, 403),
    ("/Appointment", READER, {}, 403),
    ("/Patient", READER, {}, 403),
    ("/Patient?nothing=1", DOCTOR, {}, 400),
    ("/Nothing/p1", DOCTOR, {}, 404),
    ("/Binary/p1", DOCTOR, {}, 404),
    ("/SearchParameter", EVERYBODY, {}, 200),
    ("/Patient/p1/_history", DOCTOR, {}, 200),
    ("/Patient/_history", DOCTOR, {}, 200),
]


@pytest.mark.parametrize(("path", "token", "headers"), SHORT)
def test_answers_as_flask_would(
    rest: RestApp,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    token: VerifiedToken,
    headers: dict[str, str],
) -> None:
    instant = clock.now()
    monkeypatch.setattr(clock, "now", lambda: instant)  # links tell when they expire
    short = rest.get(path, token, headers=headers)
    [row] = rest.audited()[:1]
    sent = {**headers, "Authorization": f"Bearer {rest.tokens.add(token)}"}
    long = _by_flask(rest, path, sent)
    assert short.status_code == long.status_code == 200
    assert short.data == long.data
    assert _told(short) == _told(long)
    [other] = rest.audited()[:1]
    assert other["pk"] != row["pk"]
    assert _kept(other) == _kept(row)


@pytest.mark.parametrize(("path", "token", "headers"), SHORT)
def test_asks_nothing_of_flask(
    rest: RestApp,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    token: VerifiedToken,
    headers: dict[str, str],
) -> None:
    monkeypatch.setattr(Flask, "request_context", None)
    assert rest.get(path, token, headers=headers).status_code == 200


@pytest.mark.parametrize(("path", "token", "headers", "status"), LONG)
def test_leaves_the_rest_to_flask(
    rest: RestApp, path: str, token: VerifiedToken | None, headers: dict[str, str], status: int
) -> None:
    before = len(rest.audited())
    given = {} if token is None else {"Authorization": f"Bearer {rest.tokens.add(token)}"}
    answer = Client(rest.app).get(f"/fhir/acme{path}", headers={**given, **headers})
    assert answer.status_code == status
    assert len(rest.audited()) == before + 1


def test_a_fault_is_told_by_flask(rest: RestApp, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a name")

    monkeypatch.setattr("fhir_facade.mirror.versions.read", fail)
    answer = rest.get("/Patient/p1", DOCTOR)
    assert answer.status_code == 500
    assert answer.json is not None
    assert answer.json["resourceType"] == "OperationOutcome"


def _by_flask(rest: RestApp, path: str, headers: dict[str, str]) -> TestResponse:
    def app(environ: Any, start_response: Any) -> Any:
        return Flask.wsgi_app(rest.app, environ, start_response)

    return Client(app).get(f"/fhir/acme{path}", headers=headers)


def _told(answer: TestResponse) -> dict[str, str]:
    headers = dict(answer.headers)
    if len(headers["X-Correlation-Id"]) == 16:
        del headers["X-Correlation-Id"]  # drawn anew for each
    return headers


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in row.items()
        if name not in ("pk", "recorded_us", "correlation_id")
    }
