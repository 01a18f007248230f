"""The provider's console in a real browser with scripts turned off, narrow and wide: its main jobs,
and a look at every page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page
from werkzeug.serving import make_server as make_http

from tests.support.console import PASSWORD, House, fill, launched, open_facade
from tests.support.demo import free_port
from tests.support.pages import browser, faults, go, log_in, look, page
from tests.support.smart_auth import Tab

__all__ = ["browser", "faults", "look", "page"]

pytestmark = pytest.mark.browser
Look = Callable[[str], None]


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The application, over a socket."""
    folder, port = tmp_path_factory.mktemp("console"), free_port()
    filled = open_facade(folder, port)
    fill(filled)
    filled.close()
    house = House.open(folder, port)
    http = make_http("127.0.0.1", port, house.app, True)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    yield house
    http.shutdown()
    thread.join()
    http.server_close()
    house.close()


@pytest.fixture
def console(house: House, page: Page) -> str:
    """The address of the console, where an administrator is logged in."""
    address = f"{house.facade.settings.fhir_base('acme')}/auth/console"
    page.goto(address)
    log_in(page, "chief", PASSWORD)
    page.get_by_role("heading", name="Overview").wait_for()
    return address


def press(page: Page, name: str) -> None:
    go(page, page.get_by_role("button", name=name, exact=True).first)


def follow(page: Page, name: str) -> None:
    go(page, page.get_by_role("link", name=name, exact=True).first)


def test_an_app_is_approved_and_limited(
    house: House, console: str, page: Page, look: Look, faults: list[str]
) -> None:
    aud = house.facade.settings.fhir_base("acme")
    Tab(house.app.test_client()).authorize(client_id="odd/id?&", aud=f"{aud}x")
    page.goto(console)
    look("console-home")
    follow(page, "Odd <one>")
    look("console-app-waiting")
    press(page, "Approve")
    page.get_by_text("The app is approved.").wait_for()
    look("console-app")
    follow(page, "Limit what it gets")
    look("console-limit")
    for access in ("Read", "Search"):
        page.get_by_label(f"{access} Patient", exact=True).check()
    press(page, "Save the limit")
    page.get_by_text("The limit is in force").wait_for()
    app = house.client("odd/id?&")
    assert (app.approved_at is None, app.scope_limit) == (
        False,
        "patient/Patient.rs user/Patient.rs",
    )
    page.get_by_label("Further scopes").fill("nonsense")
    press(page, "Save the limit")
    look("console-limit-wrong")
    follow(page, "Apps")
    look("console-apps")
    assert [fault for fault in faults if "status of 4" not in fault] == []
    page.goto(f"{console}/apps/-none")
    look("console-missing")


def test_a_patient_gets_a_login_and_a_developer_patients(
    house: House, console: str, page: Page, look: Look
) -> None:
    follow(page, "Users")
    look("console-users")
    follow(page, "Make a user")
    look("console-user-new")
    page.get_by_label("User name").fill("newcomer")
    page.get_by_label("Patient: sees the own record").check()
    page.get_by_label("Own record (optional)").fill("ad")
    press(page, "Make the user")
    look("console-user-new-several")
    page.get_by_label("Ada Adler").check()
    press(page, "Make the user")
    look("console-password-made")
    made = page.get_by_label("Password").input_value()
    follow(page, "Go on to the user")
    look("console-user")
    assert house.user("newcomer").patients == {"p4"}
    assert house.browser("newcomer", made).page.title == "Choose a password"
    follow(page, "Overview")
    go(page, page.get_by_role("listitem").get_by_role("link", name="kin"))
    page.get_by_label("Find by name").fill("clark")
    press(page, "Search")
    look("console-user-patients")
    page.get_by_label("Ada Clark").check()
    press(page, "Assign this patient")
    page.get_by_text("The change is in force.").wait_for()
    assert house.user("kin").patients == {"p3"}
    follow(page, "Back to the user")
    follow(page, "Give a new password")
    look("console-password")
    follow(page, "Back to the user")
    follow(page, "Delete the user")
    page.get_by_label("Write the user name to confirm").fill("kim")
    press(page, "Delete the user")
    look("console-user-delete-wrong")
    page.get_by_label("Write the user name to confirm").fill("kin")
    press(page, "Delete the user")
    page.get_by_text("The user was deleted.").wait_for()
    assert house.facade.auth_store.users.by_username("acme", "kin") is None


def test_a_group_with_a_period_is_made_and_given_to_a_backend(
    house: House, console: str, page: Page, look: Look
) -> None:
    follow(page, "Groups")
    follow(page, "Make a group")
    look("console-group-new")
    page.get_by_label("Name").fill("Trial A")
    press(page, "Make the group")
    press(page, "Search")
    look("console-members-found")
    for name in ("Ada Adams", "Ada Brown"):
        page.get_by_label(name).check()
    yesterday = datetime.now(ZoneInfo("Australia/Sydney")).date() - timedelta(days=1)
    page.get_by_label("From (optional)").fill("2026-01-01")
    page.get_by_label("Until (optional)").fill(yesterday.isoformat())
    press(page, "Add those ticked")
    page.get_by_label("Until: Ada Brown").fill("")
    press(page, "Save these")
    look("console-members")
    assert house.facade.groups.counts("acme") == {"trial-a": 1}
    page.get_by_label("From: Ada Adams").fill("soon")
    press(page, "Save these")
    look("console-members-wrong")
    follow(page, "Apps")
    follow(page, "Exporter")
    look("console-app-backend")
    page.get_by_label("Trial A").check()
    press(page, "Save")
    page.get_by_text("The changes are in force").wait_for()
    assert house.client("backend").groups == {"trial-a"}
    follow(page, "Assign patients")
    look("console-app-patients")
    follow(page, "Groups")
    look("console-groups")
    follow(page, "Trial A")
    look("console-group")
    follow(page, "Remove the group")
    look("console-group-remove")


def test_a_look_at_what_goes_on(house: House, console: str, page: Page, look: Look) -> None:
    aud = house.facade.settings.fhir_base("acme")
    for patient in ("p1", "p2"):
        launched(house, "doctor", patient, aud=aud)
    follow(page, "Grants and sessions")
    look("console-grants")
    page.get_by_label("Account of the patient").fill("p1")
    press(page, "Show")
    press(page, "End")
    page.get_by_text("It has ended.").wait_for()
    look("console-grants-ended")
    follow(page, "Registration tokens")
    page.get_by_label("For whom").fill("A partner")
    press(page, "Make a token")
    look("console-tokens")
    follow(page, "Audit")
    look("console-audit")
    page.locator("summary").click()
    page.get_by_label("From (optional)").fill("soon")
    press(page, "Search")
    look("console-audit-wrong")
    follow(page, "Signing keys")
    press(page, "Make new keys")
    look("console-keys")
