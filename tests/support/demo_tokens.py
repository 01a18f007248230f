"""Access tokens of a running demo, got as apps get them: by launch, login, consent and code, or by
a signed client assertion.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from sandbox.demo.forms import FormBrowser
from tests.support.demo import RunningDemo

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def http_session() -> requests.Session:
    """A session that takes no proxy from the environment."""
    session = requests.Session()
    session.trust_env = False
    return session


def backend_token(
    demo: RunningDemo,
    client: str = "backend",
    scope: str = "system/*.rs",
    tenant: str | None = None,
) -> str:
    """A token of a backend client of the contract (`backend`, `second_backend`, …)."""
    base, contract = of_tenant(demo, tenant)
    found = contract["clients"].get(client) or contract[client]
    jwk = found["jwk"]
    key = ECKey.import_key(jwk) if jwk["kty"] == "EC" else RSAKey.import_key(jwk)
    algorithm = "ES384" if jwk["kty"] == "EC" else "RS384"
    claims = {
        "iss": found["client_id"],
        "sub": found["client_id"],
        "aud": f"{base}/auth/token",
        "exp": int(time.time()) + 240,
        "jti": secrets.token_hex(16),
    }
    header = {"alg": algorithm, "kid": jwk["kid"], "typ": "JWT"}
    assertion = jwt.encode(header, claims, key, algorithms=[algorithm])
    fields = {
        "grant_type": "client_credentials",
        "scope": scope,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
    }
    return str(_ask(base, fields)["access_token"])


def launch_token(
    demo: RunningDemo,
    scope: str,
    *,
    user: str = "practitioner",
    patient: str | None = None,
    tenant: str | None = None,
) -> dict[str, Any]:
    """The token answer of a standalone launch of the public app; `patient` is whom a practitioner
    picks (the demo's patient by default).
    """
    base, contract = of_tenant(demo, tenant)
    client = contract["clients"]["public"]
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": client["client_id"],
        "redirect_uri": client["redirect_uri"],
        "scope": scope,
        "state": secrets.token_urlsafe(16),
        "aud": base,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    url = f"{base}/auth/authorize?{urlencode(query)}"
    person = contract["users"][user]
    chosen = patient or contract["patient_id"]
    code = _code(url, client["redirect_uri"], person, chosen)
    return _ask(
        base,
        {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": client["redirect_uri"],
            "client_id": client["client_id"],
            "code_verifier": verifier,
        },
    )


def of_tenant(demo: RunningDemo, tenant: str | None) -> tuple[str, dict[str, Any]]:
    """FHIR base and contract of the first tenant, or of another by its slug."""
    if tenant is None:
        return demo.base, demo.demo
    contract = demo.demo["tenants"][tenant]
    return str(contract["fhir_base"]), contract


def _code(url: str, redirect_uri: str, person: Mapping[str, str], patient: str) -> str:
    browser = FormBrowser(stop_at=redirect_uri)
    try:
        browser.open(url)
        login = browser.form("username", "password")
        browser.submit(login, {"username": person["username"], "password": person["password"]})
        for _ in range(5):
            if browser.url.startswith(redirect_uri):
                break
            picker = [one for one in browser.forms() if "patient" in one.names()]
            if picker and patient not in picker[0].options("patient"):
                browser.submit(picker[0], {"q": patient.partition("-")[2]}, "action=search")
            elif picker:
                browser.submit(picker[0], {"patient": patient}, "action=continue")
            else:
                browser.submit(browser.forms()[0])
        answer = parse_qs(urlsplit(browser.url).query)
    finally:
        browser.close()
    assert "code" in answer, sorted(answer)
    return answer["code"][0]


def _ask(base: str, fields: Mapping[str, str]) -> dict[str, Any]:
    with http_session() as session:
        answer = session.post(f"{base}/auth/token", data=dict(fields), timeout=30)
    body: dict[str, Any] = answer.json()
    assert answer.status_code == 200, body
    return body
