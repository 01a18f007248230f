"""Apps as a certification kit registers them, and whole launches of them to be looked at."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from joserfc import jwt
from joserfc.jwk import ECKey, KeyParameters, RSAKey

from tests.support.demo_tokens import ASSERTION_TYPE
from tests.support.oauth_browser import OwnBrowser
from tests.support.oauth_checks import SEEN, log_in
from tests.support.oauth_flow import OAuthFlow, basic, changed

HOST = "https://kit.example"
REDIRECT_URI = f"{HOST}/redirect"
LAUNCH_URI = f"{HOST}/launch"
KIT_SCOPE = (
    "launch launch/patient launch/encounter openid fhirUser profile offline_access online_access"
    " patient/*.rs user/*.rs"
)


def signing_key(algorithm: str) -> ECKey | RSAKey:
    """A fresh key for client assertions, ES384 or RS384."""
    told: KeyParameters = {"kid": secrets.token_hex(6), "alg": algorithm, "use": "sig"}
    if algorithm == "ES384":
        return ECKey.generate_key("P-384", told)
    return RSAKey.generate_key(2048, told)


@dataclass(frozen=True)
class KitApp:
    """A registered app. `method` is its way to authenticate: `none`, `client_secret_basic`,
    `ES384` or `RS384` (both private_key_jwt).
    """

    flow: OAuthFlow
    method: str
    client_id: str
    secret: str | None = field(default=None, repr=False)
    key: ECKey | RSAKey | None = field(default=None, repr=False)

    def credentials(self) -> tuple[dict[str, str], dict[str, str]]:
        """Fields and headers by which the app proves itself, made anew for each request."""
        if self.key is not None:
            return {
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": self.assertion(),
            }, {}
        if self.secret is not None:
            return {}, {"Authorization": basic(self.client_id, self.secret)}
        return {"client_id": self.client_id}, {"Origin": HOST}

    def assertion(self, **claims: Any) -> str:
        """A client assertion; `claims` replace those of a good one, None leaves one out."""
        assert self.key is not None
        good = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": f"{self.flow.base}/auth/token",
            "exp": int(time.time()) + 240,
            "jti": secrets.token_hex(32),
        }
        said = {name: value for name, value in {**good, **claims}.items() if value is not None}
        header = {"alg": self.method, "kid": self.key.kid, "typ": "JWT"}
        text = jwt.encode(header, said, self.key, algorithms=[self.method])
        SEEN.add(text)
        return text

    def post(self, endpoint: str, fields: Mapping[str, str]) -> requests.Response:
        """Send a form to an endpoint as this app."""
        proof, headers = self.credentials()
        answer = self.flow.post(endpoint, {**fields, **proof}, headers=headers)
        if endpoint == "token" and answer.ok:
            named = ("access_token", "refresh_token", "id_token")
            SEEN.update(answer.json()[name] for name in named if name in answer.json())
        return answer

    def redeem(self, code: str, verifier: str, **changes: str | None) -> requests.Response:
        """Exchange a code."""
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": verifier,
        }
        return self.post("token", changed(fields, changes))

    def refresh(self, token: str, **fields: str) -> requests.Response:
        """Exchange a refresh token."""
        return self.post("token", {"grant_type": "refresh_token", "refresh_token": token, **fields})


def register(flow: OAuthFlow, method: str, **metadata: Any) -> KitApp:
    """Register an app by RFC 7591, which is open in the demo."""
    key = signing_key(method) if method in ("ES384", "RS384") else None
    document: dict[str, Any] = {
        "client_name": f"Kit {method}",
        "redirect_uris": [REDIRECT_URI],
        "launch_uri": LAUNCH_URI,
        "scope": KIT_SCOPE,
        "token_endpoint_auth_method": method if key is None else "private_key_jwt",
        **metadata,
    }
    if key is not None:
        document["jwks"] = {"keys": [key.as_dict(private=False)]}
    answer = flow.post("register", None, json=document)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    app = KitApp(flow, method, body["client_id"], body.get("client_secret"), key)
    SEEN.update(one for one in (app.secret, body.get("registration_access_token")) if one)
    return app


@dataclass(frozen=True)
class Visit:
    """A browser on its way through a launch, the request and its PKCE verifier."""

    browser: OwnBrowser
    sent: Mapping[str, str]
    verifier: str

    @property
    def callback(self) -> dict[str, str]:
        """The parameters the app was called back with."""
        assert self.browser.url.startswith(REDIRECT_URI + "?"), self.browser.url
        return dict(parse_qsl(urlsplit(self.browser.url).query, keep_blank_values=True))


def begin(app: KitApp, scope: str, *, user: str, ehr: bool, post: bool = False) -> Visit:
    """Launch an app as far as the consent page. From the EHR the demo's practitioner is logged in
    and the demo's patient is chosen; a standalone launch logs in and picks.
    """
    flow = app.flow
    browser = OwnBrowser(stop_at=LAUNCH_URI)
    launch = None
    if ehr:
        demo = flow.demo.demo
        url = demo["ehr_launch_url"].format(patient_id=demo["patient_id"], client_id=app.client_id)
        arrived = dict(parse_qsl(urlsplit(browser.open(url).url).query))
        assert arrived["iss"] == flow.base, "an EHR launch names the FHIR base"
        launch = arrived["launch"]
        SEEN.add(launch)
    browser.stop_at = REDIRECT_URI
    sent, verifier = flow.query(
        client_id=app.client_id, redirect_uri=REDIRECT_URI, scope=scope, launch=launch
    )
    SEEN.add(verifier)
    if post:
        browser._go("post", f"{flow.base}/auth/authorize", list(sent.items()))
    else:
        browser.open(flow.authorize_url(sent))
    if not ehr:
        log_in(browser, flow.demo.demo["users"][user])
        if any("patient" in form.names() for form in browser.forms()):
            chosen = {"patient": flow.demo.demo["patient_id"]}
            browser.submit(browser.form("patient"), {**chosen}, "action=continue")
    return Visit(browser, sent, verifier)


def allow(visit: Visit, ticked: list[str] | None = None) -> dict[str, str]:
    """Press "allow", with these boxes ticked or as the page came; the callback's parameters."""
    fill: dict[str, str | list[str]] = {} if ticked is None else {"scope": ticked}
    visit.browser.submit(visit.browser.form("decision"), fill, "decision=allow")
    found = visit.callback
    if "code" in found:
        SEEN.add(found["code"])
    visit.browser.close()
    return found
