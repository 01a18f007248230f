"""The pages of a launch: login, picker, consent, and the page on which access ends."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from sandbox.demo.forms import Form, FormBrowser
from tests.support.demo_tokens import http_session
from tests.support.oauth_checks import claims_of, log_in, refused
from tests.support.oauth_flow import OAuthFlow

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


@pytest.mark.parametrize("page", ["login", "patient", "consent", "logout"])
def test_a_form_address_opened_by_hand_is_a_page(flow: OAuthFlow, page: str) -> None:
    answer = flow.get(f"{flow.base}/auth/{page}", headers={"Accept": "text/html"})
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert "by itself" in answer.text


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
        grant = claims_of(tokens["access_token"])["gid"]
        browser.open(f"{flow.base}/auth/manage")
        forged: dict[str, str | list[str]] = {"grant": grant, "csrf": "x"}
        browser.submit(browser.form("grant"), forged)
        assert browser.status == 400
        patient = f"Patient/{tokens['patient']}"
        assert flow.fhir(patient, tokens["access_token"]).status_code == 200
        browser.open(f"{flow.base}/auth/manage")
        mine = next(one for one in browser.forms() if grant in one.options("grant"))
        browser.submit(mine)
        assert "has ended" in browser.text
    assert flow.fhir(patient, tokens["access_token"]).status_code == 401
    refused(flow.refresh(tokens["refresh_token"]), "invalid_grant", 400)
