"""The authorization request: RFC 6749 section 4.1.1, RFC 7636, RFC 9700, SMART App Launch 2.2."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest

from tests.support.oauth_checks import no_store, redirected_error
from tests.support.oauth_flow import OAuthFlow

EVIL = "https://evil.example/cb"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"client_id": "nobody"}, id="unknown client"),
        pytest.param({"client_id": None}, id="no client"),
        pytest.param({"client_id": "acme-backend"}, id="client without redirect URI"),
        pytest.param({"redirect_uri": None}, id="no redirect URI"),
        pytest.param({"redirect_uri": EVIL}, id="foreign"),
        pytest.param({"redirect_uri": "http://localhost:8765/app.html/"}, id="slash"),
        pytest.param({"redirect_uri": "http://localhost:8765/app.html?x=1"}, id="query"),
        pytest.param({"redirect_uri": "http://localhost:8765/app.html#x"}, id="fragment"),
        pytest.param({"redirect_uri": "http://localhost:8766/app.html"}, id="port"),
        pytest.param({"redirect_uri": "https://localhost:8765/app.html"}, id="scheme"),
        pytest.param({"redirect_uri": "http://LOCALHOST:8765/app.html"}, id="case of host"),
        pytest.param({"redirect_uri": "http://localhost:8765/APP.html"}, id="case of path"),
        pytest.param({"redirect_uri": "http://localhost:8765/x/../app.html"}, id="dots"),
        pytest.param({"redirect_uri": "http://localhost:8765/app%2Ehtml"}, id="escape"),
        pytest.param({"redirect_uri": "http://localhost:8765@evil.example/app.html"}, id="user"),
        pytest.param({"redirect_uri": "http://localhost:8765.evil.example/app.html"}, id="suffix"),
        pytest.param({"redirect_uri": "http://127.0.0.1:8765/app.html"}, id="loopback"),
        pytest.param({"redirect_uri": "http://localhost:8765/cb"}, id="another app's"),
        pytest.param({"redirect_uri": "javascript:alert(1)"}, id="script"),
        pytest.param({"redirect_uri": "//evil.example/cb"}, id="no scheme"),
    ],
)
def test_no_redirect_to_an_address_that_is_not_the_apps(
    flow: OAuthFlow, changes: dict[str, str | None]
) -> None:
    answer = flow.ask(**changes)
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    assert answer.headers["Content-Type"].startswith("text/html")
    no_store(answer)


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_repeated_identity_does_not_redirect(flow: OAuthFlow, name: str) -> None:
    fields, _ = flow.query()
    answer = flow.get(flow.authorize_url(fields) + f"&{name}={quote(EVIL)}")
    assert answer.status_code == 400
    assert "Location" not in answer.headers


def test_what_was_received_is_shown_escaped(flow: OAuthFlow) -> None:
    answer = flow.ask(client_id="<script>alert(1)</script>")
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"request": "eyJhbGciOiJub25lIn0."}, "request_not_supported"),
        ({"request_uri": "https://app.example/r"}, "request_uri_not_supported"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": "a" * 129}, "invalid_request"),
        ({"code_challenge": "a" * 42 + "="}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"state": ""}, "invalid_request"),
        ({"aud": None}, "invalid_request"),
        ({"aud": "https://other.example/fhir"}, "invalid_request"),
        ({"aud": "//"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"scope": "nonsense patient/Nothing.rs patient/*.sr"}, "invalid_scope"),
        ({"scope": "system/*.rs"}, "invalid_scope"),
        ({"scope": "patient/*.cud"}, "invalid_scope"),
        ({"scope": "offline_access"}, "invalid_scope"),
        ({"launch": "made-up"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
    ],
)
def test_refused_by_redirect(flow: OAuthFlow, changes: dict[str, str | None], error: str) -> None:
    state = changes.get("state", "s-1") or ""
    answer = flow.ask(**{"state": "s-1", **changes})
    found = redirected_error(answer, flow)
    assert found["error"] == error
    assert len(found["error_description"]) > 10
    assert found.get("state", "") == state
    assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("name", ["scope", "state", "aud", "response_type", "nonce"])
def test_a_repeated_parameter_is_refused(flow: OAuthFlow, name: str) -> None:
    fields, _ = flow.query(nonce="n")
    answer = flow.get(flow.authorize_url(fields) + f"&{name}={quote(fields[name])}")
    assert redirected_error(answer, flow)["error"] == "invalid_request"


@pytest.mark.parametrize(
    "state", ["a%20b+c", "%7B%22x%22%3A1%7D", "~._-'()*", "%E2%82%AC", "a%0D%0AX-Evil:%201", "%25"]
)
def test_state_comes_back_byte_for_byte(flow: OAuthFlow, state: str) -> None:
    fields, _ = flow.query(state=None, aud="wrong")
    answer = flow.get(flow.authorize_url(fields) + f"&state={state}")
    assert answer.headers["Location"].endswith(f"&state={state}")
    assert "X-Evil" not in answer.headers


@pytest.mark.parametrize("form", [True, False], ids=["form", "JSON"])
def test_authorize_by_post(flow: OAuthFlow, form: bool) -> None:
    fields, _ = flow.query(scope="launch/patient patient/*.rs", ignored="x" * 20_000)
    answer = flow.post("authorize", fields if form else None, json=None if form else fields)
    assert answer.status_code == (303 if form else 400)
    if form:
        page = flow.get(
            f"{urlsplit(flow.base)._replace(path='').geturl()}{answer.headers['Location']}"
        )
        assert page.status_code == 200
        assert 'name="password"' in page.text


def test_a_long_scope_fits_into_the_query(flow: OAuthFlow) -> None:
    types = ("Appointment", "DiagnosticReport", "Patient", "Organization", "Location")
    scope = " ".join(f"patient/{one}.{letters}" for one in types for letters in ("rs", "r", "s"))
    answer = flow.ask(scope=f"launch/patient {scope} " + "patient/Unknown.rs " * 130)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "encoded", ["%FF%FE", "client_id=%00", "&&&=&=", "client_id=" + "a" * 3000]
)
def test_malformed_requests_are_a_page_not_a_failure(flow: OAuthFlow, encoded: str) -> None:
    assert flow.get(f"{flow.base}/auth/authorize?{encoded}").status_code == 400
