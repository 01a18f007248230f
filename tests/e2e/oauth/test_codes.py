"""Codes and the requests that redeem them: RFC 6749 section 4.1.3, RFC 7636, RFC 9700."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from smart_auth import keyring
from tests.support.oauth_checks import SEEN, at_once, every_worker_refuses, no_store, refused
from tests.support.oauth_flow import OAuthFlow


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": secrets.token_urlsafe(48)}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "short"}, "invalid_request"),
        ({"redirect_uri": "http://localhost:8765/other"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"client_id": "acme-sample-app"}, "invalid_grant"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": None}, "invalid_client"),
        ({"client_id": "acme-confidential-app"}, "invalid_client"),
        ({"code": "made-up"}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "implicit"}, "unsupported_grant_type"),
        ({"grant_type": "Authorization_Code"}, "unsupported_grant_type"),
    ],
)
def test_a_code_is_refused(
    flow: OAuthFlow, unspent: tuple[str, str], changes: dict[str, str | None], error: str
) -> None:
    refused(flow.redeem(*unspent, **changes), error)


@pytest.fixture(scope="module")
def unspent(flow: OAuthFlow) -> tuple[str, str]:
    """A code that every refusal leaves as it was (kept young, for the table is long)."""
    code, verifier = flow.code()
    digest = keyring.hash_token(code)
    later = int(time.time()) + 600
    flow.age("UPDATE authorization_code SET expires_at = ? WHERE code_hash = ?", later, digest)
    return code, verifier


def test_the_code_is_still_good_after_refusals(flow: OAuthFlow, unspent: tuple[str, str]) -> None:
    assert flow.redeem(*unspent).status_code == 200


def test_a_replayed_code_revokes_what_it_bought(flow: OAuthFlow) -> None:
    code, verifier = flow.code()
    tokens = flow.redeem(code, verifier).json()
    path = f"Patient/{tokens['patient']}"
    assert flow.fhir(path, tokens["access_token"]).status_code == 200
    refused(flow.redeem(code, verifier), "invalid_grant", 400)
    every_worker_refuses(flow, path, tokens["access_token"])
    refused(flow.refresh(tokens["refresh_token"]), "invalid_grant", 400)


def test_a_code_sent_twice_at_once_is_redeemed_once_at_most(flow: OAuthFlow) -> None:
    code, verifier = flow.code()
    same = [lambda own: replace(flow, http=own).redeem(code, verifier)] * 4
    before = set(SEEN)
    assert at_once(same) == [200, 400, 400, 400]
    for token in SEEN - before:
        if token.count(".") == 2:
            answer = flow.fhir(f"Patient/{flow.demo.demo['patient_id']}", token)
            assert answer.status_code == 401


def test_an_expired_code(flow: OAuthFlow) -> None:
    code, verifier = flow.code()
    digest = keyring.hash_token(code)
    flow.age("UPDATE authorization_code SET expires_at = 1 WHERE code_hash = ?", digest)
    refused(flow.redeem(code, verifier), "invalid_grant", 400)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"grant_type": "authorization_code"}'),
        ("text/plain", b"grant_type=authorization_code"),
        ("", b"grant_type=authorization_code"),
        ("application/x-www-form-urlencoded", b"\xff\xfe=\x00"),
        ("application/x-www-form-urlencoded", b"grant_type=%FF"),
        ("application/x-www-form-urlencoded", b"&".join([b"a=b"] * 5000)),
        ("application/x-www-form-urlencoded", b"grant_type=refresh_token&grant_type=password"),
        ("application/x-www-form-urlencoded", b""),
        ("multipart/form-data; boundary=x", b"--x"),
    ],
)
@pytest.mark.parametrize("endpoint", ["token", "introspect", "revoke"])
def test_malformed_bodies(flow: OAuthFlow, endpoint: str, kind: str, body: bytes) -> None:
    answer = flow.post(endpoint, body, headers={"Content-Type": kind})
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] in ("invalid_request", "invalid_client")
    no_store(answer)


def test_parameters_in_the_query_do_not_count(flow: OAuthFlow) -> None:
    code, verifier = flow.code()
    query = urlencode({"grant_type": "authorization_code", "code": code, "code_verifier": verifier})
    refused(flow.post(f"token?{query}", {"client_id": flow.client["client_id"]}), "invalid_request")


def test_a_huge_body_is_refused(flow: OAuthFlow) -> None:
    answer = flow.post("token", {"grant_type": "x" * 200_000})
    assert answer.status_code == 413
    assert answer.headers["Connection"] == "close", "it is closed without a word"
