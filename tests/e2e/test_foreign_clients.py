"""Clients that are not ours, used as their users use them: openid-client, fhirclient, SMART JS,
smart-fetch.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fhirclient import client as fhirclient
from fhirclient.models.appointment import Appointment
from fhirclient.models.diagnosticreport import DiagnosticReport
from fhirclient.models.patient import Patient
from playwright.sync_api import Page, sync_playwright

from sandbox.demo.forms import FormBrowser
from tests.support.demo import RunningDemo
from tests.support.node import NodeClients, chromium
from tests.support.oauth_browser import OwnBrowser
from tests.support.oauth_checks import SEEN, log_in
from tests.support.oauth_flow import OAuthFlow
from tests.support.oauth_kit import LAUNCH_URI, REDIRECT_URI, KitApp, register

CLIENTS = Path(__file__).parent / "clients"
BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def consent(demo: RunningDemo, url: str, redirect_uri: str, user: str = "practitioner") -> str:
    """Log in, choose the demo's patient, allow everything; the callback URL."""
    person = demo.demo["users"][user]
    browser = FormBrowser(stop_at=redirect_uri)
    try:
        browser.open(url)
        login = browser.form("username", "password")
        browser.submit(login, {"username": person["username"], "password": person["password"]})
        for _ in range(4):
            if browser.url.startswith(redirect_uri):
                return browser.url
            picker = [one for one in browser.forms() if "patient" in one.names()]
            if picker:
                browser.submit(picker[0], {"patient": demo.demo["patient_id"]})
            else:
                browser.submit(browser.forms()[0])
        raise AssertionError(f"no way to the app from {urlsplit(browser.url).path}")
    finally:
        browser.close()


def launch_of(app: KitApp) -> tuple[OwnBrowser, str]:
    """A browser in which the demo's EHR launched the app for the demo's patient, and the launch."""
    url = app.flow.demo.demo["ehr_launch_url"].format(
        patient_id=app.flow.demo.demo["patient_id"], client_id=app.client_id
    )
    browser = OwnBrowser(stop_at=LAUNCH_URI if app.key else "http://localhost")
    arrived = parse_qs(urlsplit(browser.open(url).url).query)
    assert arrived["iss"] == [app.flow.base]
    SEEN.add(arrived["launch"][0])
    return browser, arrived["launch"][0]


