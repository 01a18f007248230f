"""A new developer, with nothing but the portal: from signing up to data, and to why not."""

from __future__ import annotations

import html
import json
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests
from playwright.sync_api import Page, sync_playwright

from sandbox.demo.forms import FormBrowser
from tests.support.demo import RunningDemo
from tests.support.demo_operator import operator
from tests.support.demo_tokens import http_session
from tests.support.node import NodeClients, chromium
from tests.support.pages import CONTRASTS, FAULTS, FLAGS, FOCUS, FOCUSABLE, WIDTHS, go
from tests.support.portal import SIGN_UP

CLIENTS = Path(__file__).parent / "clients"


class Developer(FormBrowser):
    """Somebody with a browser, who follows links and copies what the pages offer."""

    def __init__(self, demo: RunningDemo, redirect_uri: str) -> None:
        super().__init__(stop_at=redirect_uri)
        self.demo = demo
        self.username = f"dev{secrets.token_hex(6)}"

    def follow(self, text: str) -> None:
        """Press a link by its text."""
        for address, words in re.findall(r'<a [^>]*href="([^"]*)"[^>]*>(.*?)</a>', self.text):
            if words == text:
                self.open(urljoin(self.url, html.unescape(address)))
                return
        raise AssertionError(f"no link {text} at {urlsplit(self.url).path}")

    def copy(self, label: str) -> str:
        """The value of a field to copy from, by its label."""
        found = re.search(rf'<label for="([^"]*)">{label}</label>', self.text)
        assert found, f"nothing named {label} at {urlsplit(self.url).path}"
        area = re.search(rf'<textarea id="{found[1]}"[^>]*>\n(.*?)</textarea>', self.text, re.S)
        area = area or re.search(rf'<input id="{found[1]}"[^>]* value="([^"]*)"', self.text)
        assert area
        return html.unescape(area[1])

    def sign_up(self) -> None:
        """From the portal's login form over sign-up to the portal."""
        self.open(f"{self.demo.base}/auth/portal")
        self.follow("Sign up as a developer")
        self.submit(self.form("password2"), SIGN_UP | {"username": self.username})
        assert self.status == 200, self.text
        self.follow("Log in to the developer portal")
        self.submit(
            self.form("username"), {"username": self.username, "password": SIGN_UP["password"]}
        )
        assert "Developer portal</h1>" in self.text

    def register(self, kind: str, redirect_uri: str, **more: str) -> None:
        """Register an app; the page that follows is open then."""
        self.follow("Register an app")
        self.submit(self.form("kind"), {"kind": kind})
        fields = {"name": f"App of {self.username}", "redirect_uris": redirect_uri} | more
        self.submit(self.form("name", "scope"), fields)
        assert self.status == 200, self.text

    def allow(self, url: str, patient: str = "") -> dict[str, list[str]]:
        """Open an authorization request and go on to the app; what the app was sent."""
        self.open(url)
        for _ in range(4):
            if self.status == 0:
                break
            names = [form for form in self.forms() if form.names() & {"username", "patient"}]
            if not names:
                self.submit(self.form("scope"), button="decision=allow")
            elif "patient" in names[0].names():
                self.submit(names[0], {"patient": patient})
            else:
                word = SIGN_UP["password"]
                self.submit(names[0], {"username": self.username, "password": word})
        assert self.status == 0, self.text
        return parse_qs(urlsplit(self.url).query)


@pytest.fixture
def redirect_uri(app_port: int) -> str:
    return f"http://localhost:{app_port}/portal.html"


@pytest.fixture
def developer(demo: RunningDemo, redirect_uri: str) -> Iterator[Developer]:
    """A new account, logged in."""
    with Developer(demo, redirect_uri) as made:
        made.sign_up()
        yield made


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with http_session() as session:
        yield session


def run(http: requests.Session, command: str, **places: str) -> requests.Response:
    """Do what a curl command of the portal says, with the values that belong in its places."""
    for place, value in places.items():
        assert place in command
        command = command.replace(place, value)
    words = shlex.split(command)
    given: dict[str, list[str]] = {"--data-urlencode": [], "-H": [], "-u": []}
    for option, value in zip(words[1:-1:2], words[2:-1:2], strict=True):
        given[option].append(value)
    form = [tuple(pair.split("=", 1)) for pair in given["--data-urlencode"]]
    headers = dict(header.split(": ", 1) for header in given["-H"])
    if given["-u"]:
        name, _, word = given["-u"][0].partition(":")
        return http.post(words[-1], data=form, auth=(name, word), timeout=30)
    if form:
        return http.post(words[-1], data=form, timeout=30)
    return http.get(words[-1], headers=headers, timeout=30)


def tenant_of(demo: RunningDemo) -> str:
    return urlsplit(demo.base).path.rpartition("/")[2]


