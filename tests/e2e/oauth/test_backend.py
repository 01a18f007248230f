"""Backend services: signed assertions (RFC 7523) and what they buy."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from tests.support.demo_tokens import http_session
from tests.support.oauth_checks import at_once, later, no_store, refused
from tests.support.oauth_flow import BackendFlow, OAuthFlow, basic


@pytest.mark.parametrize("name", ["backend", "second_backend", "other_key_backend"])
def test_a_backend_token(flow: OAuthFlow, name: str) -> None:
    one = BackendFlow(flow, name)
    answer = one.ask(one.assertion())
    assert answer.status_code == 200
    no_store(answer)
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 300
    assert body["scope"] == "system/*.rs"
    assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert flow.fhir("Patient?_count=1", body["access_token"]).status_code == 200


@pytest.mark.parametrize(
    ("claims", "header"),
    [
        pytest.param({"aud": "https://other.example/token"}, {}, id="wrong aud"),
        pytest.param({"aud": None}, {}, id="no aud"),
        pytest.param({"aud": []}, {}, id="empty aud"),
        pytest.param({"exp": 3600}, {}, id="exp too far"),
        pytest.param({"exp": -60}, {}, id="expired"),
        pytest.param({"exp": None}, {}, id="no exp"),
        pytest.param({"exp": "soon"}, {}, id="exp as text"),
        pytest.param({"iat": later(7200)}, {}, id="from the future"),
        pytest.param({"nbf": later(7200)}, {}, id="not yet"),
        pytest.param({"jti": None}, {}, id="no jti"),
        pytest.param({"jti": ""}, {}, id="empty jti"),
        pytest.param({"jti": 7}, {}, id="number as jti"),
        pytest.param({"sub": "acme-second-backend"}, {}, id="another sub"),
        pytest.param({"iss": "acme-second-backend"}, {}, id="another iss"),
        pytest.param({"iss": None}, {}, id="no iss"),
        pytest.param({"sub": None}, {}, id="no sub"),
        pytest.param({"sub": "nobody", "iss": "nobody"}, {}, id="unknown client"),
        pytest.param({}, {"kid": "unknown"}, id="unknown kid"),
        pytest.param({}, {"kid": None}, id="no kid"),
        pytest.param({}, {"typ": "at+jwt"}, id="wrong typ"),
        pytest.param({}, {"jku": "https://evil.example/jwks"}, id="foreign jku"),
    ],
)
def test_an_assertion_is_refused(
    backend: BackendFlow, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    if isinstance(claims.get("exp"), int):
        claims = {"exp": later(claims["exp"])}
    refused(backend.ask(backend.assertion(claims, header)), "invalid_client")


def _unsigned(backend: BackendFlow) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT","kid":"x"}').rstrip(b"=").decode()
    return f"{head}.{backend.assertion().split('.')[1]}."


def _broken(backend: BackendFlow) -> str:
    head, body, sign = backend.assertion().split(".")
    return f"{head}.{body}.{sign[:-8]}{'A' * 8}"


FORGED: dict[str, Callable[[BackendFlow], str]] = {
    "none": _unsigned,
    "broken signature": _broken,
    "HS256 with the public key": lambda b: b.assertion(
        header={"alg": "HS256"},
        key=OctKey.import_key(json.dumps({**b.client["jwk"], "d": ""}).encode()),
    ),
    "ES256": lambda b: b.assertion(header={"alg": "ES256"}, key=ECKey.generate_key("P-256")),
    "RS256": lambda b: b.assertion(header={"alg": "RS256"}, key=RSAKey.generate_key(2048)),
    "ES384 of another key": lambda b: b.assertion(key=ECKey.generate_key("P-384")),
    "RS384 under an EC kid": lambda b: b.assertion(
        header={"alg": "RS384"}, key=BackendFlow(b.flow, "other_key_backend").key
    ),
    "text": lambda _: "not.a.jwt",
    "no dots": lambda _: "x",
    "bytes": lambda _: "\u00e9.\u00e9.\u00e9",
    "five parts": lambda _: "a.b.c.d.e",
    "a list for claims": lambda _: "e30.W10.x",
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_assertion_is_refused(backend: BackendFlow, kind: str) -> None:
    refused(backend.ask(FORGED[kind](backend)), "invalid_client")


def test_an_assertion_is_used_once_by_all_workers(backend: BackendFlow) -> None:
    text = backend.assertion()
    assert backend.ask(text).status_code == 200
    for _ in range(6):
        with http_session() as fresh:
            backend.flow.http, kept = fresh, backend.flow.http
            refused(backend.ask(text), "invalid_client")
            backend.flow.http = kept


def test_one_assertion_sent_at_once_is_taken_once(backend: BackendFlow) -> None:
    text = backend.assertion()
    same = [lambda own: BackendFlow(replace(backend.flow, http=own), backend.name).ask(text)] * 4
    assert at_once(same)[:2] == [200, 400]


def test_two_clients_may_use_the_same_jti(flow: OAuthFlow, backend: BackendFlow) -> None:
    jti = secrets.token_hex(8)
    second = BackendFlow(flow, "second_backend")
    assert backend.ask(backend.assertion({"jti": jti})).status_code == 200
    assert second.ask(second.assertion({"jti": jti})).status_code == 200


@pytest.mark.parametrize("tail", ["/auth/token", "/auth/token/", ""])
@pytest.mark.parametrize("listed", [False, True], ids=["text", "list"])
def test_both_spellings_of_aud(backend: BackendFlow, tail: str, listed: bool) -> None:
    audience = f"{backend.flow.base}{tail}"
    text = backend.assertion({"aud": [audience] if listed else audience})
    assert backend.ask(text).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_assertion_type": "urn:ietf:params:oauth:client-assertiontype:jwt-bearer"}, None),
        ({"client_assertion_type": None}, None),
        ({"client_assertion": None}, None),
        ({"client_id": "acme-second-backend"}, "invalid_request"),
        ({"client_secret": "x"}, "invalid_request"),
        ({"grant_type": None, "grant-type": "client_credentials"}, "invalid_request"),
        ({"grant_type": "client-credentials"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, None),
    ],
)
def test_a_backend_request_is_refused(
    backend: BackendFlow, changes: dict[str, str | None], error: str | None
) -> None:
    answer = backend.ask(backend.assertion(), **changes)
    if "refresh_token" in changes:
        refused(
            answer,
            "unauthorized_client" if answer.json()["error"] != "invalid_grant" else "invalid_grant",
        )
        return
    refused(answer, error or "invalid_client")
    if "grant-type" in changes:
        assert "grant_type" in answer.json()["error_description"]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("system/*.rs", "system/*.rs"),
        ("system/*.read", "system/*.read"),
        ("system/Patient.read system/Appointment.rs", "system/Patient.read system/Appointment.rs"),
        ("system/Patient.r system/Patient.s", "system/Patient.r system/Patient.s"),
        ("system/*.cruds", "system/*.rs"),
        ("system/*.*", "system/*.read"),
        ("system/Patient.rs user/*.rs patient/*.rs openid", "system/Patient.rs"),
        ("system/Patient.rs system/Nothing.rs", "system/Patient.rs"),
        ("user/*.rs", None),
        ("patient/*.read", None),
        ("system/*.cud", None),
        ("system/Nothing.rs", None),
        ("openid fhirUser", None),
        ("*", None),
        ("", None),
        (None, None),
    ],
)
def test_backend_scopes(backend: BackendFlow, asked: str | None, answered: str | None) -> None:
    answer = backend.ask(backend.assertion(), asked)
    if answered is None:
        refused(answer, "invalid_scope", 400)
    else:
        assert answer.json()["scope"] == answered


def test_client_credentials_need_a_key(confidential: OAuthFlow) -> None:
    fields = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    header = basic(confidential.client["client_id"], confidential.client["client_secret"])
    answer = confidential.post("token", fields, headers={"Authorization": header})
    refused(answer, "unauthorized_client")