def drive(node: NodeClients, given: dict[str, Any], answer_for: Callable[[str], str]) -> Any:
    """Run openid-client; `answer_for` turns its authorization URL into the callback URL."""
    with subprocess.Popen(
        node.command(CLIENTS / "openid.mjs", json.dumps(given)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        process.stdin.write(answer_for(url) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline() or "{}")


@pytest.mark.node
@pytest.mark.parametrize("kind", ["public", "confidential"])
def test_openid_client(demo: RunningDemo, node: NodeClients, app_port: int, kind: str) -> None:
    redirect_uri = f"http://localhost:{app_port}/{'app.html' if kind == 'public' else 'cb'}"
    given = {
        "issuer": demo.base,
        "client_id": f"e2e-{kind}",
        "client_secret": "a-secret-of-the-test-run" if kind == "confidential" else None,
        "redirect_uri": redirect_uri,
        "scope": "openid fhirUser launch/patient offline_access patient/*.read",
    }
    answer = drive(node, given, lambda url: consent(demo, url, redirect_uri))
    assert answer["tokens"]["patient"] == demo.demo["patient_id"]
    assert "patient/*.read" in answer["tokens"]["scope"].split() or any(
        scope.endswith(".read") for scope in answer["tokens"]["scope"].split()
    )
    assert answer["claims"]["iss"] == demo.base
    assert answer["claims"]["fhirUser"].startswith(f"{demo.base}/Practitioner/")
    assert answer["refreshed"]["refresh_token"] != answer["tokens"]["refresh_token"]
    assert answer["afterRevocation"] == "invalid_grant"
    if kind == "confidential":
        assert answer["introspected"]["active"] is True
        assert answer["introspected"]["patient"] == demo.demo["patient_id"]


KINDS = {
    "ES384": {"name": "ECDSA", "namedCurve": "P-384"},
    "RS384": {"name": "RSASSA-PKCS1-v1_5", "hash": "SHA-384"},
}
"""How the Web Cryptography API calls each."""


@pytest.mark.node
@pytest.mark.parametrize("method", KINDS)
@pytest.mark.parametrize("ehr", [False, True], ids=["standalone", "EHR"])
def test_openid_client_with_a_key(
    demo: RunningDemo, node: NodeClients, method: str, ehr: bool
) -> None:
    """A launch of an app that proves itself by private_key_jwt, from code to revocation."""
    flow = OAuthFlow(demo, seen=SEEN)
    app = register(flow, method)
    assert app.key is not None
    browser, launch = launch_of(app) if ehr else (OwnBrowser(), None)
    given = {
        "issuer": demo.base,
        "client_id": app.client_id,
        "redirect_uri": REDIRECT_URI,
        "launch": launch,
        "scope": f"openid fhirUser {'launch' if ehr else 'launch/patient'} offline_access"
        " patient/*.rs",
        "key": {
            "jwk": {**app.key.as_dict(private=True), "alg": method, "key_ops": ["sign"]},
            "algorithm": KINDS[method],
        },
    }

    def answer_for(url: str) -> str:
        browser.stop_at = REDIRECT_URI
        browser.open(url)
        if not ehr:
            log_in(browser, demo.demo["users"]["patient"])
        browser.submit(browser.form("decision"), {}, "decision=allow")
        return browser.url

    with browser:
        answer = drive(node, given, answer_for)
    flow.close()
    users = demo.demo["users"]
    wanted = demo.demo["patient_id"] if ehr else users["patient"]["patient_id"]
    assert answer["tokens"]["patient"] == answer["introspected"]["patient"] == wanted
    assert answer["claims"]["iss"] == demo.base
    assert answer["refreshed"]["refresh_token"] != answer["tokens"]["refresh_token"]
    assert answer["introspected"]["client_id"] == app.client_id
    assert answer["afterRevocation"] == "invalid_grant"


@pytest.mark.parametrize("access", ["read", "rs"])
@pytest.mark.parametrize("ehr", [False, True], ids=["standalone", "EHR"])
def test_fhirclient_for_python(demo: RunningDemo, app_port: int, access: str, ehr: bool) -> None:
    redirect_uri = f"http://localhost:{app_port}/app.html"
    settings = {
        "app_id": "e2e-public",
        "api_base": demo.base,
        "redirect_uri": redirect_uri,
        "scope": f"openid fhirUser launch/patient offline_access patient/*.{access}",
    }
    if ehr:
        flow = OAuthFlow(demo, seen=SEEN)
        browser, settings["launch_token"] = launch_of(KitApp(flow, "none", "e2e-public"))
        settings["scope"] = f"launch {settings['scope']}"
        flow.close()
    smart = fhirclient.FHIRClient(settings=settings)
    assert smart.prepare() is False
    if ehr:
        browser.stop_at = redirect_uri
        browser.open(smart.authorize_url)
        browser.submit(browser.form("decision"), {}, "decision=allow")
        smart.handle_callback(browser.url)
        browser.close()
    else:
        smart.handle_callback(consent(demo, smart.authorize_url, redirect_uri))
    assert smart.ready
    assert smart.patient_id == demo.demo["patient_id"]
    assert smart.patient.id == demo.demo["patient_id"]
    patient = Patient.read(demo.demo["patient_id"], smart.server)
    assert patient.name
    wanted = {"patient": smart.patient_id}
    appointments = list(Appointment.where(wanted).perform_resources_iter(smart.server))
    assert appointments
    assert {a.resource_type for a in appointments} == {"Appointment"}
    reports = DiagnosticReport.where(wanted).perform_resources_iter(smart.server)
    assert list(reports)
    before = smart.server.auth.access_token
    assert smart.reauthorize()
    assert smart.server.auth.access_token != before
    assert Patient.read(demo.demo["patient_id"], smart.server).id == smart.patient_id


@pytest.fixture(scope="module")
def app_server(node: NodeClients, app_port: int) -> Iterator[str]:
    """The pages of a SMART JS app, on the port its registration names."""

    class Pages(SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            name = urlsplit(path).path.lstrip("/")
            if name == "fhir-client.js":
                return str(node.modules / "fhirclient" / "build" / "fhir-client.js")
            return str(CLIENTS / name)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", app_port), partial(Pages))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{app_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=BROWSER_FLAGS)
        yield browser.new_page()
        browser.close()


@pytest.mark.node
@pytest.mark.browser
@pytest.mark.parametrize("dialect", ["v1", "v2"])
@pytest.mark.parametrize("launch", ["ehr", "standalone"])
def test_smart_js_in_a_browser(
    demo: RunningDemo, app_server: str, page: Page, launch: str, dialect: str
) -> None:
    sent: list[dict[str, list[str]]] = []
    page.on(
        "request",
        lambda one: sent.append(parse_qs(one.post_data)) if one.url.endswith("/token") else None,
    )
    client = "e2e-v1" if dialect == "v1" else "e2e-public"
    if launch == "ehr":
        chosen = {"patient_id": demo.demo["patient_id"], "client_id": client}
        page.goto(demo.demo["ehr_launch_url"].format(**chosen))
    else:
        page.goto(f"{app_server}/launch.html?iss={demo.base}&client={client}&dialect={dialect}")
        person = demo.demo["users"]["patient"]
        page.get_by_label("User name").fill(person["username"])
        page.get_by_label("Password").fill(person["password"])
        page.locator("button[type=submit]").first.click()
    page.get_by_role("button", name="Allow").click()
    page.wait_for_selector("body[data-done]")
    result = json.loads(page.inner_text("#result"))
    assert "error" not in result, result["error"]
    wanted = (
        demo.demo["patient_id"] if launch == "ehr" else demo.demo["users"]["patient"]["patient_id"]
    )
    assert result["patient"] == wanted
    granted = "patient/*.read" if dialect == "v1" else "patient/*.rs"
    assert granted in result["scope"].split()
    refreshing = next(one for one in sent if one["grant_type"] == ["refresh_token"])
    assert refreshing.keys() == {"grant_type", "refresh_token"}, "it does not name itself"
    assert result["refreshed"] is True
    assert result["afterRefresh"] == wanted
    assert result["user"] == ("Practitioner" if launch == "ehr" else "Patient")
    assert result["appointments"] > 0
    assert result["reports"] > 0
    assert "404" in result["other"]


@pytest.mark.browser
def test_the_sample_app_shows_a_patient(demo: RunningDemo, page: Page) -> None:
    page.goto(f"{demo.root}/")
    page.get_by_role("link", name="Open the EHR").first.click()
    page.get_by_label("Patient").select_option(demo.demo["patient_id"])
    page.get_by_label("App").select_option(label="Sample app")
    page.get_by_role("button", name="Launch").click()
    page.get_by_role("button", name="Allow").click()
    page.wait_for_selector("body[data-state=ready]")
    assert page.locator("#appointments tbody tr").count() > 0
    assert page.locator("#reports tbody tr").count() > 0
    assert page.inner_text("#patient") not in ("", "…")


def test_smart_fetch_exports_a_group(demo: RunningDemo, tmp_path: Path) -> None:
    backend = demo.demo["clients"]["backend"]
    key = tmp_path / "key.jwks"
    key.write_text(json.dumps({"keys": [{**backend["jwk"], "key_ops": ["sign"]}]}))
    out = tmp_path / "out"
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("smart-fetch")),
            "bulk",
            f"--fhir-url={demo.base}",
            f"--group={demo.demo['group_id']}",
            f"--smart-client-id={backend['client_id']}",
            f"--smart-key={key}",
            "--type=Patient,DiagnosticReport",
            str(out),
        ],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names = {path.name.split(".")[0] for path in out.rglob("*.ndjson*")}
    assert {"Patient", "DiagnosticReport"} <= names


def test_the_callback_of_a_refusal_carries_the_state(demo: RunningDemo, app_port: int) -> None:
    redirect_uri = f"http://localhost:{app_port}/app.html"
    browser = FormBrowser(stop_at=redirect_uri)
    browser.open(
        f"{demo.base}/auth/authorize?response_type=code&client_id=e2e-public"
        f"&redirect_uri={redirect_uri}&scope=launch/patient&state=a%2Fb%20c&aud={demo.base}"
    )
    answer = parse_qs(urlsplit(browser.url).query)
    browser.close()
    assert answer["error"] == ["invalid_request"]
    assert answer["state"] == ["a/b c"]
