"""Logging in at a provider that is not ours (oidc-provider), run locally, through gunicorn."""

from __future__ import annotations

import html
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, RSAKey
from playwright.sync_api import sync_playwright

from sandbox.demo.forms import FormBrowser
from smart_auth import admin
from smart_auth.federation.directory import FLOOR
from tests.support.demo import free_port
from tests.support.node import NodeClients, chromium, node_clients
from tests.support.pages import go
from tests.support.pkce import Pkce
from tests.support.processes import wait_for
from tests.support.serving import Server

SCRIPT = Path(__file__).parent / "clients" / "provider.mjs"
CLIENT_ID = "facade"
SECRET = "a secret: of the +test% run"
APP = {"client_id": "app", "redirect_uri": "http://localhost:1/callback"}
PASSWORD = "correct horse"
PROVIDERS = "TENANTS__ACME__LOGIN_PROVIDERS__"
SCOPE = "openid fhirUser user/*.rs"
TRIES = 3


def a_key(alg: str, kid: str) -> Key:
    parameters: Any = {"kid": kid, "alg": alg, "use": "sig"}
    if alg.startswith("ES"):
        return ECKey.generate_key("P-256" if alg == "ES256" else "P-384", parameters)
    return RSAKey.generate_key(2048, parameters)


@dataclass
class Provider:
    """The running provider. People log in with any name, which is their subject."""

    node: NodeClients
    server_bases: list[str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.node.command(SCRIPT, str(self.port)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def sign_with(self, alg: str, kid: str) -> None:
        """Serve with a new key, and none of the old ones."""
        client = {
            "client_id": CLIENT_ID,
            "client_secret": SECRET,
            "id_token_signed_response_alg": alg,
            "redirect_uris": [
                f"{base}/fhir/acme/auth/federated/{name}/callback"
                for base in self.server_bases
                for name in ("linked", "named", "mailed")
            ],
        }
        key = a_key(alg, kid).as_dict(private=True)
        given = {"clients": [client], "jwks": {"keys": [key]}, "accounts": self.accounts}
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(given) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("{"):
                assert json.loads(line) == {"issuer": self.issuer}
                return
        raise AssertionError("the provider did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                assert pipe is not None
                pipe.close()
            self.process = None


@dataclass
class House:
    """Two gunicorns on one database, and the provider."""

    servers: list[Server]
    provider: Provider

    @property
    def base(self) -> str:
        return f"{self.servers[0].url}/fhir/acme"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = Path(tmp_path_factory.mktemp("federation"))
    port = free_port()
    provider = Provider(node_clients(), [f"http://127.0.0.1:{port}"])
    common = {"DEMO": "true", "SYNC": "false", "WEB_WORKERS": "2", "LOGINS_PER_MINUTE": "10000"}
    rules = {
        "LINKED": {},
        "NAMED": {"LINK": "username", "TRUST_USERNAMES": "true"},
        "MAILED": {"LINK": "email"},
    }
    for name, rule in rules.items():
        given = {"LABEL": f"By {name.lower()}", "ISSUER": provider.issuer} | rule
        given |= {"CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": SECRET}
        common |= {f"{PROVIDERS}{name}__{key}": value for key, value in given.items()}
    first = Server(folder / "first", common, port=port)
    shared = {
        name: first.environment[f"FACADE_{name}"]
        for name in ("PUBLIC_URL", "DATABASE_URL", "AUTH_DATABASE_URL", "FILES_URL")
    }
    second = Server(folder / "second", common | shared)
    made = House([first, second], provider)
    assert first.run("-m", "fhir_facade.cli", "db", "upgrade").returncode == 0
    people(first, provider.issuer)
    provider.accounts = {
        "p-7": {"preferred_username": "nina", "name": "Nina N"},
        "p-8": {"email": "mail@clinic.example", "email_verified": True},
        "p-9": {"email": "unsure@clinic.example", "email_verified": False},
    }
    try:
        provider.start()
        provider.sign_with("RS256", "first")
        for server in made.servers:
            server.start()
        yield made
    finally:
        provider.stop()
        for server in made.servers:
            server.stop()


def people(server: Server, issuer: str) -> None:
    """An app, and practitioners: dora is linked by the administrator, the others by claims."""
    facade = server.facade()
    store = facade.auth_store
    metadata = {"client_id": APP["client_id"], "redirect_uris": [APP["redirect_uri"]]}
    admin.create_client(store, "acme", metadata)
    for name in ("dora", "nina", "mail@clinic.example", "unsure@clinic.example"):
        user = admin.create_user(
            store,
            "acme",
            name,
            PASSWORD,
            role="practitioner",
            whole_tenant=True,
            fhir_user=f"Practitioner/{name.partition('@')[0]}",
        )
        if name == "dora":
            provider = facade.auth_settings.provider("acme", "linked")
            assert provider is not None
            assert provider.issuer == issuer
            admin.link_identity(store, user, provider, "p-1")
    facade.close()


@dataclass
class Launch:
    """One launch of the app in one browser."""

    house: House
    browser: FormBrowser = field(default_factory=lambda: FormBrowser(APP["redirect_uri"]))
    pkce: Pkce = field(default_factory=Pkce)
    button: str = ""
    """What led to the provider."""

    def begin(self, **more: str) -> Launch:
        self.pkce = Pkce()
        self.browser.open(self.pkce.authorize_url(self.house.base, APP, SCOPE, **more))
        return self

    def follow(self, text: str) -> Launch:
        """Press a link by its text."""
        found = re.search(rf'href="([^"]+)"[^>]*>\s*{re.escape(text)}', self.browser.text)
        assert found is not None, self.browser.text
        self.browser.open(urljoin(self.browser.url, html.unescape(found[1])))
        if self.at_provider:
            self.button = text
        return self

    @property
    def at_provider(self) -> bool:
        return self.browser.url.startswith(self.house.provider.issuer)

    def be(self, subject: str) -> Launch:
        """Log in at the provider and let it answer; again where it took longer than the server
        waits, as it may on a busy machine."""
        assert self.at_provider, self.browser.text
        self._answer(subject)
        for _ in range(TRIES):
            if self.browser.status != HTTPStatus.BAD_GATEWAY:
                break
            time.sleep(FLOOR)
            self.follow("Back to the login").follow(self.button)
            self._answer(subject)
        return self

    def _answer(self, subject: str) -> None:
        fill: dict[str, str | list[str]] = {"login": subject, "password": "any"}
        while self.at_provider:
            if 'name="login"' in self.browser.text:
                self.browser.submit(self.browser.form("login", "password"), fill)
            else:
                self.browser.submit(self.browser.form("prompt"))

    def claims(self) -> dict[str, Any]:
        """Allow, exchange the code; the claims of the app's id_token."""
        assert "asks for access" in self.browser.text or "Allow" in self.browser.text
        self.browser.submit(self.browser.form("decision"), button="decision=allow")
        answer = parse_qs(urlsplit(self.browser.url).query)
        assert answer["state"] == [self.pkce.state]
        form = self.pkce.code_fields(answer["code"][0], APP["redirect_uri"], APP["client_id"])
        tokens = requests.post(f"{self.house.base}/auth/token", data=form, timeout=20).json()
        discovery = f"{self.house.base}/.well-known/openid-configuration"
        jwks_uri = requests.get(discovery, timeout=20).json()["jwks_uri"]
        keys = requests.get(jwks_uri, timeout=20).json()
        return dict(jwt.decode(tokens["id_token"], KeySet.import_key_set(keys)).claims)

    def close(self) -> None:
        self.browser.close()


@pytest.fixture
def launch(house: House) -> Iterator[Launch]:
    made = Launch(house)
    yield made
    made.close()


@pytest.mark.node
@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "ES384"])
def test_a_launch_with_each_algorithm_after_a_change_of_keys(
    house: House, launch: Launch, alg: str
) -> None:
    """The server asks for keys again when it meets one it does not know, though not at once."""
    house.provider.sign_with(alg, f"key for {alg}")

    def logged_in() -> bool:
        launch.browser.session.cookies.clear()
        launch.begin().follow("By linked").be("p-1")
        return "You are not logged in" not in launch.browser.text

    wait_for(logged_in, 60, "the new key is never taken")
    claims = launch.claims()
    assert claims["fhirUser"] == f"{house.base}/Practitioner/dora"


@pytest.mark.node
def test_a_login_that_stands_at_the_provider_is_used_and_prompt_login_is_not(
    house: House, launch: Launch
) -> None:
    first = launch.begin().follow("By linked").be("p-1").claims()
    launch.browser.session.cookies.clear(domain="127.0.0.1")
    launch.begin().follow("By linked")
    assert not launch.at_provider
    second = launch.claims()
    assert second["fhirUser"] == first["fhirUser"]
    launch.begin(prompt="login").follow("By linked")
    assert launch.at_provider
    third = launch.be("p-1").claims()
    assert third["auth_time"] >= second["auth_time"]


@pytest.mark.node
def test_one_server_takes_what_the_other_began(house: House, launch: Launch) -> None:
    other = house.servers[1].url
    launch.begin().follow("By linked")
    launch.browser.stop_at = house.servers[0].url
    launch.be("p-1")
    came_back = launch.browser.url
    assert "/callback?" in came_back
    launch.browser.stop_at = APP["redirect_uri"]
    launch.browser.open(came_back.replace(house.servers[0].url, other))
    assert launch.browser.url.startswith(f"{other}/fhir/acme/auth/continue")
    assert launch.claims()["fhirUser"] == f"{house.base}/Practitioner/dora"
    launch.browser.open(came_back)
    assert "was finished already" in launch.browser.text


@pytest.mark.node
def test_claims_of_userinfo_link_where_the_settings_say_so(house: House, launch: Launch) -> None:
    for button, subject, who in (("By named", "p-7", "nina"), ("By mailed", "p-8", "mail")):
        launch.browser.session.cookies.clear()
        launch.begin().follow(button).be(subject)
        assert launch.claims()["fhirUser"] == f"{house.base}/Practitioner/{who}"


@pytest.mark.node
@pytest.mark.parametrize(
    ("button", "subject"), [("By linked", "p-2"), ("By named", "p-2"), ("By mailed", "p-9")]
)
def test_a_stranger_is_told_and_may_use_a_password(
    house: House, launch: Launch, button: str, subject: str
) -> None:
    launch.begin().follow(button).be(subject)
    assert launch.browser.status == 403
    assert "not linked to an account here" in launch.browser.text
    launch.follow("Back to the login")
    fill: dict[str, str | list[str]] = {"username": "dora", "password": PASSWORD}
    launch.browser.submit(launch.browser.form("username", "password"), fill)
    assert launch.claims()["fhirUser"] == f"{house.base}/Practitioner/dora"


@pytest.mark.node
def test_who_cancels_there_comes_back(house: House, launch: Launch) -> None:
    launch.begin().follow("By linked").follow("[ Cancel ]")
    assert launch.browser.status == 403
    assert "By linked did not log you in." in launch.browser.text
    launch.follow("Back to the login").follow("By linked").be("p-1")
    assert launch.claims()["fhirUser"] == f"{house.base}/Practitioner/dora"


@pytest.mark.node
@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1200])
def test_in_a_browser(house: House, width: int) -> None:
    """The provider is another site than ours here: the cookies have to come along all the same."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800}, java_script_enabled=False)
        page.goto(f"{house.base}/auth/manage")
        go(page, page.get_by_role("link", name="By linked"))
        page.locator("input[name=login]").fill("p-2")
        page.locator("input[name=password]").fill("any")
        go(page, page.locator("button[type=submit]"))
        go(page, page.locator("button[type=submit]"))
        assert page.locator("h1").inner_text() == "You are not logged in"
        assert page.get_by_role("alert").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        browser.new_context()
        page.context.clear_cookies(domain="localhost")
        go(page, page.get_by_role("link", name="Back to the login"))
        go(page, page.get_by_role("link", name="By linked"))
        page.locator("input[name=login]").fill("p-1")
        page.locator("input[name=password]").fill("any")
        go(page, page.locator("button[type=submit]"))
        go(page, page.locator("button[type=submit]"))
        page.wait_for_url(f"{house.base}/auth/manage")
        assert page.locator("form.who").inner_text().startswith("dora")
        browser.close()


@pytest.mark.node
def test_a_provider_that_is_gone_leaves_the_password(house: House, launch: Launch) -> None:
    """Last, for the provider is not started again."""
    launch.begin().follow("By linked")
    going = launch.browser.url
    launch.browser.stop_at = house.servers[0].url
    launch.be("p-1")
    came_back = launch.browser.url
    assert came_back != going
    house.provider.stop()
    launch.browser.stop_at = APP["redirect_uri"]
    launch.browser.open(came_back)
    assert launch.browser.status == 502
    assert "cannot be used to log in at the moment" in launch.browser.text
    launch.follow("Back to the login")
    fill: dict[str, str | list[str]] = {"username": "dora", "password": PASSWORD}
    launch.browser.submit(launch.browser.form("username", "password"), fill)
    assert launch.claims()["fhirUser"] == f"{house.base}/Practitioner/dora"
