"""The people's pages in a real browser with scripts turned off, by keyboard, narrow and wide.

`SCREENSHOTS` may name a folder for a picture of every page.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from werkzeug.serving import make_server as make_http

from smart_auth import admin, factors, migrate
from smart_auth.ports import AccessEvent, PatientChoice
from smart_auth.records import AuthorizationCode, ConsentRecord, Grant, LaunchContext, User
from smart_auth.server import AuthServer
from smart_auth.store import AuthStore, open_store
from tests.support.node import chromium
from tests.support.smart_auth import (
    LAUNCH_SCOPE,
    PASSWORD,
    SETTINGS,
    FakeFacade,
    add_people,
    authorize_query,
    make_app,
)

pytestmark = pytest.mark.browser

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PIN = "274951"
WIDTHS = {"narrow": (390, 844), "wide": (1200, 900)}

FAULTS = """() => {
  const faults = [];
  const say = (what, element) => faults.push(
    what + (element ? ': ' + element.outerHTML.slice(0, 120) : ''));
  const root = document.documentElement;
  if (document.querySelectorAll('h1').length !== 1) say('not one h1');
  if (root.lang !== 'en') say('no lang');
  if (!document.title) say('no title');
  if (document.querySelector('script')) say('a script');
  if (root.scrollWidth > window.innerWidth) say('wider than the window: ' + root.scrollWidth);
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  if (new Set(ids).size !== ids.length) say('an id twice: ' + ids);
  for (const e of document.querySelectorAll('input:not([type=hidden], [hidden]), select, textarea'))
    if (!e.labels.length || !e.labels[0].textContent.trim()) say('no label', e);
  for (const e of document.querySelectorAll('[hidden]'))
    if (e.offsetParent) say('hidden, and shown', e);
  for (const e of document.querySelectorAll('[aria-describedby], [aria-labelledby]'))
    for (const id of ((e.getAttribute('aria-describedby') || '') + ' ' +
                      (e.getAttribute('aria-labelledby') || '')).split(/ +/).filter(Boolean))
      if (!document.getElementById(id)) say('points nowhere', e);
  for (const e of document.querySelectorAll('button, a'))
    if (!e.textContent.trim() && e.offsetParent) say('no name', e);
  const headings = [...document.querySelectorAll('h1, h2, h3')].map(e => +e.tagName[1]);
  headings.forEach((level, at) => {
    if (at && level > headings[at - 1] + 1) say('a heading too deep: ' + headings); });
  return faults;
}"""

CONTRASTS = """() => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const linear = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = e => { for (; e; e = e.parentElement) {
    const colour = parts(getComputedStyle(e).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour; } return [255, 255, 255]; };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.nodeValue.trim() || !e.offsetParent) continue;
    const style = getComputedStyle(e), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700);
    const [a, b] = [light(parts(style.color)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5))
      found.push(ratio.toFixed(2) + ' ' + walker.currentNode.nodeValue.trim().slice(0, 40));
  }
  return found;
}"""

FOCUSABLE = """() => [...document.querySelectorAll(
  'a[href], button, input:not([type=hidden]), select, textarea, summary')]
  .filter(e => e.checkVisibility() && !e.closest('details:not([open]) > :not(summary)')
    && !(e.type === 'radio' && e !== (
      document.querySelector(`input[type=radio][name="${e.name}"]:checked`)
      || document.querySelector(`input[type=radio][name="${e.name}"]`))))"""

FOCUS = f"""() => {{
  const all = ({FOCUSABLE})(), e = document.activeElement, style = getComputedStyle(e);
  return {{ at: all.indexOf(e), seen: style.outlineStyle !== 'none' && style.outlineWidth !== '0px',
            html: e.outerHTML.slice(0, 120) }};
}}"""


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def faults() -> list[str]:
    """What the browser itself complains of: refused content, missing files."""
    return []


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: Browser, faults: list[str]) -> Iterator[Page]:
    """A fresh browser without scripts, of each width."""
    width, height = WIDTHS[request.param]
    context = browser.new_context(
        java_script_enabled=False,
        viewport={"width": width, "height": height},
        is_mobile=width < 500,
    )
    opened = context.new_page()
    opened.on(
        "console",
        lambda message: message.type in ("error", "warning") and faults.append(message.text),
    )
    opened.on("requestfailed", lambda failed: faults.append(failed.url))
    opened.on("response", lambda answer: answer.status == 404 and faults.append(answer.url))
    yield opened
    context.close()


@pytest.fixture
def look(page: Page, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Looks at the page that is open: its markup, its contrast and the way of the Tab key."""

    def at(name: str) -> None:
        if folder := os.environ.get("SCREENSHOTS"):
            width = page.viewport_size["width"] if page.viewport_size else 0
            page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=True)
        assert page.evaluate(FAULTS) == [], name
        assert page.evaluate(CONTRASTS) == [], name
        assert tab_faults(page) == [], name

    return at


def tab_faults(page: Page) -> list[str]:
    """What is wrong with the way of the Tab key from the top: order, holes, unseen focus."""
    page.evaluate("() => { document.activeElement.blur(); window.getSelection().empty(); }")
    page.locator("body").evaluate(
        "e => { e.tabIndex = -1; e.focus(); e.removeAttribute('tabindex'); }"
    )
    count = page.evaluate(f"() => ({FOCUSABLE})().length")
    found: list[str] = []
    way = []
    for _ in range(count):
        page.keyboard.press("Tab")
        now = page.evaluate(FOCUS)
        way.append(now["at"])
        if not now["seen"]:
            found.append(f"no focus seen: {now['html']}")
    if way != list(range(count)):
        found.append(f"order {way}")
    return found


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


def log_in(page: Page, username: str, password: str = PASSWORD) -> None:
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


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
    page.get_by_role("button", name="Search").click()
    look("picker-empty")
    page.get_by_label("Find a patient").fill("")
    page.get_by_role("button", name="Search").click()
    page.get_by_label("Brown, Bob").check()
    page.get_by_role("button", name="Continue").click()
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
    page.get_by_role("button", name="Log in").click()
    look("factor-wrong")
    page.get_by_label("PIN").fill(PIN)
    page.get_by_role("button", name="Log in").click()
    look("consent-patient")
    page.get_by_role("button", name="Deny").click()
    page.wait_for_url("**/app?error=access_denied*")
    page.goto(f"{root}/auth/manage")
    look("manage")
    page.get_by_role("link", name="Access log").click()
    look("log")
    page.get_by_role("link", name="Account").click()
    look("account")
    page.get_by_label("Present password").fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill("short")
    page.get_by_label("New password once more").fill("short")
    page.get_by_role("button", name="Change the password").click()
    look("account-wrong")
    page.get_by_role("link", name="Set up another one").click()
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
        page.get_by_role("button", name="Use the app").click()
        look("enrol-wrong")
        assert page.get_by_label("Key").input_value().replace(" ", "") == seed
        page.get_by_label("Code the app shows now").fill(factors.code_at(seed, int(time.time())))
        page.get_by_role("button", name="Use the app").click()
        look("account-admin")
    else:
        look("factor-code")


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
