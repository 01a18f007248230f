"""Revocation (RFC 7009), introspection (RFC 7662) and tokens in the wrong place."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
import requests

from tests.support.oauth_checks import every_worker_refuses, no_store, refused
from tests.support.oauth_flow import OAuthFlow, basic


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
@pytest.mark.parametrize("hint", [None, "refresh_token", "nonsense"])
def test_a_revoked_grant_is_over_for_every_worker(
    flow: OAuthFlow, which: str, hint: str | None
) -> None:
    tokens = flow.tokens()
    path = f"Patient/{tokens['patient']}"
    assert flow.fhir(path, tokens["access_token"]).status_code == 200
    fields = {"token": tokens[which], "client_id": flow.client["client_id"]}
    if hint is not None:
        fields["token_type_hint"] = hint
    assert flow.post("revoke", fields).status_code == 200
    every_worker_refuses(flow, path, tokens["access_token"])
    refused(flow.refresh(tokens["refresh_token"]), "invalid_grant", 400)


def test_revoking_nonsense_is_no_error_and_a_foreign_token_stays(
    flow: OAuthFlow, granted: dict[str, Any]
) -> None:
    mine = {"client_id": flow.client["client_id"]}
    assert flow.post("revoke", {"token": "unknown", **mine}).status_code == 200
    refused(flow.post("revoke", mine), "invalid_request", 400)
    stranger = {"token": granted["access_token"], "client_id": "acme-sample-app"}
    assert flow.post("revoke", stranger).status_code in (200, 400)
    assert flow.fhir(f"Patient/{granted['patient']}", granted["access_token"]).status_code == 200


def introspect(flow: OAuthFlow, token: str, **options: Any) -> requests.Response:
    return flow.post("introspect", {"token": token}, **options)


def test_introspection_with_the_launch_context(
    confidential_grant: tuple[OAuthFlow, dict[str, Any]],
) -> None:
    app, tokens = confidential_grant
    header = {"Authorization": basic(app.client["client_id"], app.client["client_secret"])}
    answer = introspect(app, tokens["access_token"], headers=header)
    no_store(answer)
    body = answer.json()
    assert body["active"] is True
    assert body["scope"] == tokens["scope"]
    assert body["client_id"] == app.client["client_id"]
    assert body["patient"] == tokens["patient"]
    assert body["iss"] == app.base
    assert body["fhirUser"].startswith(app.base)
    assert body["exp"] > time.time()
    assert {"sub", "iat"} <= body.keys()
    assert introspect(app, tokens["refresh_token"], headers=header).json()["active"] is True
    for token in ("x", tokens["id_token"], tokens["access_token"][:-3]):
        assert introspect(app, token, headers=header).json() == {"active": False}


def test_a_foreign_token_is_inactive(flow: OAuthFlow, granted: dict[str, Any]) -> None:
    metadata = {"client_name": "Stranger", "redirect_uris": ["https://app.example/cb"]}
    client = flow.post("register", None, json=metadata).json()
    header = {"Authorization": basic(client["client_id"], client["client_secret"])}
    for which in ("access_token", "refresh_token"):
        answer = introspect(flow, granted[which], headers=header)
        assert answer.json() == {"active": False}


@pytest.mark.parametrize("how", ["none", "public", "wrong secret", "bad bearer"])
def test_introspection_needs_a_caller(flow: OAuthFlow, granted: dict[str, Any], how: str) -> None:
    headers = {
        "wrong secret": {"Authorization": basic("acme-confidential-app", "no")},
        "bad bearer": {"Authorization": "Bearer x"},
    }.get(how, {})
    fields = {"token": granted["access_token"]}
    if how == "public":
        fields["client_id"] = flow.client["client_id"]
    answer = flow.post("introspect", fields, headers=headers)
    assert answer.status_code == 401
    assert "active" not in answer.json()
    no_store(answer)


def test_an_app_may_ask_about_its_own_token_by_bearer(
    flow: OAuthFlow, granted: dict[str, Any]
) -> None:
    header = {"Authorization": f"Bearer {granted['access_token']}"}
    assert introspect(flow, granted["access_token"], headers=header).json()["active"] is True


@pytest.mark.parametrize("which", ["id_token", "refresh_token", "garbage", "empty", "unsigned"])
def test_only_access_tokens_open_fhir(flow: OAuthFlow, granted: dict[str, Any], which: str) -> None:
    body = granted["access_token"].split(".")[1]
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
    others = {"garbage": "a.b.c", "empty": "", "unsigned": f"{none}.{body}."}
    answer = flow.fhir(f"Patient/{granted['patient']}", others.get(which) or granted.get(which, ""))
    assert answer.status_code == 401
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_in_the_address_does_not_count(flow: OAuthFlow, granted: dict[str, Any]) -> None:
    url = f"{flow.base}/Patient/{granted['patient']}?access_token={granted['access_token']}"
    assert flow.get(url).status_code == 401


@pytest.mark.parametrize("which", ["access_token", "id_token"])
def test_other_tokens_do_not_refresh(flow: OAuthFlow, granted: dict[str, Any], which: str) -> None:
    refused(flow.refresh(granted[which]), "invalid_grant", 400)
    refused(flow.redeem(granted[which], "v" * 43), "invalid_grant", 400)