def test_from_signing_up_to_data_and_to_why_not(
    demo: RunningDemo, developer: Developer, redirect_uri: str, http: requests.Session
) -> None:
    patient = demo.demo["patient_id"]
    developer.register("public", redirect_uri, scope="launch/patient openid patient/Patient.rs")
    page = developer.url
    client_id, sample = developer.copy("Client id"), developer.copy("Sample launch")
    token_command, read_command = developer.copy("Token request"), developer.copy("First read")
    assert developer.copy("FHIR base") == demo.base
    discovered = http.get(developer.copy("Discovery"), timeout=30).json()
    assert discovered["token_endpoint"] == developer.copy("Token")

    assert developer.allow(sample)["error"] == ["access_denied"], "nobody is assigned yet"
    with operator(demo, tenant_of(demo)) as provider:
        provider.assign(developer.username, patient)
    code = developer.allow(sample, patient)["code"][0]
    answer = run(http, token_command, CODE=code).json()
    assert (answer["patient"], answer["token_type"]) == (patient, "Bearer")
    token = answer["access_token"]
    found = run(http, read_command, ACCESS_TOKEN=token).json()
    assert [entry["resource"]["id"] for entry in found["entry"]] == [patient]

    again = run(http, token_command, CODE=code)
    assert again.json()["error"] == "invalid_grant"
    wrong = developer.allow(sample.replace("aud=http", "aud=https"))
    assert wrong["error"] == ["invalid_request"]
    developer.open(page.partition("?")[0])
    developer.follow("Refused requests")
    for step in ("Patient: access_denied", "Authorization code: invalid_grant", "aud: invalid"):
        assert step in developer.text
    assert f"Expected</dt><dd>{demo.base}</dd>" in developer.text
    assert patient not in developer.text
    assert code not in developer.text
    developer.submit(developer.form("id"), {"id": again.headers["X-Correlation-Id"]})
    assert "Authorization code: " in developer.text
    assert "aud: " not in developer.text
    with Developer(demo, redirect_uri) as other:
        other.sign_up()
        assert other.open(f"{demo.base}/auth/portal/apps/{client_id}/trace").status == 404


