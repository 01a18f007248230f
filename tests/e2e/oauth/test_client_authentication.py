"""How clients say who they are: RFC 6749 section 2.3, RFC 7523."""

from __future__ import annotations

import base64
import secrets
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from sandbox.demo.forms import FormBrowser
from tests.support.demo_tokens import ASSERTION_TYPE
from tests.support.oauth_checks import SEEN, later, log_in, refused, standalone_code
from tests.support.oauth_flow import OAuthFlow, basic


@pytest.mark.parametrize(
    ("headers", "form", "status", "error"),
    [
        ("good", {}, 400, "invalid_grant"),
        ("encoded", {}, 400, "invalid_grant"),
        ("crlf", {}, 400, "invalid_grant"),
        ("good", {"client_id": "acme-confidential-app"}, 400, "invalid_grant"),
        (
            None,
            {"client_id": "acme-confidential-app", "client_secret": "right"},
            400,
            "invalid_grant",
        ),
        ("wrong", {}, 401, "invalid_client"),
        ("unknown", {}, 401, "invalid_client"),
        ("public", {}, 401, "invalid_client"),
        ("no colon", {}, 401, "invalid_client"),
        ("not base64", {}, 401, "invalid_client"),
        ("JWT in Basic", {}, 401, "invalid_client"),
        ("bearer", {}, 401, "invalid_client"),
        ("good", {"client_id": "acme-public-app"}, 400, "invalid_request"),
        ("good", {"client_secret": "right", "client_id": "x"}, 400, "invalid_request"),
        ("good", {"client_assertion": "x"}, 400, "invalid_request"),
        (
            None,
            {"client_id": "acme-confidential-app", "client_secret": "bad"},
            None,
            "invalid_client",
        ),
        (None, {"client_id": "acme-confidential-app"}, None, "invalid_client"),
        (None, {"client_secret": "right"}, None, "invalid_client"),
        (None, {"client_id": "acme-public-app", "client_secret": "x"}, None, "invalid_client"),
        (None, {"client_id": "acme-backend"}, None, "invalid_client"),
    ],
)
def test_client_authentication(
    confidential: OAuthFlow,
    headers: str | None,
    form: dict[str, str],
    status: int | None,
    error: str,
) -> None:
    """`invalid_grant` says that the client was let in: the code is what is wrong."""
    name, secret = confidential.client["client_id"], confidential.client["client_secret"]
    jwt_like = "eyJhbGciOiJSUzM4NCJ9.eyJzdWIiOiJ4In0.c2ln"
    forms = {
        "good": basic(name, secret),
        "encoded": basic(name, secret, encoded=True),
        "crlf": basic(name, secret, tail="\r\n"),
        "wrong": basic(name, "wrong"),
        "unknown": basic("nobody", secret),
        "public": basic("acme-public-app", ""),
        "no colon": "Basic " + base64.b64encode(name.encode()).decode(),
        "not base64": "Basic !!!",
        "JWT in Basic": f"Basic {jwt_like}",
        "bearer": "Bearer x",
    }
    fields = {"grant_type": "authorization_code", "code": "x", "redirect_uri": "y", **form}
    if fields.get("client_secret") == "right":
        fields["client_secret"] = secret
    sent = {} if headers is None else {"Authorization": forms[headers]}
    answer = confidential.post("token", fields, headers=sent)
    refused(answer, error, status)
    if answer.status_code == 401 and headers is not None:
        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_a_confidential_code_by_basic(confidential: OAuthFlow) -> None:
    app = confidential
    code, verifier = standalone_code(app, "launch/patient patient/*.rs", user="patient")
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": app.redirect_uri,
        "code_verifier": verifier,
    }
    header = basic(app.client["client_id"], app.client["client_secret"], encoded=True)
    answer = app.post("token", fields, headers={"Authorization": header})
    assert answer.status_code == 200
    SEEN.add(answer.json()["access_token"])


def test_a_launch_client_may_authenticate_by_its_key(flow: OAuthFlow) -> None:
    key = ECKey.generate_key("P-384", {"kid": "launch-key", "alg": "ES384"})
    metadata = {
        "client_name": "Keyed app",
        "redirect_uris": [flow.redirect_uri],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [key.as_dict(private=False)]},
        "scope": "launch/patient patient/*.rs",
    }
    registered = flow.post("register", None, json=metadata)
    assert registered.status_code == 201
    client_id = registered.json()["client_id"]
    fields, verifier = flow.query(client_id=client_id, scope="launch/patient patient/*.rs")
    with FormBrowser(stop_at=flow.redirect_uri) as browser:
        browser.open(flow.authorize_url(fields))
        log_in(browser, flow.demo.demo["users"]["patient"])
        browser.submit(browser.form("decision"), {}, "decision=allow")
        code = parse_qs(urlsplit(browser.url).query)["code"][0]
    refused(flow.redeem(code, verifier, client_id=client_id), "invalid_client")
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": f"{flow.base}/auth/token",
        "exp": later(60),
        "jti": secrets.token_hex(8),
    }
    header = {"alg": "ES384", "kid": "launch-key", "typ": "JWT"}
    proof = {
        "client_id": None,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": jwt.encode(header, claims, key, algorithms=["ES384"]),
    }
    assert flow.redeem(code, verifier, **proof).json()["scope"] == metadata["scope"]
