"""What a code buys: the token answer, the access token (RFC 9068) and the id_token (OpenID
Connect Core).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.support.oauth_checks import OFFLINE, ORIGIN, SEEN, no_store
from tests.support.oauth_flow import OAuthFlow

TOKEN_MEMBERS: dict[str, Callable[[dict[str, Any], OAuthFlow], bool]] = {
    "token_type": lambda t, _: t["token_type"] == "Bearer",
    "expires_in": lambda t, _: t["expires_in"] == 3600 and type(t["expires_in"]) is int,
    "scope": lambda t, _: t["scope"] == OFFLINE,
    "patient": lambda t, f: t["patient"] == f.demo.demo["patient_id"],
    "need_patient_banner": lambda t, _: isinstance(t["need_patient_banner"], bool),
    "smart_style_url": lambda t, f: t["smart_style_url"].startswith(f.base),
    "no empty members": lambda t, _: all(value not in (None, "", []) for value in t.values()),
    "tokens of url characters": lambda t, _: all(
        re.fullmatch(r"[A-Za-z0-9._~-]+", t[name])
        for name in ("access_token", "refresh_token", "id_token")
    ),
}


@pytest.mark.parametrize("member", TOKEN_MEMBERS)
def test_token_answer(flow: OAuthFlow, granted: dict[str, Any], member: str) -> None:
    assert TOKEN_MEMBERS[member](granted, flow)


def test_token_answer_headers_and_trailing_slash(flow: OAuthFlow) -> None:
    code, verifier = flow.code()
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": flow.redirect_uri,
        "client_id": flow.client["client_id"],
        "code_verifier": verifier,
    }
    answer = flow.post("token/", fields, headers=ORIGIN)
    assert answer.status_code == 200
    no_store(answer)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Set-Cookie" not in answer.headers
    SEEN.update((answer.json()["access_token"], answer.json()["refresh_token"]))


def test_the_style_document_is_there(flow: OAuthFlow, granted: dict[str, Any]) -> None:
    answer = flow.get(granted["smart_style_url"], headers=ORIGIN)
    assert answer.json()["color_background"].startswith("#")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_without_offline_access_there_is_no_refresh_token(flow: OAuthFlow) -> None:
    answer = flow.tokens("launch patient/*.rs")
    assert "refresh_token" not in answer
    assert "id_token" not in answer


def test_access_token_is_rfc_9068(flow: OAuthFlow, granted: dict[str, Any]) -> None:
    keys = KeySet.import_key_set(flow.get(f"{flow.base}/.well-known/jwks.json").json())
    token = jwt.decode(granted["access_token"], keys, algorithms=["ES256"])
    assert token.header["typ"] == "at+jwt"
    assert token.claims["iss"] == token.claims["aud"] == flow.base
    assert token.claims["client_id"] == flow.client["client_id"]
    assert token.claims["exp"] - token.claims["iat"] == 3600
    assert {"sub", "jti", "scope"} <= token.claims.keys()


def test_id_token(flow: OAuthFlow, granted: dict[str, Any]) -> None:
    keys = KeySet.import_key_set(flow.get(f"{flow.base}/.well-known/jwks.json").json())
    token = jwt.decode(granted["id_token"], keys, algorithms=["RS256"])
    claims = token.claims
    assert token.header["kid"] in {key.kid for key in keys.keys}
    assert claims["iss"] == flow.base
    assert claims["aud"] == flow.client["client_id"]
    assert claims["nonce"] == "n-0S6_WzA2Mj"
    assert claims["exp"] > time.time() >= claims["iat"] - 5
    assert 0 < len(claims["sub"]) <= 255
    assert re.match(r"[A-Za-z0-9+/]", claims["at_hash"])
    resource_type, _, _ = claims["fhirUser"].removeprefix(flow.base + "/").partition("/")
    assert resource_type in ("Practitioner", "Patient", "Person", "RelatedPerson")
    answer = flow.get(
        claims["fhirUser"],
        headers={"Authorization": f"Bearer {granted['access_token']}", **ORIGIN},
    )
    assert answer.status_code == 200
    assert answer.json()["resourceType"] == resource_type
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_standalone_launch_of_a_confidential_app(
    confidential_grant: tuple[OAuthFlow, dict[str, Any]],
) -> None:
    app, answer = confidential_grant
    assert answer["patient"] == app.demo.demo["patient_id"]
    assert answer["scope"].endswith("user/*.rs")
