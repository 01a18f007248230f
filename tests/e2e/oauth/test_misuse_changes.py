"""What changes between two steps counts at the next: apps and people that are stopped, limited or
deleted in the middle of a launch, by another process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from smart_auth import admin
from smart_auth.records import Client, User
from smart_auth.store import AuthStore, open_store
from tests.support.demo import RunningDemo
from tests.support.oauth_browser import OwnBrowser
from tests.support.oauth_checks import SEEN, log_in
from tests.support.oauth_flow import OAuthFlow
from tests.support.oauth_kit import KitApp, Visit, allow, begin, register

SCOPE = "launch/patient openid fhirUser offline_access patient/*.rs"
PASSWORD = "a password of some length 1"


@pytest.fixture(scope="module")
def store(demo: RunningDemo) -> Iterator[AuthStore]:
    one = open_store(f"sqlite:///{demo.state}/auth.db")
    yield one
    one.close()


@dataclass
class Scene:
    """An app and a practitioner of their own, so that a test may do with them what it wants."""

    store: AuthStore
    flow: OAuthFlow
    app: KitApp
    user: User

    @property
    def client(self) -> Client:
        found = self.store.clients.get("acme", self.app.client_id)
        assert found is not None
        return found

    @property
    def person(self) -> User:
        found = self.store.users.get("acme", self.user.user_id)
        assert found is not None
        return found

    def visit(self, scope: str = SCOPE, patient: str | None = None) -> Visit:
        """A browser at the consent page."""
        sent, verifier = self.flow.query(
            client_id=self.app.client_id,
            redirect_uri="https://kit.example/redirect",
            scope=scope,
        )
        SEEN.add(verifier)
        browser = OwnBrowser(stop_at="https://kit.example/redirect")
        browser.open(self.flow.authorize_url(sent))
        log_in(browser, {"username": self.user.username, "password": PASSWORD})
        if any("patient" in form.names() for form in browser.forms()):
            chosen = patient or self.flow.demo.demo["patient_id"]
            browser.submit(browser.form("patient"), {"patient": chosen}, "action=continue")
        return Visit(browser, sent, verifier)

    def tokens(self) -> dict[str, Any]:
        visit = self.visit()
        answer = self.app.redeem(allow(visit)["code"], visit.verifier)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def read(self, tokens: dict[str, Any]) -> requests.Response:
        return self.flow.fhir(f"Patient/{tokens['patient']}", tokens["access_token"])


@pytest.fixture
def scene(flow: OAuthFlow, store: AuthStore) -> Iterator[Scene]:
    app = register(flow, "client_secret_basic")
    reader = flow.demo.demo
    user = admin.create_user(
        store,
        "acme",
        f"changing-{app.client_id.lower()}",
        PASSWORD,
        role="practitioner",
        patients=[reader["patient_id"], reader["other_patient_id"]],
    )
    yield Scene(store, flow, app, user)
    left = store.users.get("acme", user.user_id)
    if left is not None and left.active:
        admin.change_user(store, left, active=False)


def stop_app(scene: Scene) -> None:
    admin.change_client(scene.store, scene.client, active=False)


def delete_app(scene: Scene) -> None:
    admin.delete_client(scene.store, "acme", scene.app.client_id)


def end_window(scene: Scene) -> None:
    admin.change_client(scene.store, scene.client, valid_to=1)


def withdraw_approval(scene: Scene) -> None:
    admin.change_client(scene.store, scene.client, approved_at=None)


def stop_user(scene: Scene) -> None:
    admin.change_user(scene.store, scene.person, active=False)


def take_patient_from_user(scene: Scene) -> None:
    other = scene.flow.demo.demo["other_patient_id"]
    admin.change_user(scene.store, scene.person, patients=frozenset({other}))


def take_patient_from_app(scene: Scene) -> None:
    other = scene.flow.demo.demo["other_patient_id"]
    admin.change_client(scene.store, scene.client, patients=frozenset({other}))


CHANGES: dict[str, Callable[[Scene], None]] = {
    "the app is stopped": stop_app,
    "the app is deleted": delete_app,
    "the app's time is over": end_window,
    "the app's approval is withdrawn": withdraw_approval,
    "the person is stopped": stop_user,
    "the person loses the patient": take_patient_from_user,
    "the app loses the patient": take_patient_from_app,
}


@pytest.mark.parametrize("change", CHANGES)
def test_between_consent_page_and_yes(scene: Scene, change: str) -> None:
    visit = scene.visit()
    CHANGES[change](scene)
    with visit.browser as browser:
        browser.submit(browser.form("decision"), {}, "decision=allow")
        assert "code=" not in browser.url


@pytest.mark.parametrize("change", CHANGES)
def test_between_yes_and_token(scene: Scene, change: str) -> None:
    visit = scene.visit()
    code = allow(visit)["code"]
    CHANGES[change](scene)
    answer = scene.app.redeem(code, visit.verifier)
    if answer.ok:
        # A code may still be redeemed for a patient that was taken away, but opens nothing.
        assert scene.read(answer.json()).status_code in (401, 403, 404)
        assert scene.app.refresh(answer.json()["refresh_token"]).status_code == 400
    else:
        assert answer.json()["error"] in ("invalid_client", "invalid_grant", "unauthorized_client")


@pytest.mark.parametrize("change", CHANGES)
def test_between_token_and_use(scene: Scene, change: str) -> None:
    tokens = scene.tokens()
    assert scene.read(tokens).status_code == 200
    CHANGES[change](scene)
    for _ in range(4):
        assert scene.read(tokens).status_code in (401, 403, 404)
    refreshed = scene.app.refresh(tokens["refresh_token"])
    assert refreshed.status_code in (400, 401)
    assert "access_token" not in refreshed.json()


@pytest.mark.parametrize("change", CHANGES)
def test_introspection_follows_the_change(
    scene: Scene, change: str, confidential: OAuthFlow
) -> None:
    tokens = scene.tokens()
    CHANGES[change](scene)
    caller = confidential.client
    server = KitApp(scene.flow, "client_secret_basic", caller["client_id"], caller["client_secret"])
    told = server.post("introspect", {"token": tokens["refresh_token"]}).json()
    assert told == {"active": False}
    if "patient" not in change:
        told = server.post("introspect", {"token": tokens["access_token"]}).json()
        assert told == {"active": False}


def test_a_stopped_person_is_logged_out(scene: Scene) -> None:
    with OwnBrowser() as browser:
        browser.open(f"{scene.flow.base}/auth/manage")
        log_in(browser, {"username": scene.user.username, "password": PASSWORD})
        assert "password" not in browser.text
        stop_user(scene)
        browser.open(f"{scene.flow.base}/auth/manage")
        assert "password" in browser.text
        log_in(browser, {"username": scene.user.username, "password": PASSWORD})
        assert browser.status == 403


def test_a_new_secret_ends_the_old_one(scene: Scene) -> None:
    tokens = scene.tokens()
    made = admin.new_client_secret(scene.store, scene.client)
    assert made.client_secret is not None
    assert scene.app.refresh(tokens["refresh_token"]).status_code == 401
    renewed = KitApp(scene.flow, scene.app.method, scene.app.client_id, made.client_secret)
    assert renewed.refresh(tokens["refresh_token"]).status_code == 200


def test_a_redirect_uri_that_was_removed_gets_no_new_code(scene: Scene) -> None:
    visit = scene.visit()
    admin.change_client(scene.store, scene.client, redirect_uris=("https://kit.example/new",))
    sent, _ = scene.flow.query(
        client_id=scene.app.client_id, redirect_uri="https://kit.example/redirect"
    )
    answer = scene.flow.get(scene.flow.authorize_url(sent))
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    visit.browser.close()


def test_a_lower_limit_counts_at_once(scene: Scene) -> None:
    """For tokens that are out, for refreshes, and for a page that is open."""
    tokens = scene.tokens()
    visit = scene.visit()
    search = f"Appointment?patient={tokens['patient']}"
    assert scene.flow.fhir(search, tokens["access_token"]).status_code == 200
    admin.change_client(scene.store, scene.client, scope_limit="patient/Patient.r")
    assert scene.flow.fhir(search, tokens["access_token"]).status_code == 403
    assert scene.read(tokens).status_code == 200
    refreshed = scene.app.refresh(tokens["refresh_token"]).json()
    assert scene.flow.fhir(search, refreshed["access_token"]).status_code == 403
    code = allow(visit)["code"]
    late = scene.app.redeem(code, visit.verifier).json()
    assert "patient/*.rs" not in late["scope"].split()
    assert scene.flow.fhir(search, late["access_token"]).status_code == 403


def test_a_lower_limit_of_the_person_counts_at_once(scene: Scene) -> None:
    tokens = scene.tokens()
    search = f"Appointment?patient={tokens['patient']}"
    assert scene.flow.fhir(search, tokens["access_token"]).status_code == 200
    admin.change_user(scene.store, scene.person, scope="patient/Patient.rs")
    assert scene.flow.fhir(search, tokens["access_token"]).status_code == 403
    assert scene.read(tokens).status_code == 200


def test_a_new_password_ends_the_old_one(scene: Scene) -> None:
    """The old one is dead at once."""
    admin.set_password(scene.store, scene.person, "another password of length 2")
    with OwnBrowser() as browser:
        browser.open(f"{scene.flow.base}/auth/manage")
        log_in(browser, {"username": scene.user.username, "password": PASSWORD})
        assert browser.status == 403


def test_an_app_that_was_deleted_and_made_again_inherits_nothing(scene: Scene) -> None:
    """The same client_id and secret, registered anew: old codes and tokens stay dead."""
    tokens = scene.tokens()
    visit = scene.visit()
    code = allow(visit)["code"]
    old = scene.client
    delete_app(scene)
    scene.store.clients.add(old)
    assert scene.read(tokens).status_code == 401
    assert scene.app.refresh(tokens["refresh_token"]).status_code == 400
    assert scene.app.redeem(code, visit.verifier).status_code == 400


def test_only_its_developer_launches_an_app_that_waits(scene: Scene) -> None:
    withdraw_approval(scene)
    app = scene.app
    visit = begin_as_stranger(app)
    assert visit["error"] == "unauthorized_client"
    admin.change_client(scene.store, scene.client, owner=scene.user.user_id)
    tokens = scene.tokens()
    assert scene.read(tokens).status_code == 200
    assert begin_as_stranger(app)["error"] == "unauthorized_client"


def begin_as_stranger(app: KitApp) -> dict[str, str]:
    """The callback of somebody else's launch, which never comes to the consent page."""
    visit = begin(app, SCOPE, user="patient", ehr=False)
    visit.browser.close()
    return visit.callback
