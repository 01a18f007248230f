"""The people's pages in a real browser with scripts turned off, by keyboard, narrow and wide."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Page
from werkzeug.serving import make_server as make_http

from smart_auth import admin, factors, migrate
from smart_auth.ports import AccessEvent, PatientChoice
from smart_auth.records import AuthorizationCode, ConsentRecord, Grant, LaunchContext, User
from smart_auth.server import AuthServer
from smart_auth.store import AuthStore, open_store
from tests.support.pages import browser, faults, go, log_in, look, page
from tests.support.smart_auth import (
    LAUNCH_SCOPE,
    PASSWORD,
    SETTINGS,
    FakeFacade,
    add_people,
    authorize_query,
    make_app,
)

__all__ = ["browser", "faults", "look", "page"]

pytestmark = pytest.mark.browser

PIN = "274951"


class House(FakeFacade):
    """Many patients with awkward names, and an access log with something in it."""

    def choose_patients(
        self, tenant: str, allowed: frozenset[str] | None, text: str, limit: int
    ) -> Any:
        more = [
            PatientChoice(f"q{number}", f"{'Wolfeschlegelsteinhausen' * 2}, No {number}", "", "")
            for number in range(120)
            if allowed is None and not text
        ]
        return [*super().choose_patients(tenant, allowed, text, limit), *more][:limit]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of tenant acme, where nurses need a second factor and Ann has a PIN."""
    url = f"sqlite:///{tmp_path_factory.mktemp('pages')}/auth.db"
    migrate.upgrade(url)
    facade = House()
    with closing(open_store(url)) as store:
        admin.create_tenant_keys(store, SETTINGS, "acme")
        people = add_people(store)
        admin.give_pin(store, people["ann"], PIN)
        admin.create_user(
            store, "acme", "max", PASSWORD, role="admin", whole_tenant=True, name="Max Admin"
        )
        admin.create_user(
            store, "acme", "joe", PASSWORD, role="practitioner", password_temporary=True
        )
        for kind, client in (("consent", "app"), ("export", None), ("read", "gone")):
            event = AccessEvent("acme", kind, "success", client, people["doctor"].user_id, "p1")
            facade.record(event)
        facade.record(AccessEvent("acme", "read", "refused", "app", None, "p1"))
        settings = replace(SETTINGS, require_second_factor=frozenset({"admin"}))
        app = make_app(AuthServer(store, facade, settings))
        app.add_url_rule("/app", view_func=lambda: "the app")
        http = make_http("127.0.0.1", 0, app, True)
        facade.public_url = f"http://127.0.0.1:{http.server_port}"
        metadata = {
            "client_id": "app",
            "client_name": "Growth charts & more",
            "client_uri": "https://app.example",
            "policy_uri": "https://app.example/privacy",
            "redirect_uris": [f"{facade.public_url}/app"],
            "scope": LAUNCH_SCOPE,
        }
        admin.create_client(store, "acme", metadata)
        add_grant(store, people["ann"])
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield f"{facade.public_url}/fhir/acme"
        http.shutdown()
        thread.join()
        http.server_close()


def add_grant(store: AuthStore, user: User) -> None:
    """What a consent and its code leave behind."""
    now = int(time.time())
    scope = "launch/patient offline_access patient/*.rs patient/DiagnosticReport.cu"
    context = LaunchContext("p1")
    code = AuthorizationCode(
        "c", "app", user.user_id, "s", "x", scope, context, None, None, now, now + 60
    )
    record = ConsentRecord(user.user_id, "app", "granted", scope, scope, "p1", now)
    assert store.grants.add_code("acme", code, record, None)
    grant = Grant(
        "g", "launch", "app", user.user_id, None, scope, context, now, now, now + 86_400, now
    )
    store.grants.add("acme", grant)


def launch(page: Page, root: str, scope: str) -> None:
    """Open an app's authorization request."""
    redirect_uri = root.replace("/fhir/acme", "/app")
    query = authorize_query(client_id="app", redirect_uri=redirect_uri, aud=root, scope=scope)
    page.goto(f"{root}/auth/authorize?" + "&".join(f"{k}={v}" for k, v in query.items()))


