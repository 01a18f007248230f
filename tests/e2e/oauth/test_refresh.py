"""Refresh tokens: rotation, grace, narrowing, the end of a family (RFC 9700 section 4.14)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from smart_auth import keyring
from tests.support.oauth_checks import OFFLINE, at_once, claims_of, no_store, refused
from tests.support.oauth_flow import OAuthFlow


def test_refresh_rotates_and_keeps_scope_patient_and_identity(flow: OAuthFlow) -> None:
    first = flow.tokens(nonce="n1")
    answer = flow.refresh(first["refresh_token"])
    no_store(answer)
    second = answer.json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert second["scope"] == first["scope"]
    assert second["patient"] == first["patient"]
    old, new = (claims_of(one["id_token"]) for one in (first, second))
    assert [new[name] for name in ("iss", "sub", "aud")] == [
        old[name] for name in ("iss", "sub", "aud")
    ]
    assert new["auth_time"] == old["auth_time"]


def test_two_tabs_may_refresh_at_once(flow: OAuthFlow) -> None:
    token = flow.tokens()["refresh_token"]
    same = [lambda own: replace(flow, http=own).refresh(token)] * 3
    assert at_once(same) == [200, 200, 200]


def test_a_public_app_need_not_name_itself(flow: OAuthFlow) -> None:
    first = flow.tokens()
    assert flow.refresh(first["refresh_token"], client_id=None).status_code == 200


def test_a_confidential_app_must_authenticate(
    confidential_grant: tuple[OAuthFlow, dict[str, Any]],
) -> None:
    app, answer = confidential_grant
    for changes in ({"client_secret": None}, {"client_secret": None, "client_id": None}):
        refused(app.refresh(answer["refresh_token"], **changes), "invalid_client")


def test_grace_then_reuse_ends_the_family(flow: OAuthFlow) -> None:
    first = flow.tokens()
    second = flow.refresh(first["refresh_token"]).json()
    sibling = flow.refresh(first["refresh_token"])
    assert sibling.status_code == 200
    assert sibling.json()["refresh_token"] not in (first["refresh_token"], second["refresh_token"])
    digest = keyring.hash_token(first["refresh_token"])
    flow.age("UPDATE refresh_token SET rotated_at = 1 WHERE token_hash = ?", digest)
    refused(flow.refresh(first["refresh_token"]), "invalid_grant", 400)
    for token in (second, sibling.json()):
        refused(flow.refresh(token["refresh_token"]), "invalid_grant", 400)
        assert flow.fhir(f"Patient/{first['patient']}", token["access_token"]).status_code == 401


@pytest.mark.parametrize(
    ("scope", "error"),
    [
        ("launch patient/Patient.r offline_access", None),
        ("patient/Patient.read", None),
        ("patient/*.rs patient/Appointment.s", None),
        ("patient/*.cruds", "invalid_scope"),
        ("patient/*.rs user/*.rs", "invalid_scope"),
        ("patient/*.rs online_access", "invalid_scope"),
        ("patient/*.rs nonsense", "invalid_scope"),
        ("system/*.rs", "invalid_scope"),
        (" ", "invalid_scope"),
        ("offline_access", "invalid_scope"),
    ],
)
def test_narrowing_a_refresh(
    flow: OAuthFlow, refreshed: dict[str, str], scope: str, error: str | None
) -> None:
    answer = flow.refresh(refreshed["token"], scope=scope)
    if error is not None:
        refused(answer, error, 400)
        return
    body = answer.json()
    refreshed["token"] = body["refresh_token"]
    assert body["scope"] == scope


@pytest.fixture(scope="module")
def refreshed(flow: OAuthFlow) -> dict[str, str]:
    """The newest refresh token of a family; a refusal does not use it up."""
    return {"token": flow.tokens()["refresh_token"]}


def test_narrowing_binds_the_access_token_only(flow: OAuthFlow, refreshed: dict[str, str]) -> None:
    narrow = flow.refresh(refreshed["token"], scope="patient/Patient.r").json()
    assert flow.fhir("Appointment", narrow["access_token"]).status_code == 403
    wide = flow.refresh(narrow["refresh_token"]).json()
    assert wide["scope"] == OFFLINE
    refreshed["token"] = wide["refresh_token"]


def test_a_refresh_token_is_of_one_app_and_time(flow: OAuthFlow) -> None:
    token = flow.tokens()["refresh_token"]
    refused(flow.refresh(token, client_id="acme-sample-app"), "invalid_grant")
    refused(flow.refresh(token + "x"), "invalid_grant")
    refused(flow.refresh("x", refresh_token=None), "invalid_request")
    digest = keyring.hash_token(token)
    flow.age("UPDATE refresh_token SET expires_at = 1 WHERE token_hash = ?", digest)
    refused(flow.refresh(token), "invalid_grant", 400)
