"""The launch and token service as a strict client sees it: a running demo, plain HTTP, all workers.

Each table row is one promise of RFC 6749, 6750, 7009, 7523, 7636, 7662, 9700, OpenID Connect Core
or SMART App Launch 2.2.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from sandbox.demo.forms import Form, FormBrowser
from smart_auth import keyring
from tests.support.demo import RunningDemo
from tests.support.demo_tokens import ASSERTION_TYPE, http_session
from tests.support.oauth_flow import BackendFlow, OAuthFlow, basic

ORIGIN = {"Origin": "https://app.example"}
OFFLINE = "launch openid fhirUser offline_access patient/*.rs"
SEEN: set[str] = set()
"""Every code, token, verifier and assertion of this file, which must be kept nowhere in clear."""


@pytest.fixture(scope="module")
def flow(demo: RunningDemo) -> Iterator[OAuthFlow]:
    one = OAuthFlow(demo, seen=SEEN)
    yield one
    one.close()


@pytest.fixture(scope="module")
def confidential(demo: RunningDemo) -> Iterator[OAuthFlow]:
    one = OAuthFlow(demo, app="confidential", seen=SEEN)
    yield one
    one.close()


@pytest.fixture(scope="module")
def backend(flow: OAuthFlow) -> BackendFlow:
    return BackendFlow(flow)


@pytest.fixture(scope="module")
def granted(flow: OAuthFlow) -> dict[str, Any]:
    """One launch that tests read from and do not spoil."""
    return flow.tokens(nonce="n-0S6_WzA2Mj")


@pytest.fixture(scope="module")
def confidential_grant(demo: RunningDemo) -> Iterator[tuple[OAuthFlow, dict[str, Any]]]:
    """A standalone launch of the confidential app, by login and picker."""
    one = OAuthFlow(demo, app="confidential", seen=SEEN)
    code, verifier = standalone_code(one, "launch/patient openid fhirUser offline_access user/*.rs")
    answer = one.redeem(code, verifier)
    assert answer.status_code == 200
    yield one, answer.json()
    one.close()


def log_in(browser: FormBrowser, person: dict[str, str]) -> None:
    form = browser.form("username", "password")
    browser.submit(form, {"username": person["username"], "password": person["password"]})


def standalone_code(
    flow: OAuthFlow, scope: str, user: str = "practitioner", patient: str | None = None
) -> tuple[str, str]:
    """A code of a standalone launch."""
    fields, verifier = flow.query(scope=scope)
    with FormBrowser(stop_at=flow.redirect_uri) as browser:
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


# --- discovery and CORS -------------------------------------------------------------------------

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


# --- the authorization request ------------------------------------------------------------------

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
    fields, _ = flow.query(scope="launch/patient patient/*.rs " + "x" * 20_000)
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


# --- launches from the EHR ----------------------------------------------------------------------


def test_a_launch_of_another_app_is_refused(flow: OAuthFlow, demo: RunningDemo) -> None:
    sample = OAuthFlow(demo, app="sample", seen=SEEN)
    browser, launch = sample.from_ehr()
    browser.close()
    sample.close()
    found = redirected_error(flow.ask(launch=launch, scope="launch patient/*.rs"), flow)
    assert found["error"] == "invalid_request"


def test_a_launch_is_used_once(flow: OAuthFlow) -> None:
    browser, fields, _ = flow.consent_page()
    with browser:
        again = flow.query(launch=fields["launch"], scope="launch patient/*.rs")[0]
        browser.submit(browser.form("decision"), {}, "decision=allow")
        assert "code=" in browser.url
        browser.open(flow.authorize_url(again))
        assert "error=invalid_request" in browser.url


def test_an_expired_launch_is_refused(flow: OAuthFlow) -> None:
    browser, launch = flow.from_ehr()
    browser.close()
    digest = keyring.hash_token(launch)
    flow.age("UPDATE launch SET expires_at = 1 WHERE launch_hash = ?", digest)
    found = redirected_error(flow.ask(launch=launch, scope="launch patient/*.rs"), flow)
    assert "expired" in found["error_description"]


def test_a_launch_is_for_its_user_only(flow: OAuthFlow) -> None:
    browser, launch = flow.from_ehr()
    browser.close()
    fields, _ = flow.query(launch=launch, scope="launch patient/*.rs")
    with FormBrowser(stop_at=flow.redirect_uri) as other:
        other.open(flow.authorize_url(fields))
        log_in(other, flow.demo.demo["users"]["patient"])
        assert "error=access_denied" in other.url


def test_an_ehr_launch_shows_no_picker_and_brings_its_patient(flow: OAuthFlow) -> None:
    other = flow.demo.demo["other_patient_id"]
    assert flow.tokens("launch patient/Patient.r", patient=other)["patient"] == other


def test_launch_scope_without_a_launch_is_dropped(flow: OAuthFlow) -> None:
    found = redirected_error(flow.ask(scope="launch"), flow)
    assert found["error"] == "invalid_scope"


# --- pages --------------------------------------------------------------------------------------

PAGE_HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@pytest.mark.parametrize("header", PAGE_HEADERS)
def test_page_headers(flow: OAuthFlow, header: str) -> None:
    assert flow.ask().headers[header] == PAGE_HEADERS[header]


def test_pages_run_no_scripts_and_are_in_no_frame(flow: OAuthFlow) -> None:
    answer = flow.ask()
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script" not in answer.text
    assert "lang=" in answer.text


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(flow: OAuthFlow) -> None:
    with http_session() as fresh:
        answer = fresh.get(flow.authorize_url(flow.query()[0]), timeout=30)
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/fhir/acme/auth" in cookie


def test_wrong_password_then_right(flow: OAuthFlow) -> None:
    person = flow.demo.demo["users"]["practitioner"]
    with FormBrowser(stop_at=flow.redirect_uri) as browser:
        browser.open(flow.authorize_url(flow.query()[0]))
        for name, password in ((person["username"], "wr0ng!"), ("nobody", "wr0ng!")):
            log_in(browser, {"username": name, "password": password})
            assert browser.status == 403
            assert "wr0ng!" not in browser.text
            assert "wrong" in browser.text
        log_in(browser, person)
        assert "patient" in browser.form("patient").names()


def test_the_practitioner_picks_of_real_patients_only(flow: OAuthFlow) -> None:
    with FormBrowser(stop_at=flow.redirect_uri) as browser:
        browser.open(flow.authorize_url(flow.query()[0]))
        log_in(browser, flow.demo.demo["users"]["practitioner"])
        picker = browser.form("patient")
        assert {flow.demo.demo["patient_id"], flow.demo.demo["other_patient_id"]} <= set(
            picker.options("patient")
        )
        for chosen in ("qubs-nobody", "../x", ""):
            browser.submit(picker, {"patient": chosen}, "action=continue")
            assert browser.status == 400
            picker = browser.form("patient")
        browser.submit(picker, {"q": "zzzz no such name"}, "action=search")
        assert "Nobody found" in browser.text


def test_a_patient_sees_no_picker_and_gets_the_own_record(flow: OAuthFlow) -> None:
    own = flow.demo.demo["users"]["patient"]["patient_id"]
    fields, verifier = flow.query()
    with FormBrowser(stop_at=flow.redirect_uri) as browser:
        browser.open(flow.authorize_url(fields))
        log_in(browser, flow.demo.demo["users"]["patient"])
        assert not any("patient" in form.names() for form in browser.forms())
        consent = browser.form("decision")
        token = next(one.value for one in consent.fields if one.name == "csrf")
        ours = next(one.value for one in consent.fields if one.name == "request")
        picked = Form(consent.action.replace("consent", "patient"), "post", [])
        stolen = {"request": ours, "csrf": token, "patient": flow.demo.demo["patient_id"]}
        browser.submit(picked, {**stolen, "action": "continue"})
        assert browser.status == 400
        browser.open(flow.authorize_url(fields))
        browser.submit(browser.form("decision"), {}, "decision=allow")
        code = parse_qs(urlsplit(browser.url).query)["code"][0]
    answer = flow.redeem(code, verifier).json()
    assert answer["patient"] == own
    other = flow.fhir(f"Patient/{flow.demo.demo['patient_id']}", answer["access_token"])
    assert other.status_code == 404


def test_deny_goes_back_with_access_denied(flow: OAuthFlow) -> None:
    browser, fields, _ = flow.consent_page()
    with browser:
        browser.submit(browser.form("decision"), {}, "decision=deny")
        query = parse_qs(urlsplit(browser.url).query)
    assert query["error"] == ["access_denied"]
    assert query["state"] == [fields["state"]]


def test_nothing_ticked_is_a_no(flow: OAuthFlow) -> None:
    browser, _, _ = flow.consent_page()
    with browser:
        browser.submit(browser.form("decision"), {"scope": []}, "decision=allow")
        assert "error=access_denied" in browser.url


def test_what_is_unticked_is_not_granted(flow: OAuthFlow) -> None:
    scope = "launch openid fhirUser patient/Patient.rs patient/Appointment.rs"
    ticked = ["launch", "patient/Patient.rs", "patient/*.cruds", "user/*.rs"]
    answer = flow.tokens(scope, ticked=ticked)
    assert answer["scope"].split() == ["launch", "patient/Patient.rs"]
    assert "id_token" not in answer
    assert flow.fhir("Appointment", answer["access_token"]).status_code == 403


def test_consent_counts_once(flow: OAuthFlow) -> None:
    browser, _, _ = flow.consent_page()
    with browser:
        form, page = browser.form("decision"), browser.url
        browser.submit(form, {}, "decision=allow")
        assert "code=" in browser.url
        browser.url = page
        browser.submit(form, {}, "decision=allow")
        assert "code=" not in browser.url
        assert browser.status == 400


@pytest.mark.parametrize("csrf", [None, "", "x", "of another form"])
@pytest.mark.parametrize("page", ["login", "consent"])
def test_a_form_without_our_token_does_nothing(
    flow: OAuthFlow, page: str, csrf: str | None
) -> None:
    if page == "consent":
        browser = flow.consent_page()[0]
        form = browser.form("decision")
    else:
        browser = FormBrowser(stop_at=flow.redirect_uri)
        browser.open(flow.authorize_url(flow.query()[0]))
        form = browser.form("password")
    with browser:
        here = browser.url
        fill: dict[str, str | list[str]] = {"csrf": csrf or ""}
        if csrf == "of another form":
            browser.open(flow.authorize_url(flow.query()[0]))
            fill["csrf"] = next(
                one.value for f in browser.forms() for one in f.fields if one.name == "csrf"
            )
        if csrf is None:
            form.fields = [one for one in form.fields if one.name != "csrf"]
            fill = {}
        if page == "login":
            fill |= dict(flow.demo.demo["users"]["practitioner"].items())
        browser.url = here
        browser.submit(form, fill, "decision=allow" if page == "consent" else None)
        assert browser.status == 400
        assert "code=" not in browser.url


def test_a_request_begun_in_another_browser_is_not_shown(flow: OAuthFlow) -> None:
    with FormBrowser() as mine, FormBrowser() as other:
        mine.open(flow.authorize_url(flow.query()[0]))
        value = next(one.value for one in mine.forms()[0].fields if one.name == "request")
        other.open(f"{flow.base}/auth/continue?request={value}")
        assert other.status == 400
        assert "password" not in other.text


@pytest.mark.parametrize("page", ["login", "patient", "consent", "logout"])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"request=%FF%FE&csrf=%00&username=%F0"),
        ("application/json", b"{"),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken"),
        ("", b"\xff\x00"),
    ],
)
def test_malformed_forms_are_refused_not_failures(
    flow: OAuthFlow, page: str, kind: str, body: bytes
) -> None:
    answer = flow.post(page, body, headers={"Content-Type": kind})
    assert 400 <= answer.status_code < 500


def test_two_tabs_keep_their_own_requests(flow: OAuthFlow) -> None:
    browser, first, verifier = flow.consent_page()
    with browser:
        first_form, first_url = browser.form("decision"), browser.url
        second, _ = flow.query(state="second", scope="openid fhirUser")
        browser.open(flow.authorize_url(second))
        second_form, second_url = browser.form("decision"), browser.url
        browser.url = first_url
        browser.submit(first_form, {}, "decision=allow")
        answer = parse_qs(urlsplit(browser.url).query)
        assert answer["state"] == [first["state"]]
        assert flow.redeem(answer["code"][0], verifier).status_code == 200
        browser.url = second_url
        browser.submit(second_form, {}, "decision=deny")
        assert parse_qs(urlsplit(browser.url).query)["state"] == ["second"]


def test_consent_is_asked_again_and_prompt_login_asks_for_the_password(flow: OAuthFlow) -> None:
    browser, _, _ = flow.consent_page()
    with browser:
        browser.submit(browser.form("decision"), {}, "decision=allow")
        browser.open(flow.authorize_url(flow.query(scope="openid fhirUser")[0]))
        assert browser.form("decision")
        time.sleep(1.1)  # a login of this very second would be new enough
        browser.open(flow.authorize_url(flow.query(scope="openid", prompt="login")[0]))
        assert browser.form("password")
        browser.open(flow.authorize_url(flow.query(scope="openid", prompt="none")[0]))
        assert "error=consent_required" in browser.url


def test_the_person_ends_an_apps_access(flow: OAuthFlow) -> None:
    browser, _, verifier = flow.consent_page()
    with browser:
        browser.submit(browser.form("decision"), {}, "decision=allow")
        code = parse_qs(urlsplit(browser.url).query)["code"][0]
        tokens = flow.redeem(code, verifier).json()
        browser.open(f"{flow.base}/auth/manage")
        form = browser.form("grant")
        values = {one.name: one.value for one in form.fields}
        forged: dict[str, str | list[str]] = {"grant": values["grant"], "csrf": "x"}
        browser.submit(form, forged)
        assert browser.status == 400
        patient = f"Patient/{tokens['patient']}"
        assert flow.fhir(patient, tokens["access_token"]).status_code == 200
        browser.open(f"{flow.base}/auth/manage")
        browser.submit(browser.form("grant"))
        assert "has ended" in browser.text
    assert flow.fhir(patient, tokens["access_token"]).status_code == 401
    refused(flow.refresh(tokens["refresh_token"]), "invalid_grant", 400)


# --- the token answer ---------------------------------------------------------------------------

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


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("patient/*.read", "patient/*.read"),
        ("patient/*.rs", "patient/*.rs"),
        ("patient/Patient.read patient/Appointment.rs", None),
        ("patient/Patient.r patient/Appointment.s", None),
        ("patient/Patient.r patient/Patient.s", None),
        ("patient/Patient.*", "patient/Patient.read"),
        ("patient/Patient.cruds", "patient/Patient.rs"),
        ("patient/Patient.rs patient/Nothing.rs nonsense", "patient/Patient.rs"),
        ("patient/DiagnosticReport.rs?category=LP29684-5", None),
        ("patient/DiagnosticReport.rs?category=http://loinc.org|LP29684-5", None),
        ("patient/Patient.rs patient/Patient.rs", "patient/Patient.rs"),
    ],
)
def test_scopes_are_answered_in_their_dialect(
    flow: OAuthFlow, asked: str, answered: str | None
) -> None:
    assert flow.tokens(asked)["scope"] == (answered or asked)


SPLIT = [
    ("patient/Patient.r", "Patient/{id}", 200),
    ("patient/Patient.r", "Patient?_id={id}", 403),
    ("patient/Patient.s", "Patient/{id}", 403),
    ("patient/Patient.s", "Patient?_id={id}", 200),
    ("patient/Patient.read", "Patient?_id={id}", 200),
    ("patient/Patient.rs", "Appointment?patient={id}", 403),
    ("patient/*.rs", "Patient/{other}", 404),
    ("patient/*.rs", "Appointment?patient={other}", 403),
    ("patient/*.rs", "Group", 403),
    ("patient/DiagnosticReport.rs?category=LP29684-5", "DiagnosticReport?patient={id}", 200),
    ("patient/DiagnosticReport.rs?category=http://loinc.org|LP29684-5", "DiagnosticReport", 200),
    ("patient/DiagnosticReport.rs?category=laboratory", "Patient/{id}", 403),
]


@pytest.fixture(scope="module")
def tokens_by_scope(flow: OAuthFlow) -> dict[str, str]:
    wanted = dict.fromkeys(scope for scope, _, _ in SPLIT)
    return {scope: flow.tokens(f"launch {scope}")["access_token"] for scope in wanted}


@pytest.mark.parametrize(("scope", "path", "status"), SPLIT)
def test_scopes_are_enforced(
    flow: OAuthFlow, tokens_by_scope: dict[str, str], scope: str, path: str, status: int
) -> None:
    names = flow.demo.demo
    url = path.format(id=names["patient_id"], other=names["other_patient_id"])
    answer = flow.fhir(url, tokens_by_scope[scope])
    assert answer.status_code == status
    if status == 403:
        challenge = answer.headers["WWW-Authenticate"]
        assert challenge.startswith("Bearer")
        assert ('error="insufficient_scope"' in challenge) == ("{other}" not in path)


def test_granular_scopes_filter(flow: OAuthFlow, tokens_by_scope: dict[str, str]) -> None:
    names = flow.demo.demo
    path = f"DiagnosticReport?patient={names['patient_id']}"
    wide = flow.fhir(path, tokens_by_scope["patient/*.rs"]).json()
    radiology = flow.fhir(path, tokens_by_scope["patient/DiagnosticReport.rs?category=LP29684-5"])
    lab = flow.fhir(path, tokens_by_scope["patient/DiagnosticReport.rs?category=laboratory"])
    assert radiology.json()["total"] == wide["total"] > 0
    assert lab.json()["total"] == 0


# --- codes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": secrets.token_urlsafe(48)}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "short"}, "invalid_request"),
        ({"redirect_uri": "http://localhost:8765/other"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"client_id": "acme-sample-app"}, "invalid_grant"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": None}, "invalid_client"),
        ({"client_id": "acme-confidential-app"}, "invalid_client"),
        ({"code": "made-up"}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "implicit"}, "unsupported_grant_type"),
        ({"grant_type": "Authorization_Code"}, "unsupported_grant_type"),
    ],
)
def test_a_code_is_refused(
    flow: OAuthFlow, unspent: tuple[str, str], changes: dict[str, str | None], error: str
) -> None:
    refused(flow.redeem(*unspent, **changes), error)


@pytest.fixture(scope="module")
def unspent(flow: OAuthFlow) -> tuple[str, str]:
    """A code that every refusal leaves as it was (kept young, for the table is long)."""
    code, verifier = flow.code()
    digest = keyring.hash_token(code)
    later = int(time.time()) + 600
    flow.age("UPDATE authorization_code SET expires_at = ? WHERE code_hash = ?", later, digest)
    return code, verifier


def test_the_code_is_still_good_after_refusals(flow: OAuthFlow, unspent: tuple[str, str]) -> None:
    assert flow.redeem(*unspent).status_code == 200


def test_a_replayed_code_revokes_what_it_bought(flow: OAuthFlow) -> None:
    code, verifier = flow.code()
    tokens = flow.redeem(code, verifier).json()
    path = f"Patient/{tokens['patient']}"
    assert flow.fhir(path, tokens["access_token"]).status_code == 200
    refused(flow.redeem(code, verifier), "invalid_grant", 400)
    every_worker_refuses(flow, path, tokens["access_token"])
    refused(flow.refresh(tokens["refresh_token"]), "invalid_grant", 400)


def at_once(asks: list[Callable[[requests.Session], requests.Response]]) -> list[int]:
    """The statuses of requests sent at the same time, each on a connection of its own."""

    def ask(one: Callable[[requests.Session], requests.Response]) -> int:
        with http_session() as own:
            return one(own).status_code

    with ThreadPoolExecutor(len(asks)) as pool:
        return sorted(pool.map(ask, asks))


def test_a_code_sent_twice_at_once_is_redeemed_once_at_most(flow: OAuthFlow) -> None:
    code, verifier = flow.code()
    same = [lambda own: replace(flow, http=own).redeem(code, verifier)] * 4
    before = set(SEEN)
    assert at_once(same) == [200, 400, 400, 400]
    for token in SEEN - before:
        if token.count(".") == 2:
            answer = flow.fhir(f"Patient/{flow.demo.demo['patient_id']}", token)
            assert answer.status_code == 401


def test_two_tabs_may_refresh_at_once(flow: OAuthFlow) -> None:
    token = flow.tokens()["refresh_token"]
    same = [lambda own: replace(flow, http=own).refresh(token)] * 3
    assert at_once(same) == [200, 200, 200]


def test_one_assertion_sent_at_once_is_taken_once(backend: BackendFlow) -> None:
    text = backend.assertion()
    same = [lambda own: BackendFlow(replace(backend.flow, http=own), backend.name).ask(text)] * 4
    assert at_once(same)[:2] == [200, 400]


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
        "exp": _later(60),
        "jti": secrets.token_hex(8),
    }
    header = {"alg": "ES384", "kid": "launch-key", "typ": "JWT"}
    proof = {
        "client_id": None,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": jwt.encode(header, claims, key, algorithms=["ES384"]),
    }
    assert flow.redeem(code, verifier, **proof).json()["scope"] == metadata["scope"]


@pytest.mark.parametrize("page", ["login", "patient", "consent", "logout"])
def test_a_form_address_opened_by_hand_is_a_page(flow: OAuthFlow, page: str) -> None:
    answer = flow.get(f"{flow.base}/auth/{page}", headers={"Accept": "text/html"})
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert "by itself" in answer.text


def test_an_expired_code(flow: OAuthFlow) -> None:
    code, verifier = flow.code()
    digest = keyring.hash_token(code)
    flow.age("UPDATE authorization_code SET expires_at = 1 WHERE code_hash = ?", digest)
    refused(flow.redeem(code, verifier), "invalid_grant", 400)


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


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"grant_type": "authorization_code"}'),
        ("text/plain", b"grant_type=authorization_code"),
        ("", b"grant_type=authorization_code"),
        ("application/x-www-form-urlencoded", b"\xff\xfe=\x00"),
        ("application/x-www-form-urlencoded", b"grant_type=%FF"),
        ("application/x-www-form-urlencoded", b"&".join([b"a=b"] * 5000)),
        ("application/x-www-form-urlencoded", b"grant_type=refresh_token&grant_type=password"),
        ("application/x-www-form-urlencoded", b""),
        ("multipart/form-data; boundary=x", b"--x"),
    ],
)
@pytest.mark.parametrize("endpoint", ["token", "introspect", "revoke"])
def test_malformed_bodies(flow: OAuthFlow, endpoint: str, kind: str, body: bytes) -> None:
    answer = flow.post(endpoint, body, headers={"Content-Type": kind})
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] in ("invalid_request", "invalid_client")
    no_store(answer)


def test_parameters_in_the_query_do_not_count(flow: OAuthFlow) -> None:
    code, verifier = flow.code()
    query = urlencode({"grant_type": "authorization_code", "code": code, "code_verifier": verifier})
    refused(flow.post(f"token?{query}", {"client_id": flow.client["client_id"]}), "invalid_request")


def test_a_huge_body_is_refused(flow: OAuthFlow) -> None:
    answer = flow.post("token", {"grant_type": "x" * 200_000})
    assert answer.status_code in (400, 413)


# --- refresh ------------------------------------------------------------------------------------


def test_refresh_rotates_and_keeps_scope_patient_and_identity(flow: OAuthFlow) -> None:
    first = flow.tokens(nonce="n1")
    answer = flow.refresh(first["refresh_token"])
    no_store(answer)
    second = answer.json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert second["scope"] == first["scope"]
    assert second["patient"] == first["patient"]
    old, new = (json.loads(base64url(one["id_token"].split(".")[1])) for one in (first, second))
    assert [new[name] for name in ("iss", "sub", "aud")] == [
        old[name] for name in ("iss", "sub", "aud")
    ]
    assert new["auth_time"] == old["auth_time"]


def base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_public_app_need_not_name_itself(flow: OAuthFlow) -> None:
    first = flow.tokens()
    assert flow.refresh(first["refresh_token"], client_id=None).status_code == 200


def test_a_confidential_app_must_authenticate(
    confidential_grant: tuple[OAuthFlow, dict[str, Any]],
) -> None:
    app, answer = confidential_grant
    for changes in ({"client_secret": None}, {"client_secret": None, "client_id": None}):
        refused(app.refresh(answer["refresh_token"], **changes), "invalid_client")


def test_grace_then_reuse_ends_the_family(flow: OAuthFlow) -> None:
    first = flow.tokens()
    second = flow.refresh(first["refresh_token"]).json()
    sibling = flow.refresh(first["refresh_token"])
    assert sibling.status_code == 200
    assert sibling.json()["refresh_token"] not in (first["refresh_token"], second["refresh_token"])
    digest = keyring.hash_token(first["refresh_token"])
    flow.age("UPDATE refresh_token SET rotated_at = 1 WHERE token_hash = ?", digest)
    refused(flow.refresh(first["refresh_token"]), "invalid_grant", 400)
    for token in (second, sibling.json()):
        refused(flow.refresh(token["refresh_token"]), "invalid_grant", 400)
        assert flow.fhir(f"Patient/{first['patient']}", token["access_token"]).status_code == 401


@pytest.mark.parametrize(
    ("scope", "error"),
    [
        ("launch patient/Patient.r offline_access", None),
        ("patient/Patient.read", None),
        ("patient/*.rs patient/Appointment.s", None),
        ("patient/*.cruds", "invalid_scope"),
        ("patient/*.rs user/*.rs", "invalid_scope"),
        ("patient/*.rs online_access", "invalid_scope"),
        ("patient/*.rs nonsense", "invalid_scope"),
        ("system/*.rs", "invalid_scope"),
        (" ", "invalid_scope"),
        ("offline_access", "invalid_scope"),
    ],
)
def test_narrowing_a_refresh(
    flow: OAuthFlow, refreshed: dict[str, str], scope: str, error: str | None
) -> None:
    answer = flow.refresh(refreshed["token"], scope=scope)
    if error is not None:
        refused(answer, error, 400)
        return
    body = answer.json()
    refreshed["token"] = body["refresh_token"]
    assert body["scope"] == scope


@pytest.fixture(scope="module")
def refreshed(flow: OAuthFlow) -> dict[str, str]:
    """The newest refresh token of a family; a refusal does not use it up."""
    return {"token": flow.tokens()["refresh_token"]}


def test_narrowing_binds_the_access_token_only(flow: OAuthFlow, refreshed: dict[str, str]) -> None:
    narrow = flow.refresh(refreshed["token"], scope="patient/Patient.r").json()
    assert flow.fhir("Appointment", narrow["access_token"]).status_code == 403
    wide = flow.refresh(narrow["refresh_token"]).json()
    assert wide["scope"] == OFFLINE
    refreshed["token"] = wide["refresh_token"]


def test_a_refresh_token_is_of_one_app_and_time(flow: OAuthFlow) -> None:
    token = flow.tokens()["refresh_token"]
    refused(flow.refresh(token, client_id="acme-sample-app"), "invalid_grant")
    refused(flow.refresh(token + "x"), "invalid_grant")
    refused(flow.refresh("x", refresh_token=None), "invalid_request")
    digest = keyring.hash_token(token)
    flow.age("UPDATE refresh_token SET expires_at = 1 WHERE token_hash = ?", digest)
    refused(flow.refresh(token), "invalid_grant", 400)


# --- client authentication ----------------------------------------------------------------------


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


# --- backend services ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["backend", "second_backend", "other_key_backend"])
def test_a_backend_token(flow: OAuthFlow, name: str) -> None:
    one = BackendFlow(flow, name)
    answer = one.ask(one.assertion())
    assert answer.status_code == 200
    no_store(answer)
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 300
    assert body["scope"] == "system/*.rs"
    assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert flow.fhir("Patient?_count=1", body["access_token"]).status_code == 200


def _later(seconds: int) -> int:
    return int(time.time()) + seconds


@pytest.mark.parametrize(
    ("claims", "header"),
    [
        pytest.param({"aud": "https://other.example/token"}, {}, id="wrong aud"),
        pytest.param({"aud": None}, {}, id="no aud"),
        pytest.param({"aud": []}, {}, id="empty aud"),
        pytest.param({"exp": 3600}, {}, id="exp too far"),
        pytest.param({"exp": -60}, {}, id="expired"),
        pytest.param({"exp": None}, {}, id="no exp"),
        pytest.param({"exp": "soon"}, {}, id="exp as text"),
        pytest.param({"iat": _later(7200)}, {}, id="from the future"),
        pytest.param({"nbf": _later(7200)}, {}, id="not yet"),
        pytest.param({"jti": None}, {}, id="no jti"),
        pytest.param({"jti": ""}, {}, id="empty jti"),
        pytest.param({"jti": 7}, {}, id="number as jti"),
        pytest.param({"sub": "acme-second-backend"}, {}, id="another sub"),
        pytest.param({"iss": "acme-second-backend"}, {}, id="another iss"),
        pytest.param({"iss": None}, {}, id="no iss"),
        pytest.param({"sub": None}, {}, id="no sub"),
        pytest.param({"sub": "nobody", "iss": "nobody"}, {}, id="unknown client"),
        pytest.param({}, {"kid": "unknown"}, id="unknown kid"),
        pytest.param({}, {"kid": None}, id="no kid"),
        pytest.param({}, {"typ": "at+jwt"}, id="wrong typ"),
        pytest.param({}, {"jku": "https://evil.example/jwks"}, id="foreign jku"),
    ],
)
def test_an_assertion_is_refused(
    backend: BackendFlow, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    if isinstance(claims.get("exp"), int):
        claims = {"exp": _later(claims["exp"])}
    refused(backend.ask(backend.assertion(claims, header)), "invalid_client")


def _unsigned(backend: BackendFlow) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT","kid":"x"}').rstrip(b"=").decode()
    return f"{head}.{backend.assertion().split('.')[1]}."


def _broken(backend: BackendFlow) -> str:
    head, body, sign = backend.assertion().split(".")
    return f"{head}.{body}.{sign[:-8]}{'A' * 8}"


FORGED: dict[str, Callable[[BackendFlow], str]] = {
    "none": _unsigned,
    "broken signature": _broken,
    "HS256 with the public key": lambda b: b.assertion(
        header={"alg": "HS256"},
        key=OctKey.import_key(json.dumps({**b.client["jwk"], "d": ""}).encode()),
    ),
    "ES256": lambda b: b.assertion(header={"alg": "ES256"}, key=ECKey.generate_key("P-256")),
    "RS256": lambda b: b.assertion(header={"alg": "RS256"}, key=RSAKey.generate_key(2048)),
    "ES384 of another key": lambda b: b.assertion(key=ECKey.generate_key("P-384")),
    "RS384 under an EC kid": lambda b: b.assertion(
        header={"alg": "RS384"}, key=BackendFlow(b.flow, "other_key_backend").key
    ),
    "text": lambda _: "not.a.jwt",
    "no dots": lambda _: "x",
    "bytes": lambda _: "\u00e9.\u00e9.\u00e9",
    "five parts": lambda _: "a.b.c.d.e",
    "a list for claims": lambda _: "e30.W10.x",
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_assertion_is_refused(backend: BackendFlow, kind: str) -> None:
    refused(backend.ask(FORGED[kind](backend)), "invalid_client")


def test_an_assertion_is_used_once_by_all_workers(backend: BackendFlow) -> None:
    text = backend.assertion()
    assert backend.ask(text).status_code == 200
    for _ in range(6):
        with http_session() as fresh:
            backend.flow.http, kept = fresh, backend.flow.http
            refused(backend.ask(text), "invalid_client")
            backend.flow.http = kept


def test_two_clients_may_use_the_same_jti(flow: OAuthFlow, backend: BackendFlow) -> None:
    jti = secrets.token_hex(8)
    second = BackendFlow(flow, "second_backend")
    assert backend.ask(backend.assertion({"jti": jti})).status_code == 200
    assert second.ask(second.assertion({"jti": jti})).status_code == 200


@pytest.mark.parametrize("tail", ["", "/"])
@pytest.mark.parametrize("listed", [False, True], ids=["text", "list"])
def test_both_spellings_of_aud(backend: BackendFlow, tail: str, listed: bool) -> None:
    audience = f"{backend.flow.base}/auth/token{tail}"
    text = backend.assertion({"aud": [audience] if listed else audience})
    assert backend.ask(text).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_assertion_type": "urn:ietf:params:oauth:client-assertiontype:jwt-bearer"}, None),
        ({"client_assertion_type": None}, None),
        ({"client_assertion": None}, None),
        ({"client_id": "acme-second-backend"}, "invalid_request"),
        ({"client_secret": "x"}, "invalid_request"),
        ({"grant_type": None, "grant-type": "client_credentials"}, "invalid_request"),
        ({"grant_type": "client-credentials"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, None),
    ],
)
def test_a_backend_request_is_refused(
    backend: BackendFlow, changes: dict[str, str | None], error: str | None
) -> None:
    answer = backend.ask(backend.assertion(), **changes)
    if "refresh_token" in changes:
        refused(
            answer,
            "unauthorized_client" if answer.json()["error"] != "invalid_grant" else "invalid_grant",
        )
        return
    refused(answer, error or "invalid_client")
    if "grant-type" in changes:
        assert "grant_type" in answer.json()["error_description"]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("system/*.rs", "system/*.rs"),
        ("system/*.read", "system/*.read"),
        ("system/Patient.read system/Appointment.rs", "system/Patient.read system/Appointment.rs"),
        ("system/Patient.r system/Patient.s", "system/Patient.r system/Patient.s"),
        ("system/*.cruds", "system/*.rs"),
        ("system/*.*", "system/*.read"),
        ("system/Patient.rs user/*.rs patient/*.rs openid", "system/Patient.rs"),
        ("system/Patient.rs system/Nothing.rs", "system/Patient.rs"),
        ("user/*.rs", None),
        ("patient/*.read", None),
        ("system/*.cud", None),
        ("system/Nothing.rs", None),
        ("openid fhirUser", None),
        ("*", None),
        ("", None),
        (None, None),
    ],
)
def test_backend_scopes(backend: BackendFlow, asked: str | None, answered: str | None) -> None:
    answer = backend.ask(backend.assertion(), asked)
    if answered is None:
        refused(answer, "invalid_scope", 400)
    else:
        assert answer.json()["scope"] == answered


def test_client_credentials_need_a_key(confidential: OAuthFlow) -> None:
    fields = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    header = basic(confidential.client["client_id"], confidential.client["client_secret"])
    answer = confidential.post("token", fields, headers={"Authorization": header})
    refused(answer, "unauthorized_client")


# --- revocation, introspection, tokens in the wrong place ---------------------------------------


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
@pytest.mark.parametrize("hint", [None, "refresh_token", "nonsense"])
def test_a_revoked_grant_is_over_for_every_worker(
    flow: OAuthFlow, which: str, hint: str | None
) -> None:
    tokens = flow.tokens()
    path = f"Patient/{tokens['patient']}"
    assert flow.fhir(path, tokens["access_token"]).status_code == 200
    fields = {"token": tokens[which], "client_id": flow.client["client_id"]}
    if hint is not None:
        fields["token_type_hint"] = hint
    assert flow.post("revoke", fields).status_code == 200
    every_worker_refuses(flow, path, tokens["access_token"])
    refused(flow.refresh(tokens["refresh_token"]), "invalid_grant", 400)


def test_revoking_nonsense_is_no_error_and_a_foreign_token_stays(
    flow: OAuthFlow, granted: dict[str, Any]
) -> None:
    mine = {"client_id": flow.client["client_id"]}
    assert flow.post("revoke", {"token": "unknown", **mine}).status_code == 200
    refused(flow.post("revoke", mine), "invalid_request", 400)
    stranger = {"token": granted["access_token"], "client_id": "acme-sample-app"}
    assert flow.post("revoke", stranger).status_code in (200, 400)
    assert flow.fhir(f"Patient/{granted['patient']}", granted["access_token"]).status_code == 200


def introspect(flow: OAuthFlow, token: str, **options: Any) -> requests.Response:
    return flow.post("introspect", {"token": token}, **options)


def test_introspection_with_the_launch_context(
    confidential_grant: tuple[OAuthFlow, dict[str, Any]],
) -> None:
    app, tokens = confidential_grant
    header = {"Authorization": basic(app.client["client_id"], app.client["client_secret"])}
    answer = introspect(app, tokens["access_token"], headers=header)
    no_store(answer)
    body = answer.json()
    assert body["active"] is True
    assert body["scope"] == tokens["scope"]
    assert body["client_id"] == app.client["client_id"]
    assert body["patient"] == tokens["patient"]
    assert body["iss"] == app.base
    assert body["fhirUser"].startswith(app.base)
    assert body["exp"] > time.time()
    assert {"sub", "iat"} <= body.keys()
    assert introspect(app, tokens["refresh_token"], headers=header).json()["active"] is True
    for token in ("x", tokens["id_token"], tokens["access_token"][:-3]):
        assert introspect(app, token, headers=header).json() == {"active": False}


def test_a_foreign_token_is_inactive(flow: OAuthFlow, granted: dict[str, Any]) -> None:
    metadata = {"client_name": "Stranger", "redirect_uris": ["https://app.example/cb"]}
    client = flow.post("register", None, json=metadata).json()
    header = {"Authorization": basic(client["client_id"], client["client_secret"])}
    for which in ("access_token", "refresh_token"):
        answer = introspect(flow, granted[which], headers=header)
        assert answer.json() == {"active": False}


@pytest.mark.parametrize("how", ["none", "public", "wrong secret", "bad bearer"])
def test_introspection_needs_a_caller(flow: OAuthFlow, granted: dict[str, Any], how: str) -> None:
    headers = {
        "wrong secret": {"Authorization": basic("acme-confidential-app", "no")},
        "bad bearer": {"Authorization": "Bearer x"},
    }.get(how, {})
    fields = {"token": granted["access_token"]}
    if how == "public":
        fields["client_id"] = flow.client["client_id"]
    answer = flow.post("introspect", fields, headers=headers)
    assert answer.status_code == 401
    assert "active" not in answer.json()
    no_store(answer)


def test_an_app_may_ask_about_its_own_token_by_bearer(
    flow: OAuthFlow, granted: dict[str, Any]
) -> None:
    header = {"Authorization": f"Bearer {granted['access_token']}"}
    assert introspect(flow, granted["access_token"], headers=header).json()["active"] is True


@pytest.mark.parametrize("which", ["id_token", "refresh_token", "garbage", "empty", "unsigned"])
def test_only_access_tokens_open_fhir(flow: OAuthFlow, granted: dict[str, Any], which: str) -> None:
    body = granted["access_token"].split(".")[1]
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
    others = {"garbage": "a.b.c", "empty": "", "unsigned": f"{none}.{body}."}
    answer = flow.fhir(f"Patient/{granted['patient']}", others.get(which) or granted.get(which, ""))
    assert answer.status_code == 401
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_in_the_address_does_not_count(flow: OAuthFlow, granted: dict[str, Any]) -> None:
    url = f"{flow.base}/Patient/{granted['patient']}?access_token={granted['access_token']}"
    assert flow.get(url).status_code == 401


@pytest.mark.parametrize("which", ["access_token", "id_token"])
def test_other_tokens_do_not_refresh(flow: OAuthFlow, granted: dict[str, Any], which: str) -> None:
    refused(flow.refresh(granted[which]), "invalid_grant", 400)
    refused(flow.redeem(granted[which], "v" * 43), "invalid_grant", 400)


# --- registration -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": ["http://app.example/cb"]},
        {"redirect_uris": ["https://app.example/cb#x"]},
        {"redirect_uris": ["https://*.example/cb"]},
        {"redirect_uris": "https://app.example/cb"},
        {"redirect_uris": []},
        {"redirect_uris": ["https://app.example/cb"], "grant_types": ["password"]},
        {"redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "tls"},
        {"token_endpoint_auth_method": "private_key_jwt", "grant_types": ["client_credentials"]},
        [],
        None,
    ],
)
def test_bad_metadata_is_refused(flow: OAuthFlow, metadata: Any) -> None:
    answer = flow.post("register", None, json=metadata)
    refused(answer, answer.json()["error"], 400)
    assert answer.json()["error"] in ("invalid_redirect_uri", "invalid_client_metadata")


# --- nothing is left lying about ----------------------------------------------------------------


def test_no_secret_and_no_patient_in_logs(flow: OAuthFlow, demo: RunningDemo) -> None:
    """Run last: all that went over the wire before is looked for."""
    assert len(SEEN) > 100
    names = patient_names(demo)
    assert names
    users = [one["password"] for one in demo.demo["users"].values()]
    secret = [*SEEN, *users, demo.demo["clients"]["confidential"]["client_secret"], "wr0ng!"]
    for log in (demo.state / "logs").iterdir():
        text = log.read_text("utf-8", "replace")
        assert not [one for one in secret if one in text], log.name
        if log.name == "server.log":
            assert not [one for one in names if one in text], log.name


def patient_names(demo: RunningDemo) -> set[str]:
    """Family names that are no word of ours."""
    with closing(sqlite3.connect(demo.state / "mirror.db", timeout=20)) as mirror:
        tables = {row[0] for row in mirror.execute("SELECT name FROM sqlite_master")}
        assert "resource_version" in tables, tables
        bodies = mirror.execute(
            "SELECT body FROM resource_version WHERE type = 'Patient' AND body IS NOT NULL"
        ).fetchall()
    found = [json.loads(row[0]) for row in bodies]
    return {name["family"] for one in found for name in one.get("name", []) if "family" in name}


def test_secrets_are_kept_as_hashes(demo: RunningDemo) -> None:
    kept = b"".join(path.read_bytes() for path in demo.state.glob("auth.db*"))
    users = [one["password"] for one in demo.demo["users"].values()]
    secret = [*SEEN, *users, demo.demo["clients"]["confidential"]["client_secret"]]
    assert not [one for one in secret if one.encode() in kept]