def test_pages_of_a_practitioner(
    page: Page, root: str, look: Callable[[str], None], faults: list[str]
) -> None:
    launch(page, root, scope="launch/patient openid fhirUser offline_access patient/*.rs user/*.rs")
    look("login")
    log_in(page, "doctor", "wrong password")
    look("login-wrong")
    log_in(page, "doctor")
    look("picker")
    page.get_by_label("Find a patient").fill("nobody at all")
    go(page, page.get_by_role("button", name="Search"))
    look("picker-empty")
    page.get_by_label("Find a patient").fill("")
    go(page, page.get_by_role("button", name="Search"))
    page.get_by_label("Brown, Bob").check()
    go(page, page.get_by_role("button", name="Continue"))
    look("consent")
    for summary in page.locator("fieldset summary").all():
        summary.click()
    look("consent-open")
    page.goto(f"{root}/auth/authorize?client_id=nobody")
    look("problem")
    page.goto(f"{root}/auth/manage")
    look("manage-empty")
    page.goto(f"{root}/auth/log")
    look("log-refused")
    assert [fault for fault in faults if "status of 4" not in fault] == []


def test_pages_of_a_patient(
    page: Page, root: str, look: Callable[[str], None], faults: list[str]
) -> None:
    launch(page, root, scope="launch/patient offline_access patient/*.read")
    log_in(page, "ann")
    look("factor")
    page.get_by_label("PIN").fill("999999")
    go(page, page.get_by_role("button", name="Log in"))
    look("factor-wrong")
    page.get_by_label("PIN").fill(PIN)
    go(page, page.get_by_role("button", name="Log in"))
    look("consent-patient")
    go(page, page.get_by_role("button", name="Deny"))
    page.wait_for_url("**/app?error=access_denied*")
    page.goto(f"{root}/auth/manage")
    look("manage")
    go(page, page.get_by_role("link", name="Access log"))
    look("log")
    go(page, page.get_by_role("link", name="Account"))
    look("account")
    page.get_by_label("Present password").fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill("short")
    page.get_by_label("New password once more").fill("short")
    go(page, page.get_by_role("button", name="Change the password"))
    look("account-wrong")
    go(page, page.get_by_role("link", name="Set up another one"))
    look("account-factor")
    assert [fault for fault in faults if "status of 4" not in fault] == []


def test_setting_up_a_second_step_at_the_login(
    page: Page, root: str, look: Callable[[str], None]
) -> None:
    page.goto(f"{root}/auth/account")
    log_in(page, "max")
    if page.get_by_role("heading", name="Set up a second step").count():
        look("enrol")
        seed = page.get_by_label("Key").input_value().replace(" ", "")
        page.get_by_label("Code the app shows now").fill("000000")
        go(page, page.get_by_role("button", name="Use the app"))
        look("enrol-wrong")
        assert page.get_by_label("Key").input_value().replace(" ", "") == seed
        page.get_by_label("Code the app shows now").fill(factors.code_at(seed, int(time.time())))
        go(page, page.get_by_role("button", name="Use the app"))
        look("account-admin")
    else:
        look("factor-code")


def test_choosing_a_password_at_the_login(
    page: Page, root: str, look: Callable[[str], None]
) -> None:
    page.goto(f"{root}/auth/account")
    log_in(page, "joe")
    if page.get_by_role("heading", name="Choose a password").count():
        look("new-password")
        page.get_by_label("New password", exact=True).fill(PASSWORD)
        page.get_by_label("New password once more").fill(PASSWORD)
        go(page, page.get_by_role("button", name="Use this password"))
        look("new-password-wrong")
        page.get_by_label("New password", exact=True).fill("one of my own")
        page.get_by_label("New password once more").fill("one of my own")
        go(page, page.get_by_role("button", name="Use this password"))
        page.get_by_role("heading", name="Account").wait_for()
    else:
        log_in(page, "joe", "one of my own")
        page.get_by_role("heading", name="Account").wait_for()


def test_a_launch_by_keyboard_alone(page: Page, root: str) -> None:
    """Typing, Tab, Space and Enter are enough, and what was unticked is not granted."""
    launch(page, root, scope="launch/patient openid patient/Appointment.rs")
    keys = page.keyboard
    page.locator("#username:focus").wait_for()
    keys.type("nurse")
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    page.get_by_role("heading", name="Choose a patient").wait_for()
    to_focus(page, page.get_by_label("Find a patient"))
    keys.type("brown")
    keys.press("Enter")
    page.locator("legend", has_text="Patients found").wait_for()
    to_focus(page, page.get_by_role("button", name="Continue"))
    keys.press("Enter")
    page.get_by_role("heading", name="Allow").wait_for()
    to_focus(page, page.get_by_label("by an identifier"))
    keys.press("Space")
    to_focus(page, page.get_by_role("button", name="Allow"))
    keys.press("Enter")
    page.wait_for_url("**/app?code=*")
    page.goto(f"{root}/auth/manage")
    assert page.locator(".badge").first.inner_text() == "allowed"


def to_focus(page: Page, wanted: Any) -> None:
    """Press Tab until the wanted control has the focus."""
    for _ in range(60):
        if wanted.evaluate("e => e === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("the Tab key does not lead there")
