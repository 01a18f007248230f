"""Misuse of codes and tokens: other clients' things, forged tokens, downgrades, texts and sizes no
client means well with (RFC 9700, RFC 8725).
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.support.oauth_checks import claims_of, refused
from tests.support.oauth_flow import BackendFlow, OAuthFlow
from tests.support.oauth_kit import KitApp, allow, begin, register

SCOPE = "launch/patient offline_access patient/Patient.r"
METHODS = ("none", "client_secret_basic", "ES384")


@pytest.fixture(scope="module", params=METHODS)
def victim(flow: OAuthFlow, request: pytest.FixtureRequest) -> KitApp:
    return register(flow, request.param)


@pytest.fixture(scope="module")
def thief(flow: OAuthFlow) -> KitApp:
    """Another app with the very same redirect URI."""
    return register(flow, "none")


def fresh_code(app: KitApp) -> tuple[str, str]:
    visit = begin(app, SCOPE, user="patient", ehr=False)
    return allow(visit)["code"], visit.verifier


# --- codes and refresh tokens of others ---------------------------------------------------------


def test_a_code_is_of_one_app(victim: KitApp, thief: KitApp) -> None:
    code, verifier = fresh_code(victim)
    refused(thief.redeem(code, verifier), "invalid_grant", 400)
    assert victim.redeem(code, verifier).status_code == 200


def test_a_verifier_is_of_one_code(victim: KitApp) -> None:
    (first, _), (_, second_verifier) = fresh_code(victim), fresh_code(victim)
    refused(victim.redeem(first, second_verifier), "invalid_grant", 400)


def test_a_code_is_no_refresh_token_and_the_other_way_round(victim: KitApp) -> None:
    code, verifier = fresh_code(victim)
    refused(victim.refresh(code), "invalid_grant", 400)
    tokens = victim.redeem(code, verifier).json()
    refused(victim.redeem(tokens["refresh_token"], verifier), "invalid_grant", 400)
    refused(victim.redeem(tokens["access_token"], verifier), "invalid_grant", 400)


def test_a_refresh_token_is_of_one_app(victim: KitApp, thief: KitApp) -> None:
    tokens = victim.redeem(*fresh_code(victim)).json()
    refused(thief.refresh(tokens["refresh_token"]), "invalid_grant", 400)
    assert victim.refresh(tokens["refresh_token"]).status_code == 200


def test_a_token_of_another_app_is_not_revoked_or_explained(
    victim: KitApp, thief: KitApp, confidential: OAuthFlow
) -> None:
    tokens = victim.redeem(*fresh_code(victim)).json()
    stranger = register(victim.flow, "client_secret_basic")
    for which in ("access_token", "refresh_token"):
        assert thief.post("revoke", {"token": tokens[which]}).status_code in (200, 400)
        assert stranger.post("revoke", {"token": tokens[which]}).status_code in (200, 400)
        told = stranger.post("introspect", {"token": tokens[which]})
        assert told.json() == {"active": False}
    assert victim.flow.fhir(f"Patient/{tokens['patient']}", tokens["access_token"]).ok
    assert victim.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize("method", ["client_secret_basic", "ES384"])
def test_no_way_around_a_secret(flow: OAuthFlow, method: str) -> None:
    """What a public app may do with its client_id alone, one with a secret or a key may not."""
    app = register(flow, method)
    bare = KitApp(flow, "none", app.client_id)
    code, verifier = fresh_code(app)
    refused(bare.redeem(code, verifier), "invalid_client")
    tokens = app.redeem(code, verifier).json()
    refused(bare.refresh(tokens["refresh_token"]), "invalid_client")
    unnamed = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    refused(flow.post("token", unnamed), "invalid_client")
    refused(flow.post("revoke", {"token": tokens["refresh_token"]}), "invalid_client")
    assert app.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize("given", ["", " ", "null", "undefined", "*"])
def test_no_empty_secret(flow: OAuthFlow, given: str) -> None:
    app = register(flow, "client_secret_basic")
    code, verifier = fresh_code(app)
    for one in (KitApp(flow, "client_secret_basic", app.client_id, given), None):
        if one is not None:
            refused(one.redeem(code, verifier), "invalid_client", 401)
        else:
            fields = {"client_id": app.client_id, "client_secret": given}
            bare = KitApp(flow, "none", app.client_id)
            refused(bare.redeem(code, verifier, **fields), "invalid_client")


def test_a_key_client_cannot_use_another_clients_key(flow: OAuthFlow) -> None:
    mine, other = register(flow, "ES384"), register(flow, "ES384")
    code, verifier = fresh_code(mine)
    forged = KitApp(flow, "ES384", mine.client_id, key=other.key)
    refused(forged.redeem(code, verifier), "invalid_client")
    as_other = KitApp(flow, "ES384", other.client_id, key=other.key)
    refused(as_other.redeem(code, verifier), "invalid_grant", 400)


def test_an_assertion_counts_once_over_all_endpoints(flow: OAuthFlow) -> None:
    app = register(flow, "ES384")
    code, verifier = fresh_code(app)
    text = app.assertion()
    proof = {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": text,
    }
    assert flow.post("introspect", {"token": "x", **proof}).json() == {"active": False}
    fields = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
    refused(flow.post("token", {**fields, **proof}), "invalid_client")
    refused(flow.post("revoke", {"token": "x", **proof}), "invalid_client")


# --- downgrades ---------------------------------------------------------------------------------


def test_no_request_without_pkce_whoever_asks(flow: OAuthFlow) -> None:
    for method in METHODS:
        app = register(flow, method)
        sent, _ = flow.query(
            client_id=app.client_id,
            redirect_uri="https://kit.example/redirect",
            code_challenge=None,
            code_challenge_method=None,
        )
        answer = flow.get(flow.authorize_url(sent))
        assert "error=invalid_request" in answer.headers["Location"]


def test_an_app_cannot_be_exempted_from_pkce_by_itself(flow: OAuthFlow) -> None:
    app = register(flow, "client_secret_basic", pkce_optional=True)
    sent, _ = flow.query(
        client_id=app.client_id,
        redirect_uri="https://kit.example/redirect",
        code_challenge=None,
        code_challenge_method=None,
    )
    assert "error=invalid_request" in flow.get(flow.authorize_url(sent)).headers["Location"]


@pytest.mark.parametrize("redirect_uri", ["https://kit.example/other", "", "https://kit.example/"])
def test_the_redirect_uri_of_the_code_counts(flow: OAuthFlow, redirect_uri: str) -> None:
    """Registered or not: a code goes with the address it was sent to."""
    app = register(
        flow,
        "none",
        redirect_uris=["https://kit.example/redirect", "https://kit.example/other"],
    )
    code, verifier = fresh_code(app)
    refused(app.redeem(code, verifier, redirect_uri=redirect_uri), "invalid_grant", 400)


@pytest.mark.parametrize("grant_type", ["client_credentials", "password", "implicit", "urn:x"])
def test_a_launch_app_gets_nothing_without_a_launch(flow: OAuthFlow, grant_type: str) -> None:
    for method in METHODS:
        app = register(flow, method)
        fields = {"grant_type": grant_type, "scope": "system/*.rs patient/*.rs"}
        answer = app.post("token", fields)
        assert answer.status_code == 400
        assert "access_token" not in answer.text


@pytest.mark.parametrize("grant_type", ["authorization_code", "refresh_token"])
def test_a_service_has_no_launch(
    backend: BackendFlow, granted: dict[str, Any], grant_type: str
) -> None:
    answer = backend.ask(
        backend.assertion(),
        grant_type=grant_type,
        code="x",
        refresh_token=granted["refresh_token"],
        redirect_uri="x",
        code_verifier="v" * 43,
    )
    assert answer.json()["error"] in ("unauthorized_client", "invalid_grant")


# --- forged access tokens -----------------------------------------------------------------------


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def signed(header: dict[str, Any], claims: dict[str, Any], key: Any) -> str:
    return jwt.encode(header, claims, key, algorithms=[str(header["alg"])])


def _published(flow: OAuthFlow, kty: str) -> dict[str, Any]:
    keys = flow.get(f"{flow.base}/.well-known/jwks.json").json()["keys"]
    found: dict[str, Any] = next(key for key in keys if key["kty"] == kty)
    return found


Forger = Callable[[OAuthFlow, str], str]


def _own_key(flow: OAuthFlow, token: str, **header: Any) -> str:
    key = ECKey.generate_key("P-256", {"kid": _published(flow, "EC")["kid"]})
    head = {"alg": "ES256", "typ": "at+jwt", "kid": key.kid, **header}
    if header.get("jwk"):
        head["jwk"] = key.as_dict(private=False)
    return signed(head, claims_of(token), key)


def _public_key_as_secret(flow: OAuthFlow, token: str) -> str:
    published = _published(flow, "EC")
    secret = ECKey.import_key(published).as_pem(private=False)
    head = encoded({"alg": "HS256", "typ": "at+jwt", "kid": published["kid"]})
    text = f"{head}.{encoded(claims_of(token))}"
    mac = hmac.digest(secret, text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def _changed_claims(changes: dict[str, Any]) -> Forger:
    def forge(_: OAuthFlow, token: str) -> str:
        head, _body, sign = token.split(".")
        return f"{head}.{encoded({**claims_of(token), **changes})}.{sign}"

    return forge


def _changed_header(**changes: Any) -> Forger:
    def forge(_: OAuthFlow, token: str) -> str:
        head, body, sign = token.split(".")
        padded = head + "=" * (-len(head) % 4)
        header = {**json.loads(base64.urlsafe_b64decode(padded)), **changes}
        return f"{encoded(header)}.{body}.{sign}"

    return forge


FORGERS: dict[str, Forger] = {
    "no signature": lambda _, token: token.rpartition(".")[0] + ".",
    "no signature part": lambda _, token: token.rpartition(".")[0],
    "alg none": _changed_header(alg="none"),
    "alg None": _changed_header(alg="None"),
    "alg HS256": _changed_header(alg="HS256"),
    "alg RS256": _changed_header(alg="RS256"),
    "alg ES384": _changed_header(alg="ES384"),
    "alg as list": _changed_header(alg=["ES256"]),
    "no alg": _changed_header(alg=None),
    "typ JWT": _changed_header(typ="JWT"),
    "unknown kid": _changed_header(kid="unknown"),
    "kid as a path": _changed_header(kid="../../../../dev/null"),
    "kid as SQL": _changed_header(kid="x' OR '1'='1"),
    "kid as a number": _changed_header(kid=1),
    "kid as an object": _changed_header(kid={"a": 1}),
    "critical header": _changed_header(crit=["exp"], exp=1),
    "own key under our kid": _own_key,
    "own key in the header": lambda flow, token: _own_key(flow, token, jwk=True),
    "own key by jku": lambda flow, token: _own_key(flow, token, jku="https://evil.example/k"),
    "own key by x5u": lambda flow, token: _own_key(flow, token, x5u="https://evil.example/k"),
    "public key as secret": _public_key_as_secret,
    "later exp": _changed_claims({"exp": 2**33}),
    "wider scope": _changed_claims({"scope": "user/*.rs system/*.rs"}),
    "another patient": _changed_claims({"patient": "qubs-220040"}),
    "another grant": _changed_claims({"gid": "x"}),
    "zeroes as signature": lambda _, token: f"{token.rpartition('.')[0]}.{'A' * 86}",
    "signature twice": lambda _, token: f"{token}.{token.rpartition('.')[2]}",
    "padding": lambda _, token: token + "==",
    "newline": lambda _, token: token + "%0A",
    "JSON serialization": lambda _, token: json.dumps(
        dict(zip(("protected", "payload", "signature"), token.split("."), strict=True))
    ),
    "huge": lambda _, token: token + "A" * 7000,
    "dots": lambda *_: "." * 2000,
}


@pytest.mark.parametrize("kind", FORGERS)
def test_a_forged_access_token_opens_nothing(
    flow: OAuthFlow, granted: dict[str, Any], confidential: OAuthFlow, kind: str
) -> None:
    token = FORGERS[kind](flow, granted["access_token"])
    answer = flow.fhir(f"Patient/{granted['patient']}", token)
    assert answer.status_code == 401
    assert answer.json()["resourceType"] == "OperationOutcome"
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer ")
    assert re.search('error="invalid_(token|request)"', challenge)
    client = confidential.client
    fields = {
        "token": token,
        "client_id": client["client_id"],
        "client_secret": client["client_secret"],
    }
    assert flow.post("introspect", fields).json() == {"active": False}
    spoilt = flow.post(
        "introspect",
        {"token": granted["access_token"]},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert spoilt.status_code == 401


@pytest.mark.parametrize("kind", ["another key", "unsigned", "expired"])
def test_an_id_token_is_no_proof_here(flow: OAuthFlow, granted: dict[str, Any], kind: str) -> None:
    """An id_token, ours or a forged one, is nowhere taken for a login or a client."""
    claims = {**claims_of(granted["id_token"]), "exp": int(time.time()) + 600}
    key = RSAKey.generate_key(2048)
    texts = {
        "another key": signed({"alg": "RS256", "kid": "x"}, claims, key),
        "unsigned": f"{encoded({'alg': 'none'})}.{encoded(claims)}.",
        "expired": granted["id_token"],
    }
    for field in ("id_token_hint", "id_token"):
        found = flow.ask(**{field: texts[kind], "prompt": "none"})
        assert "error=login_required" in found.headers["Location"]
    assert flow.fhir("Patient", texts[kind]).status_code == 401


def test_guessing_a_code_never_works_by_its_beginning(flow: OAuthFlow) -> None:
    app = register(flow, "none")
    code, verifier = fresh_code(app)
    for guess in (code[:-1], code + "A", code.lower(), code.upper(), f" {code}", f"{code} "):
        if guess != code:
            refused(app.redeem(guess, verifier), "invalid_grant", 400)
    assert app.redeem(code, verifier).status_code == 200


def test_tokens_are_not_to_be_guessed(flow: OAuthFlow) -> None:
    """160 bits at least, and nothing in common between two of them (RFC 6749 section 10.10)."""
    app = register(flow, "none")
    found = [app.redeem(*fresh_code(app)).json()["refresh_token"] for _ in range(2)]
    codes = [fresh_code(app)[0] for _ in range(2)]
    for first, second in (found, codes):
        assert min(len(first), len(second)) >= 27
        assert sum(a == b for a, b in zip(first, second, strict=False)) < 12
