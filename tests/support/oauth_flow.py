"""Launches of a running demo, step by step, so that a test can spoil any one of them."""

from __future__ import annotations

import base64
import hashlib
import secrets
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import requests
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from sandbox.demo.forms import FormBrowser
from tests.support.demo import RunningDemo
from tests.support.demo_tokens import ASSERTION_TYPE, http_session

Changes = Mapping[str, str | None]


def changed(fields: Mapping[str, str], changes: Changes) -> dict[str, str]:
    """The fields with some replaced, and those whose change is None left out."""
    both = {**fields, **changes}
    return {name: value for name, value in both.items() if value is not None}


@dataclass
class OAuthFlow:
    """One app of the demo's first tenant. Launches from the EHR, as its practitioner, unless a
    method says otherwise. `seen` collects every secret that went over the wire.
    """

    demo: RunningDemo
    app: str = "public"
    seen: set[str] = field(default_factory=set)
    http: requests.Session = field(default_factory=http_session)

    @property
    def base(self) -> str:
        return self.demo.base

    @property
    def client(self) -> dict[str, str]:
        found: dict[str, str] = self.demo.demo["clients"][self.app]
        return found

    @property
    def redirect_uri(self) -> str:
        return self.client["redirect_uri"]

    def close(self) -> None:
        self.http.close()

    def query(self, **changes: str | None) -> tuple[dict[str, str], str]:
        """Parameters of a good authorization request, and its PKCE verifier."""
        verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(verifier.encode()).digest()
        fields = {
            "response_type": "code",
            "client_id": self.client["client_id"],
            "redirect_uri": self.redirect_uri,
            "scope": "launch/patient openid fhirUser patient/*.rs",
            "state": secrets.token_urlsafe(16),
            "aud": self.base,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return changed(fields, changes), verifier

    def authorize_url(self, fields: Mapping[str, str]) -> str:
        return f"{self.base}/auth/authorize?{urlencode(fields)}"

    def ask(self, **changes: str | None) -> requests.Response:
        """The first answer of the authorization endpoint; redirects are not followed."""
        fields, _ = self.query(**changes)
        return self.get(self.authorize_url(fields))

    def get(self, url: str, **options: Any) -> requests.Response:
        return self.http.get(url, allow_redirects=False, timeout=30, **options)

    def post(self, endpoint: str, fields: Any, **options: Any) -> requests.Response:
        return self.http.post(
            f"{self.base}/auth/{endpoint}",
            data=fields,
            timeout=30,
            allow_redirects=False,
            **options,
        )

    def from_ehr(self, patient: str | None = None) -> tuple[FormBrowser, str]:
        """A browser in which the practitioner pressed "launch" in the EHR, and the launch value."""
        url = self.demo.demo["ehr_launch_url"].format(
            patient_id=patient or self.demo.demo["patient_id"], client_id=self.client["client_id"]
        )
        browser = FormBrowser(stop_at=self.client.get("launch_url", "http://localhost"))
        browser.open(url)
        launch = parse_qs(urlsplit(browser.url).query)["launch"][0]
        browser.stop_at = self.redirect_uri
        self.seen.add(launch)
        return browser, launch

    def consent_page(
        self, patient: str | None = None, **changes: str | None
    ) -> tuple[FormBrowser, dict[str, str], str]:
        """A browser at the consent page of an EHR launch, the request and its verifier."""
        browser, launch = self.from_ehr(patient)
        scope = "launch openid fhirUser offline_access patient/*.rs"
        fields, verifier = self.query(**{"scope": scope, "launch": launch, **changes})
        browser.open(self.authorize_url(fields))
        return browser, fields, verifier

    def code(
        self,
        ticked: Sequence[str] | None = None,
        patient: str | None = None,
        **changes: str | None,
    ) -> tuple[str, str]:
        """A fresh code and its verifier."""
        browser, _, verifier = self.consent_page(patient, **changes)
        with browser:
            fill: dict[str, str | list[str]] = {} if ticked is None else {"scope": list(ticked)}
            browser.submit(browser.form("decision"), fill, "decision=allow")
            code = parse_qs(urlsplit(browser.url).query)["code"][0]
        self.seen |= {code, verifier}
        return code, verifier

    def redeem(self, code: str, verifier: str, /, **changes: str | None) -> requests.Response:
        """Exchange a code, with the secret of an app that has one."""
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.client["client_id"],
            "code_verifier": verifier,
        }
        if "client_secret" in self.client:
            fields["client_secret"] = self.client["client_secret"]
        return self._token(changed(fields, changes))

    def tokens(
        self, scope: str = "launch openid fhirUser offline_access patient/*.rs", **changes: Any
    ) -> dict[str, Any]:
        """The token answer of a fresh EHR launch."""
        code, verifier = self.code(scope=scope, **changes)
        answer = self.redeem(code, verifier)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def refresh(self, token: str, /, **changes: str | None) -> requests.Response:
        fields = {
            "grant_type": "refresh_token",
            "refresh_token": token,
            "client_id": self.client["client_id"],
        }
        if "client_secret" in self.client:
            fields["client_secret"] = self.client["client_secret"]
        return self._token(changed(fields, changes))

    def fhir(self, path: str, token: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        return self.get(f"{self.base}/{path}", headers=headers, **options)

    def age(self, statement: str, *values: object) -> None:
        """Change times in the demo's database, so that a test need not wait for them."""
        with closing(sqlite3.connect(self.demo.state / "auth.db", timeout=20)) as database:
            changed_rows = database.execute(statement, values).rowcount
            database.commit()
        assert changed_rows == 1

    def _token(self, fields: Mapping[str, str]) -> requests.Response:
        answer = self.post("token", dict(fields))
        if answer.ok:
            body = answer.json()
            named = ("access_token", "refresh_token", "id_token")
            self.seen |= {body[name] for name in named if name in body}
        return answer


@dataclass
class BackendFlow:
    """A backend client's token requests; every part can be spoilt."""

    flow: OAuthFlow
    name: str = "backend"

    @property
    def client(self) -> dict[str, Any]:
        demo = self.flow.demo.demo
        found: dict[str, Any] = demo["clients"].get(self.name) or demo[self.name]
        return found

    @property
    def key(self) -> ECKey | RSAKey:
        jwk = self.client["jwk"]
        return ECKey.import_key(jwk) if jwk["kty"] == "EC" else RSAKey.import_key(jwk)

    def assertion(
        self,
        claims: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
        key: Any = None,
    ) -> str:
        """A signed assertion; a claim or header member that is None is left out."""
        jwk, client_id = self.client["jwk"], self.client["client_id"]
        algorithm = "ES384" if jwk["kty"] == "EC" else "RS384"
        now = int(time.time())
        all_claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": f"{self.flow.base}/auth/token",
            "exp": now + 240,
            "iat": now,
            "jti": secrets.token_hex(16),
            **(claims or {}),
        }
        all_header = {"alg": algorithm, "kid": jwk["kid"], "typ": "JWT", **(header or {})}
        said = {name: value for name, value in all_claims.items() if value is not None}
        head = {name: value for name, value in all_header.items() if value is not None}
        text = jwt.encode(head, said, key or self.key, algorithms=[str(head["alg"])])
        self.flow.seen.add(text)
        return text

    def ask(
        self, assertion: str, scope: str | None = "system/*.rs", **changes: str | None
    ) -> requests.Response:
        """The token endpoint's answer to an assertion."""
        fields = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }
        return self.flow._token(changed(fields, {"scope": scope, **changes}))


def basic(client_id: str, secret: str, *, encoded: bool = False, tail: str = "") -> str:
    """An Authorization header; `encoded` escapes every character that can be."""
    if encoded:
        client_id, secret = (
            "".join(f"%{ord(one):02X}" if one in "-_." else quote(one, safe="") for one in part)
            for part in (client_id, secret)
        )
    return "Basic " + base64.b64encode(f"{client_id}:{secret}{tail}".encode()).decode()
