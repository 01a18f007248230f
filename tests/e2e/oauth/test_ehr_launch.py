"""Launches from the EHR: one launch value, one app, one person, one use."""

from __future__ import annotations

from sandbox.demo.forms import FormBrowser
from smart_auth import keyring
from tests.support.demo import RunningDemo
from tests.support.oauth_checks import SEEN, log_in, redirected_error
from tests.support.oauth_flow import OAuthFlow


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
