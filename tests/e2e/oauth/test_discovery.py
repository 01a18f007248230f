"""What a client reads before its first request: discovery, keys, CORS, methods."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from tests.support.demo import RunningDemo
from tests.support.oauth_checks import ORIGIN
from tests.support.oauth_flow import OAuthFlow

SMART_CONFIGURATION: dict[str, Callable[[dict[str, Any], str], bool]] = {
    "issuer": lambda d, base: d["issuer"] == base,
    "jwks_uri": lambda d, base: d["jwks_uri"].startswith(base + "/"),
    "authorization_endpoint": lambda d, base: (
        d["authorization_endpoint"] == f"{base}/auth/authorize"
    ),
    "token_endpoint": lambda d, base: d["token_endpoint"] == f"{base}/auth/token",
    "introspection": lambda d, base: d["introspection_endpoint"] == f"{base}/auth/introspect",
    "revocation": lambda d, base: d["revocation_endpoint"] == f"{base}/auth/revoke",
    "management": lambda d, base: d["management_endpoint"] == f"{base}/auth/manage",
    "grant types": lambda d, _: (
        {"authorization_code", "client_credentials"} <= set(d["grant_types_supported"])
    ),
    "S256 and never plain": lambda d, _: d["code_challenge_methods_supported"] == ["S256"],
    "response types": lambda d, _: d["response_types_supported"] == ["code"],
    "client authentication": lambda d, _: (
        {"client_secret_basic", "private_key_jwt"}
        <= set(d["token_endpoint_auth_methods_supported"])
    ),
    "assertion algorithms": lambda d, _: (
        set(d["token_endpoint_auth_signing_alg_values_supported"]) == {"RS384", "ES384"}
    ),
    "both dialects": lambda d, _: {"permission-v1", "permission-v2"} <= set(d["capabilities"]),
    "launches": lambda d, _: {"launch-ehr", "launch-standalone"} <= set(d["capabilities"]),
    "clients": lambda d, _: (
        {
            "client-public",
            "client-confidential-symmetric",
            "client-confidential-asymmetric",
            "authorize-post",
        }
        <= set(d["capabilities"])
    ),
    "scopes in both dialects": lambda d, _: (
        {"patient/*.rs", "patient/*.read", "system/Patient.rs"} <= set(d["scopes_supported"])
    ),
    "no staff types for one patient": lambda d, _: (
        not any(one.startswith("patient/Group.") for one in d["scopes_supported"])
        and "system/Group.rs" in d["scopes_supported"]
    ),
}


@pytest.mark.parametrize("what", SMART_CONFIGURATION)
def test_smart_configuration_says(flow: OAuthFlow, what: str) -> None:
    document = flow.get(f"{flow.base}/.well-known/smart-configuration").json()
    assert SMART_CONFIGURATION[what](document, flow.base)


@pytest.mark.parametrize("accept", ["application/fhir+json", "text/html", "*/*", ""])
@pytest.mark.parametrize("name", ["smart-configuration", "openid-configuration", "jwks.json"])
def test_discovery_is_json_whatever_is_accepted(flow: OAuthFlow, name: str, accept: str) -> None:
    answer = flow.get(f"{flow.base}/.well-known/{name}", headers={"Accept": accept, **ORIGIN})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert isinstance(answer.json(), dict)


def test_openid_configuration_agrees(flow: OAuthFlow) -> None:
    smart = flow.get(f"{flow.base}/.well-known/smart-configuration").json()
    openid = flow.get(f"{flow.base}/.well-known/openid-configuration").json()
    assert all(openid[name] == smart[name] for name in ("issuer", "jwks_uri", "token_endpoint"))
    assert openid["id_token_signing_alg_values_supported"] == ["RS256"]
    assert openid["subject_types_supported"] == ["public"]


def test_the_capability_statement_names_the_same_endpoints(flow: OAuthFlow) -> None:
    security = flow.get(f"{flow.base}/metadata").json()["rest"][0]["security"]
    uris = next(
        one["extension"] for one in security["extension"] if one["url"].endswith("oauth-uris")
    )
    found = {one["url"]: one["valueUri"] for one in uris}
    assert found["authorize"] == f"{flow.base}/auth/authorize"
    assert found["token"] == f"{flow.base}/auth/token"


def test_published_keys_are_public_and_of_a_kind_clients_know(flow: OAuthFlow) -> None:
    keys = flow.get(f"{flow.base}/.well-known/jwks.json").json()["keys"]
    assert keys
    for key in keys:
        assert key["kid"]
        assert key["use"] == "sig"
        assert key["alg"] in ("RS256", "ES256")
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & key.keys()


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (".well-known/smart-configuration", "GET"),
        ("metadata", "GET"),
        ("auth/token", "POST"),
        ("auth/token/", "POST"),
        ("auth/introspect", "POST"),
        ("auth/revoke", "POST"),
        ("Patient", "GET"),
    ],
)
def test_preflight(flow: OAuthFlow, path: str, method: str) -> None:
    asked = {
        **ORIGIN,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    answer = flow.http.options(f"{flow.base}/{path}", headers=asked, timeout=30)
    assert answer.status_code in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert method in answer.headers["Access-Control-Allow-Methods"]
    allowed = answer.headers["Access-Control-Allow-Headers"].lower()
    assert "authorization" in allowed
    assert "content-type" in allowed


@pytest.mark.parametrize("given", ["abc-123", None])
def test_refusals_carry_a_correlation_id_that_is_in_the_audit(
    flow: OAuthFlow, demo: RunningDemo, given: str | None
) -> None:
    headers = {} if given is None else {"X-Correlation-Id": f"{given}-{secrets.token_hex(4)}"}
    answer = flow.post("token", {"grant_type": "refresh_token"}, headers=headers)
    named = answer.headers["X-Correlation-Id"]
    assert named == headers.get("X-Correlation-Id", named)
    with closing(sqlite3.connect(demo.state / "auth.db", timeout=20)) as database:
        found = database.execute(
            "SELECT outcome FROM audit_event WHERE correlation_id = ?", (named,)
        ).fetchall()
    assert found == [("refused",)]


@pytest.mark.parametrize("endpoint", ["token", "introspect", "revoke"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_wrong_method_says_which_is_right(flow: OAuthFlow, endpoint: str, method: str) -> None:
    answer = flow.http.request(method, f"{flow.base}/auth/{endpoint}", timeout=30)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
