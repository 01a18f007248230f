"""Misuse of the consent page: what can be granted, by whom, with which answer."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from smart_auth import keyring
from tests.support.oauth_browser import OwnBrowser, field
from tests.support.oauth_checks import log_in
from tests.support.oauth_flow import OAuthFlow
from tests.support.oauth_kit import allow, begin, register


def person_of(flow: OAuthFlow, user: str) -> dict[str, str]:
    demo = flow.demo.demo
    found: dict[str, str] = demo["users"].get(user) or demo[user]
    return found


def logged_in(flow: OAuthFlow, user: str, page: str = "manage") -> OwnBrowser:
    browser = OwnBrowser()
    browser.open(f"{flow.base}/auth/{page}")
    log_in(browser, person_of(flow, user))
    return browser


def test_only_what_was_asked_can_be_granted(flow: OAuthFlow) -> None:
    """Boxes that were never on the page, and boxes of other requests, count for nothing."""
    app = register(flow, "none")
    visit = begin(app, "launch/patient patient/Patient.r", user="patient", ehr=False)
    ticked = [
        "launch/patient", "patient/Patient.r", "patient/Patient.rs", "patient/*.rs", "user/*.rs",
        "system/*.rs", "openid", "fhirUser", "offline_access", "patient/Appointment.rs",
    ]  # fmt: skip
    code = allow(visit, ticked)["code"]
    tokens = app.redeem(code, visit.verifier).json()
    assert sorted(tokens["scope"].split()) == ["launch/patient", "patient/Patient.r"]
    assert "refresh_token" not in tokens


@pytest.mark.parametrize(
    "decision", ["", "ALLOW", "allow ", "yes", "allow\0", "1", "deny,allow", None]
)
def test_only_the_button_allows(flow: OAuthFlow, decision: str | None) -> None:
    app = register(flow, "none")
    visit = begin(app, "launch/patient patient/Patient.r", user="patient", ehr=False)
    with visit.browser as browser:
        form = browser.form("decision")
        form.fields = [one for one in form.fields if one.name != "decision"]
        browser.submit(form, {} if decision is None else {"decision": decision})
        assert "code=" not in browser.url


def test_a_decision_sent_twice_in_one_form_is_a_no_or_nothing(flow: OAuthFlow) -> None:
    app = register(flow, "none")
    visit = begin(app, "launch/patient patient/Patient.r", user="patient", ehr=False)
    with visit.browser as browser:
        form = browser.form("decision")
        form.fields = [one for one in form.fields if one.name != "decision"]
        browser.submit(form, {"decision": ["deny", "allow"]})
        assert "code=" not in browser.url


def test_whoever_takes_the_page_over_cannot_answer_it(flow: OAuthFlow) -> None:
    """The consent form of one person is not good for the next one to log in to this browser."""
    app = register(flow, "none")
    visit = begin(app, "launch/patient patient/Patient.r", user="practitioner", ehr=False)
    with visit.browser as browser:
        consent, page = browser.form("decision"), browser.url
        sent, _ = flow.query(prompt="login")
        browser.stop_at = ""
        browser.open(flow.authorize_url(sent))
        log_in(browser, person_of(flow, "patient"))
        browser.stop_at = "https://kit.example"
        browser.url = page
        browser.submit(consent, {}, "decision=allow")
        assert "code=" not in browser.url


def test_a_request_is_of_one_browser_and_time(flow: OAuthFlow) -> None:
    app = register(flow, "none")
    visit = begin(app, "launch/patient patient/Patient.r", user="patient", ehr=False)
    with visit.browser as browser:
        form = browser.form("decision")
        value = field(form, "request")
        with logged_in(flow, "patient") as other:
            other.open(f"{flow.base}/auth/continue?request={value}")
            assert other.status == 400
            own = other.session.post(
                f"{flow.base}/auth/consent",
                data={"request": value, "csrf": field(form, "csrf"), "decision": "allow"},
                allow_redirects=False,
                timeout=30,
            )
            assert own.status_code == 400
        digest = keyring.hash_token(value)
        flow.age("UPDATE pending_authorization SET expires_at = 1 WHERE request_hash = ?", digest)
        browser.submit(form, {}, "decision=allow")
        assert browser.status == 400
        assert "code=" not in browser.url


@pytest.mark.parametrize("patient", ["other_patient_id", "unknown", "../x", "Patient/x", "\0"])
def test_a_patient_cannot_choose_somebody_else(flow: OAuthFlow, patient: str) -> None:
    app = register(flow, "none")
    sent, verifier = flow.query(
        client_id=app.client_id,
        redirect_uri="https://kit.example/redirect",
        scope="launch/patient patient/Patient.r",
    )
    chosen = flow.demo.demo.get(patient, patient)
    own = flow.demo.demo["users"]["patient"]["patient_id"]
    with OwnBrowser(stop_at="https://kit.example") as browser:
        browser.open(flow.authorize_url({**sent, "patient": chosen}))
        log_in(browser, person_of(flow, "patient"))
        browser.submit(browser.form("decision"), {"patient": chosen}, "decision=allow")
        code = parse_qs(urlsplit(browser.url).query)["code"][0]
    assert app.redeem(code, verifier).json()["patient"] == own
