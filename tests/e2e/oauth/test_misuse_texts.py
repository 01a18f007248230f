"""Texts and sizes that no client means well with, at every endpoint: each is a refusal, never a
failure.
"""

from __future__ import annotations

import base64
import secrets
from urllib.parse import quote

import pytest
import requests

from tests.support.demo_tokens import http_session
from tests.support.oauth_checks import refused
from tests.support.oauth_flow import BackendFlow, OAuthFlow

TEXTS = {
    "NUL": "a\0b",
    "newline": "a\r\nX-Evil: 1",
    "escape": "\x1b[31m",
    "right to left": "\u202egpj.exe",
    "not assigned": "\U000e0001",
    "combining": "e\u0301" * 50,
    "emoji": "\U0001f600",
    "markup": "<script>alert(1)</script>",
    "template": "{{1787*1789}}${1787*1789}",
    "SQL": "' OR 1=1 --",
    "path": "../../etc/passwd",
    "long": "x" * 20_000,
    "number": "9" * 400,
}


def harmless(answer: requests.Response) -> None:
    assert 400 <= answer.status_code < 500, answer.status_code
    assert "X-Evil" not in answer.headers
    assert "Traceback" not in answer.text
    assert "alert(1)</script>" not in answer.text
    assert "3196943" not in answer.text


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("field", ["client_id", "code", "refresh_token", "scope", "redirect_uri"])
def test_strange_texts_at_the_token_endpoint(flow: OAuthFlow, field: str, text: str) -> None:
    grant = "refresh_token" if field in ("refresh_token", "scope") else "authorization_code"
    fields = {
        "grant_type": grant,
        "client_id": flow.client["client_id"],
        "code": "x",
        "redirect_uri": flow.redirect_uri,
        "code_verifier": "v" * 43,
        "refresh_token": "x",
        field: TEXTS[text],
    }
    answer = flow.post("token", fields)
    harmless(answer)
    assert answer.json()["error"] in (
        "invalid_client", "invalid_grant", "invalid_scope", "invalid_request"
    )  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("endpoint", ["introspect", "revoke"])
def test_strange_texts_as_tokens(confidential: OAuthFlow, endpoint: str, text: str) -> None:
    fields = {
        "token": TEXTS[text],
        "token_type_hint": TEXTS[text],
        "client_id": confidential.client["client_id"],
        "client_secret": confidential.client["client_secret"],
    }
    answer = confidential.post(endpoint, fields)
    if endpoint == "introspect":
        assert answer.status_code == 200
        assert answer.json() == {"active": False}
    else:
        assert answer.status_code == 200


@pytest.mark.parametrize("text", TEXTS)
def test_strange_texts_at_the_authorization_endpoint(flow: OAuthFlow, text: str) -> None:
    """Where a parameter is wrong the app is told; where the app is unknown, the person."""
    for field in ("scope", "nonce", "prompt", "max_age", "aud", "launch", "response_type"):
        answer = flow.ask(**{field: TEXTS[text]})
        assert answer.status_code in (200, 302, 303, 414)
        assert "X-Evil" not in answer.headers
    for field in ("client_id", "redirect_uri"):
        harmless(flow.ask(**{field: TEXTS[text]}))


@pytest.mark.parametrize("text", TEXTS)
def test_strange_texts_in_a_basic_header(flow: OAuthFlow, text: str) -> None:
    pair = f"{quote(TEXTS[text])}:{quote(TEXTS[text])}"
    header = "Basic " + base64.b64encode(pair.encode()).decode()
    if len(header) > 8000:
        header = header[:8000]
    answer = flow.post("token", {"grant_type": "refresh_token"}, headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    "raw", [b"%ED%A0%80", b"%C0%AF", b"%F8%88%80%80%80", b"%FF", b"%F4%90%80%80"]
)
@pytest.mark.parametrize("field", [b"client_id", b"refresh_token", b"username"])
def test_bytes_that_are_no_text(flow: OAuthFlow, field: bytes, raw: bytes) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = b"grant_type=refresh_token&request=x&csrf=x&password=x&" + field + b"=" + raw
    for endpoint in ("token", "introspect", "revoke", "login", "consent", "authorize"):
        assert 400 <= flow.post(endpoint, body, headers=form).status_code < 500


@pytest.mark.parametrize(
    "path",
    ["auth/token", "auth/authorize", "auth/login", "auth/consent", "auth/register", "auth/launch"],
)
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/json"])
def test_a_body_of_megabytes_is_refused_unread(flow: OAuthFlow, path: str, kind: str) -> None:
    with http_session() as own:
        answer = own.post(
            f"{flow.base}/{path}",
            data=b"a=" + b"x" * 3_000_000,
            headers={"Content-Type": kind},
            timeout=30,
            allow_redirects=False,
        )
    assert answer.status_code in (400, 413)


DEEP = b'{"sub":"acme-backend","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}"


@pytest.mark.parametrize("path", ["register", "launch"])
def test_deeply_nested_json_is_refused(flow: OAuthFlow, path: str) -> None:
    answer = flow.post(path, DEEP, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_request", "invalid_client_metadata")


@pytest.mark.parametrize("part", ["header", "claims"])
def test_a_deeply_nested_assertion_is_refused(backend: BackendFlow, part: str) -> None:
    head, body = backend.assertion().split(".")[:2]
    deep = base64.urlsafe_b64encode(DEEP).rstrip(b"=").decode()
    text = f"{deep}.{body}.x" if part == "header" else f"{head}.{deep}.x"
    refused(backend.ask(text), "invalid_client")


def test_a_deeply_nested_access_token_is_refused(flow: OAuthFlow) -> None:
    small = DEEP[:26] + b"[" * 2000 + b"]" * 2000 + b"}"
    deep = base64.urlsafe_b64encode(small).rstrip(b"=").decode()
    assert flow.fhir("Patient", f"{deep}.e30.x").status_code == 401


def test_thousands_of_scopes_are_refused(flow: OAuthFlow) -> None:
    letters = ["r", "s", "rs", "read", "cruds", "u", "d"]
    scope = " ".join(f"patient/Patient.{letters[n % 7]}" for n in range(3000))
    sent, _ = flow.query(scope=f"launch/patient {scope}")
    answer = flow.post("authorize", sent)
    assert "error=invalid_scope" in answer.headers["Location"]


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override"])
def test_no_header_changes_the_method(flow: OAuthFlow, header: str) -> None:
    url = f"{flow.base}/auth/token"
    answer = flow.http.get(url, headers={header: "POST"}, timeout=30)
    assert answer.status_code == 405
    answer = flow.post(f"token?_method={secrets.token_hex(2)}", {}, headers={header: "GET"})
    assert answer.status_code == 400
