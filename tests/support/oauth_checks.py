"""What every test of the authorization server asks of an answer, and steps of a launch that many
take.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from sandbox.demo.forms import FormBrowser
from tests.support.demo_tokens import http_session
from tests.support.oauth_browser import OwnBrowser
from tests.support.oauth_flow import OAuthFlow

ORIGIN = {"Origin": "https://app.example"}
OFFLINE = "launch openid fhirUser offline_access patient/*.rs"
SEEN: set[str] = set()
"""Every code, token, verifier and assertion of these tests, which must be kept nowhere in clear."""


def log_in(browser: FormBrowser, person: dict[str, str]) -> None:
    form = browser.form("username", "password")
    browser.submit(form, {"username": person["username"], "password": person["password"]})


def standalone_code(
    flow: OAuthFlow, scope: str, user: str = "practitioner", patient: str | None = None
) -> tuple[str, str]:
    """A code of a standalone launch."""
    fields, verifier = flow.query(scope=scope)
    with OwnBrowser(stop_at=flow.redirect_uri) as browser:
        browser.open(flow.authorize_url(fields))
        log_in(browser, flow.demo.demo["users"][user])
        if any("patient" in form.names() for form in browser.forms()):
            chosen = patient or flow.demo.demo["patient_id"]
            browser.submit(browser.form("patient"), {"patient": chosen}, "action=continue")
        browser.submit(browser.form("decision"), {}, "decision=allow")
        code = parse_qs(urlsplit(browser.url).query)["code"][0]
    SEEN.update((code, verifier))
    return code, verifier


def refused(answer: requests.Response, error: str, status: int | None = None) -> None:
    """An RFC 6749 section 5.2 error: JSON, a description that may be shown, no-store."""
    assert answer.status_code == status if status else answer.status_code in (400, 401)
    body = answer.json()
    assert body["error"] == error, body
    assert re.fullmatch(r"[\x20-\x21\x23-\x5B\x5D-\x7E]{8,}", body["error_description"])
    assert answer.headers["Content-Type"].startswith("application/json")
    no_store(answer)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert not {"access_token", "refresh_token"} & body.keys()


def no_store(answer: requests.Response) -> None:
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"


def redirected_error(answer: requests.Response, flow: OAuthFlow) -> dict[str, str]:
    assert answer.status_code in (302, 303), answer.status_code
    target = answer.headers["Location"]
    assert target.startswith(flow.redirect_uri + "?")
    found = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
    assert "code" not in found
    return found


def at_once(asks: list[Callable[[requests.Session], requests.Response]]) -> list[int]:
    """The statuses of requests sent at the same time, each on a connection of its own."""

    def ask(one: Callable[[requests.Session], requests.Response]) -> int:
        with http_session() as own:
            return one(own).status_code

    with ThreadPoolExecutor(len(asks)) as pool:
        return sorted(pool.map(ask, asks))


def every_worker_refuses(flow: OAuthFlow, path: str, token: str) -> None:
    """New connections, so that each worker is asked."""
    for _ in range(8):
        answer = requests.Session()
        answer.trust_env = False
        with answer:
            got = answer.get(
                f"{flow.base}/{path}", headers={"Authorization": f"Bearer {token}"}, timeout=30
            )
        assert got.status_code == 401
        assert 'error="invalid_token"' in got.headers["WWW-Authenticate"]


def later(seconds: int) -> int:
    return int(time.time()) + seconds


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a JWT, unchecked."""
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found
