"""The token service, grants, correlation ids and routing."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.support.qubs import CLIENT_ID, CLIENT_SECRET, QubsCaller, Running

FORM = {
    "grant_type": "client_credentials",
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
}


def _ask(emulator: Running, **fields: str) -> requests.Response:
    return requests.post(f"{emulator.url}/oauth2/token", data=FORM | fields, timeout=30)


def _claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def test_a_token_is_a_signed_jwt_that_lists_its_domains(emulator: Running) -> None:
    answer = _ask(emulator)
    assert answer.headers["Cache-Control"] == "no-store"
    token = answer.json()
    assert set(token) == {"access_token", "expires_in", "token_type"}
    keys = requests.get(f"{emulator.url}/.well-known/jwks.json", timeout=30).json()
    assert "d" not in keys["keys"][0]
    claims = jwt.decode(token["access_token"], KeySet.import_key_set(keys)).claims
    assert claims["domains"] == ["acme", "zenith"]
    assert claims["exp"] - claims["iat"] == token["expires_in"] == 3600


def test_refresh_and_id_tokens_come_by_a_switch(emulator: Running) -> None:
    emulator.control.change_settings(refresh_tokens=True, id_tokens=True)
    token = _ask(emulator).json()
    assert _claims(token["id_token"])["aud"] == CLIENT_ID
    fields = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"]}
    fresh = _ask(emulator, **fields).json()
    assert fresh["access_token"] != token["access_token"]
    assert "refresh_token" not in fresh
    assert _ask(emulator, **fields).status_code == 200
    other = _ask(emulator, **fields, client_id="sandbox-acme")
    assert other.json()["error"] == "invalid_grant"
    emulator.control.advance_clock(5 * 24 * 3600 + 1)
    assert _ask(emulator, **fields).json()["error"] == "invalid_grant"


def test_an_id_token_opens_nothing(emulator: Running) -> None:
    emulator.control.change_settings(id_tokens=True)
    token = _ask(emulator).json()["id_token"]
    response = requests.get(
        f"{emulator.url}/integrations/v1/acme/sites",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert response.status_code == 401


def test_a_token_ends_after_its_hour(emulator: Running, caller: QubsCaller) -> None:
    assert caller.api("acme", "/sites").status_code == 200
    emulator.control.advance_clock(3601)
    assert caller.api("acme", "/sites").status_code == 401
    with QubsCaller(emulator.url) as fresh:
        assert fresh.api("acme", "/sites").status_code == 200


def test_the_body_must_be_a_form(emulator: Running) -> None:
    response = requests.post(f"{emulator.url}/oauth2/token", json=FORM, timeout=30)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    response = requests.post(f"{emulator.url}/oauth2/token", params=FORM, timeout=30)
    assert response.status_code == 400


@pytest.mark.parametrize(
    "header", ["Basic eDp5", "Bearer", "Bearer ", "Bearer a.b.c", "bearer-token"]
)
def test_a_bad_authorization_is_401(emulator: Running, header: str) -> None:
    url = f"{emulator.url}/integrations/v1/acme/sites"
    response = requests.get(url, headers={"Authorization": header}, timeout=30)
    assert response.status_code == 401
    assert response.headers["Content-Type"] == "application/problem+json"


def test_a_token_with_another_signature_is_401(emulator: Running) -> None:
    token = _ask(emulator).json()["access_token"]
    head, body, signature = token.split(".")
    claims = _claims(token) | {"domains": ["acme", "zenith", "more"]}
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for bad in (f"{head}.{forged}.{signature}", f"{none}.{body}."):
        url = f"{emulator.url}/integrations/v1/acme/sites"
        response = requests.get(url, headers={"Authorization": f"Bearer {bad}"}, timeout=30)
        assert response.status_code == 401


def test_grants_are_asked_for(emulator: Running, pending: str) -> None:
    with QubsCaller(emulator.url, "sandbox-acme") as plain:
        assert plain.api("acme", f"/appointments/{pending}/billing").status_code == 403
        assert plain.api("acme", "/appointments/referrer").status_code == 403
        assert plain.api("zenith", "/sites").status_code == 403
        assert plain.api("acme", f"/appointments/{pending}/comments").status_code == 200


def test_literal_segments_win_over_identifiers(emulator: Running, caller: QubsCaller) -> None:
    assert isinstance(caller.api("acme", "/appointments/operational").json(), list)
    assert isinstance(caller.api("acme", "/appointments/referrer/operational").json(), list)
    assert "items" in caller.api("acme", "/reporting/appointments/pending").json()
    for path in ("/appointments/A123456", "/appointments/operational/by-status", "/nothing"):
        response = caller.api("acme", path)
        assert response.status_code == 404
        assert response.json()["requestId"]
    assert caller.api("acme", "/sites", method="DELETE").status_code == 405


def test_the_patient_list_is_off_by_default(emulator: Running, caller: QubsCaller) -> None:
    assert caller.api("acme", "/patients").status_code == 404
    emulator.control.change_settings(patient_list=True)
    listed = caller.api("acme", "/patients", params={"skip": 290, "take": 50}).json()
    assert [row["patientId"] for row in listed] == [str(220290 + n) for n in range(10)]


def test_only_sites_that_are_not_lean_carry_the_patient(
    emulator: Running, caller: QubsCaller
) -> None:
    rows = caller.all_by_status("acme", "FINALISED", 500)
    carrying = {row["scheduledSite"] for row in rows if "patientId" in row}
    assert carrying == {"Central Clinic", "Ōrākei Radiology", "Westgate MRI & CT"}
    assert "Northside Imaging" in {row["scheduledSite"] for row in rows}


def test_correlation_ids_come_back_on_every_kind_of_answer(
    emulator: Running, caller: QubsCaller
) -> None:
    for domain, path in (("acme", "/sites"), ("nowhere", "/sites"), ("acme", "/nothing")):
        response = caller.api(domain, path, headers={"X-Correlation-Id": "abc-123"})
        assert response.headers["X-Correlation-Id"] == "abc-123"
        assert caller.api(domain, path).headers["X-Correlation-Id"]
    assert _ask(emulator).headers["X-Correlation-Id"]


def test_absent_values_come_in_every_form(emulator: Running, caller: QubsCaller) -> None:
    rows: list[dict[str, Any]] = []
    for skip in range(0, 2000, 500):
        parameters = {"skip": skip, "take": 500}
        rows += caller.api("acme", "/appointments/operational", params=parameters).json()
    carrying = [row for row in rows if row["scheduledSite"] != "Northside Imaging"]

    def forms(found: list[dict[str, Any]], name: str) -> set[str | None]:
        return {row.get(name, "missing") for row in found} & {"missing", None, ""}

    assert forms(rows, "room") == {"missing", ""}
    assert forms(rows, "endTime") == {"missing", None}
    assert forms(carrying, "patientId") == {"missing", None, ""}