def test_why_data_were_refused(
    demo: RunningDemo, developer: Developer, redirect_uri: str, http: requests.Session
) -> None:
    developer.register("public", redirect_uri, scope="launch/patient patient/Patient.rs")
    page, patient = developer.url.partition("?")[0], demo.demo["patient_id"]
    sample, command = developer.copy("Sample launch"), developer.copy("Token request")
    with operator(demo, tenant_of(demo)) as provider:
        provider.assign(developer.username, patient)
    code = developer.allow(sample, patient)["code"][0]
    token = run(http, command, CODE=code).json()["access_token"]
    refused = http.get(
        f"{demo.base}/Appointment?patient={patient}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert refused.status_code == 403
    developer.open(f"{page}/trace")
    developer.submit(developer.form("id"), {"id": refused.headers["X-Correlation-Id"]})
    assert "Scope: " in developer.text
    assert "patient/Patient.rs" in developer.text
    assert patient not in developer.text


def test_an_app_waits_for_the_provider(
    demo: RunningDemo, developer: Developer, redirect_uri: str
) -> None:
    developer.register("public", redirect_uri)
    page, client_id = developer.url.partition("?")[0], developer.copy("Client id")
    sample = developer.copy("Sample launch")
    patient = demo.demo["patient_id"]
    person = demo.demo["users"]["practitioner"]
    with operator(demo, tenant_of(demo)) as provider:
        provider.approve(client_id, False)
        provider.assign(developer.username, patient)
        assert "waits for approval" in developer.open(page).text
        assert "code" in developer.allow(sample, patient)
        with FormBrowser(stop_at=redirect_uri) as doctor:
            doctor.open(sample)
            fill = {"username": person["username"], "password": person["password"]}
            doctor.submit(doctor.form("username"), fill)
            assert parse_qs(urlsplit(doctor.url).query)["error"] == ["unauthorized_client"]
            provider.approve(client_id)
            doctor.open(sample)
            assert doctor.form("patient")
    assert "waits for approval" not in developer.open(page).text


@pytest.mark.node
def test_openid_client_launches_what_the_portal_registered(
    demo: RunningDemo, node: NodeClients, developer: Developer, redirect_uri: str
) -> None:
    developer.register("secret", redirect_uri)
    given = {
        "issuer": demo.base,
        "client_id": developer.copy("Client id"),
        "client_secret": developer.copy("Client secret"),
        "redirect_uri": redirect_uri,
        "scope": "openid fhirUser launch/patient offline_access patient/*.read",
    }
    patient = demo.demo["patient_id"]
    with operator(demo, tenant_of(demo)) as provider:
        provider.assign(developer.username, patient)
    with subprocess.Popen(
        node.command(CLIENTS / "openid.mjs", json.dumps(given)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        developer.allow(json.loads(process.stdout.readline())["url"], patient)
        process.stdin.write(developer.url + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline() or "{}")
    assert answer["tokens"]["patient"] == patient
    assert answer["refreshed"]["refresh_token"] != answer["tokens"]["refresh_token"]
    assert answer["afterRevocation"] == "invalid_grant"


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    """A real browser without scripts, narrow and wide."""
    width, height = WIDTHS[request.param]
    size: Any = {"width": width, "height": height}
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        context = opened.new_context(java_script_enabled=False, viewport=size)
        yield context.new_page()
        opened.close()


def look(page: Page, heading: str) -> None:
    """The page that is open has this heading, and no fault of markup, contrast or Tab order."""
    assert page.locator("h1").inner_text() == heading
    assert page.evaluate(FAULTS) == [], heading
    assert page.evaluate(CONTRASTS) == [], heading
    count = page.evaluate(f"() => ({FOCUSABLE})().length")
    assert tab_order(page, count) == list(range(count)), heading


def tab_order(page: Page, count: int) -> list[int]:
    """The controls in the order of the Tab key from the top, each with its focus to be seen. The
    parts of a date are one control."""
    page.evaluate("() => { document.activeElement.blur(); window.getSelection().empty(); }")
    page.locator("body").evaluate(
        "e => { e.tabIndex = -1; e.focus(); e.removeAttribute('tabindex'); }"
    )
    way: list[int] = []
    for _ in range(5 * count):
        page.keyboard.press("Tab")
        now = page.evaluate(FOCUS)
        assert now["seen"], now["html"]
        if way[-1:] != [now["at"]]:
            way.append(now["at"])
        if now["at"] == count - 1:
            break
    return way


@pytest.mark.browser
def test_every_page_in_a_real_browser(demo: RunningDemo, page: Page, redirect_uri: str) -> None:
    username = f"dev{secrets.token_hex(6)}"

    def press(name: str) -> None:
        go(page, page.get_by_role("button", name=name, exact=True))

    page.goto(f"{demo.base}/auth/portal")
    go(page, page.get_by_role("link", name="Sign up as a developer"))
    look(page, "Sign up as a developer")
    labels = {
        "First name": "Dana", "Last name": "Developer", "Birth date": "1985-02-28",
        "E-mail address": "dana@example.org", "Facility": "General Hospital",
        "User name": username, "Password again": "a long password",
    }  # fmt: skip
    page.get_by_label("Provider: apps").check()
    for label, value in labels.items():
        page.get_by_label(label).fill(value)
    page.get_by_label("Password", exact=True).fill("another password")
    press("Make my account")
    look(page, "Sign up as a developer")
    assert page.get_by_label("First name").input_value() == "Dana"
    for label in ("Password", "Password again"):
        page.get_by_label(label, exact=True).fill("a long password")
    press("Make my account")
    look(page, "Your account is made")
    go(page, page.get_by_role("link", name="Log in to the developer portal"))
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill("a long password")
    press("Log in")
    look(page, "Developer portal")
    with operator(demo, tenant_of(demo)) as provider:
        provider.assign(username, demo.demo["patient_id"])
    go(page, page.get_by_role("link", name="Register an app"))
    look(page, "Register an app")
    page.get_by_label("Server app with a secret").check()
    press("Continue")
    page.get_by_label("Name").fill("Wound viewer")
    page.get_by_label("Redirect URIs").fill("app.example")
    press("Register the app")
    look(page, "Register an app")
    page.get_by_label("Redirect URIs").fill(redirect_uri)
    press("Register the app")
    look(page, "The secret of Wound viewer")
    secret = page.get_by_label("Client secret").input_value()
    go(page, page.get_by_role("link", name="I have copied it"))
    look(page, "Wound viewer")
    assert secret not in page.content()
    home = page.url
    go(page, page.get_by_role("link", name="Patients", exact=True))
    press("Search")
    look(page, "Patients of Wound viewer")
    press("Add those ticked")
    look(page, "Patients of Wound viewer")
    assert page.get_by_role("button", name="Remove").count() == 1
    for link, heading in (
        ("Refused requests", "Refused requests of Wound viewer"),
        ("Change the app", "Change Wound viewer"),
        ("New secret", "New secret for Wound viewer"),
        ("Delete the app", "Delete Wound viewer"),
    ):
        page.goto(home)
        go(page, page.get_by_role("link", name=link))
        look(page, heading)
    page.get_by_label("Name of the app").fill("Wound viewer")
    press("Delete the app")
    look(page, "Developer portal")
    assert page.goto(home) is not None
    look(page, "Not possible")
