"""A developer's apps, page by page."""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import time_machine
from flask.testing import FlaskClient

from smart_auth import admin
from smart_auth.portal.apps import Apps
from smart_auth.records import Client, User
from smart_auth.server import AuthServer
from smart_auth.settings import Limits
from smart_auth.store import AuthStore
from tests.support.portal import LAUNCH_APP, PortalBrowser
from tests.support.smart_auth import (
    PASSWORD,
    PUBLIC_URL,
    REDIRECT,
    SETTINGS,
    FakeFacade,
    Tab,
    backend_key,
    make_app,
    public_jwks,
)

BASE = f"{PUBLIC_URL}/fhir/acme"
KEYS = public_jwks(backend_key())
AppOf = Callable[..., Client]
Stored = Callable[[str], Client]


def register(browser: PortalBrowser, **changes: str) -> PortalBrowser:
    fields = LAUNCH_APP | changes
    browser.visit("portal/apps/new")
    browser.submit(browser.form("kind"), {"kind": fields["kind"]})
    browser.submit(browser.form("name", "scope"), fields)
    return browser


def id_of(browser: PortalBrowser) -> str:
    return browser.value("client-id")


def acts(facade: FakeFacade) -> list[tuple[str | None, str | None, str | None]]:
    return [(e.reason, e.client_id, e.actor) for e in facade.events if e.action == "admin"]


def test_the_portal_asks_for_a_login_and_comes_back(browser: PortalBrowser) -> None:
    browser.visit("portal/apps/new")
    assert browser.title == "Log in"
    assert "Sign up as a developer" in browser.shown
    browser.submit(browser.form("username"), {"username": "dev", "password": PASSWORD})
    assert browser.title == "Register an app"


def test_a_login_for_something_else_does_not_speak_of_developers(browser: PortalBrowser) -> None:
    assert "developer" not in browser.visit("manage").shown


@pytest.mark.parametrize("name", ["doctor", "ann"])
def test_it_is_for_developers_only(browser: PortalBrowser, name: str) -> None:
    browser.log_in(name)
    assert browser.status == 403


def test_a_new_app_is_shown_with_its_addresses(
    dev: PortalBrowser, stored: Stored, facade: FakeFacade, people: dict[str, User]
) -> None:
    register(dev)
    assert (dev.status, dev.title) == (200, "Wound viewer")
    assert "The app is registered." in dev.shown
    app = stored(id_of(dev))
    assert (app.owner, app.approved_at, app.auth_method) == (people["dev"].user_id, None, "none")
    assert app.redirect_uris == (REDIRECT,)
    assert app.scope == "launch launch/patient openid fhirUser offline_access patient/*.rs"
    assert app.details["contacts"] == ["dev@example.org"]
    assert dev.value("fhir-base") == BASE
    assert dev.value("discovery") == f"{BASE}/.well-known/smart-configuration"
    assert dev.value("authorize") == f"{BASE}/auth/authorize"
    assert dev.value("token") == f"{BASE}/auth/token"
    assert f'href="{BASE}/metadata"' in dev.text
    assert "Until then only you can launch it" in dev.shown
    assert acts(facade) == [("app registered", app.client_id, people["dev"].user_id)]
    dev.visit("portal")
    assert "Wound viewer" in dev.shown
    assert "waits for approval" in dev.shown


def test_every_field_reaches_the_app(dev: PortalBrowser, stored: Stored) -> None:
    register(
        dev,
        kind="keys",
        launch_uri="https://app.example/launch",
        scope="launch patient/Observation.rs",
        jwks=json.dumps(KEYS),
        client_uri="https://app.example/",
        policy_uri="https://app.example/privacy",
        contacts="team@app.example\n\nsupport@app.example",
        valid_from="2020-01-01",
        valid_to="2039-12-31",
    )
    app = stored(id_of(dev))
    assert (app.auth_method, json.loads(app.jwks or "")) == ("private_key_jwt", KEYS)
    assert (app.launch_uri, app.scope) == (
        "https://app.example/launch",
        "launch patient/Observation.rs",
    )
    assert app.details == {
        "client_uri": "https://app.example/",
        "policy_uri": "https://app.example/privacy",
        "contacts": ["team@app.example", "support@app.example"],
    }
    assert (app.valid_from, app.valid_to) == (1_577_836_800, 2_209_032_000 - 43_200)
    assert "from 1 January 2020 through 31 December 2039 (days in UTC)" in dev.shown
    dev.visit(f"portal/apps/{app.client_id}/edit")
    dev.submit(dev.form("name"))
    after = stored(app.client_id)
    assert replace(after, version=app.version) == app, "a form sent as it came changes nothing"


def test_a_refused_form_keeps_what_was_written(dev: PortalBrowser, store: AuthStore) -> None:
    before = len(store.clients.list("acme"))
    register(dev, redirect_uris="http://app.example/cb\n<x>", scope="banana")
    assert dev.status == 422
    assert dev.error("redirect_uris").startswith("Line 1: use https")
    assert "banana" in dev.error("scope")
    fields = {one.name: one.value for one in dev.form("redirect_uris").fields}
    assert html.unescape(fields["redirect_uris"]).split() == ["http://app.example/cb", "<x>"]
    assert fields["scope"].strip() == "banana"
    assert len(store.clients.list("acme")) == before


def test_a_form_sent_twice_makes_one_app(dev: PortalBrowser, store: AuthStore) -> None:
    dev.visit("portal/apps/new?kind=public")
    form = dev.form("redirect_uris")
    dev.submit(form, LAUNCH_APP)
    first = id_of(dev)
    before = len(store.clients.list("acme"))
    dev.submit(form, LAUNCH_APP)
    assert (dev.status, id_of(dev)) == (200, first)
    assert len(store.clients.list("acme")) == before


def test_the_id_of_a_new_app_is_not_the_developers_choice(dev: PortalBrowser) -> None:
    register(dev, once="chosen-by-me")
    assert dev.status == 400


def test_a_secret_is_shown_once(dev: PortalBrowser, stored: Stored, facade: FakeFacade) -> None:
    register(dev, kind="secret")
    assert dev.title == "The secret of Wound viewer"
    assert dev.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in dev.headers
    secret, client_id = dev.value("client-secret"), id_of(dev)
    assert len(secret) >= 32
    assert secret not in dev.url
    assert stored(client_id).check_client_secret(secret)
    for page in ("", "/edit", "/secret", "/trace"):
        dev.visit(f"portal/apps/{client_id}{page}")
        assert (dev.status, secret in dev.text) == (200, False)
    assert secret not in repr(facade.events)


def test_a_secret_is_replaced_after_a_question(
    dev: PortalBrowser, app_of: AppOf, stored: Stored, facade: FakeFacade, people: dict[str, User]
) -> None:
    app = app_of(client_secret="the first secret")
    dev.visit(f"portal/apps/{app.client_id}/secret")
    assert stored(app.client_id).check_client_secret("the first secret"), "only a question so far"
    form = dev.button(f"portal/apps/{app.client_id}/secret")
    dev.submit(form)
    secret = dev.value("client-secret")
    after = stored(app.client_id)
    assert after.check_client_secret(secret)
    assert not after.check_client_secret("the first secret")
    assert acts(facade) == [("app secret replaced", app.client_id, people["dev"].user_id)]
    dev.submit(form)
    assert dev.status == 409, "loading the answer again does not replace it again"
    assert stored(app.client_id).check_client_secret(secret)


def test_an_app_without_a_secret_gets_none(dev: PortalBrowser, app_of: AppOf) -> None:
    app = app_of()
    assert dev.visit(f"portal/apps/{app.client_id}/secret").status == 404
    assert "New secret" not in dev.visit(f"portal/apps/{app.client_id}").text


WIDER = {
    "another name": {"name": "Hospital login"},
    "a new redirect URI": {"redirect_uris": f"{REDIRECT}\nhttps://elsewhere.example/cb"},
    "another launch URI": {"launch_uri": "https://elsewhere.example/launch"},
    "wider scopes": {"scope": "launch openid patient/*.rs user/Patient.rs"},
    "a longer validity": {"valid_to": "2098-12-31"},
}
NARROWER = [
    {"scope": "launch patient/Observation.rs"},
    {"redirect_uris": REDIRECT},
    {"launch_uri": ""},
    {"valid_to": "2031-01-01"},
    {"valid_from": "2021-01-01"},
    {"client_uri": "https://app.example/new"},
]


@pytest.fixture
def approved(app_of: AppOf) -> Client:
    return app_of(
        redirect_uris=[REDIRECT, "https://app.example/cb"],
        launch_uri="https://app.example/launch",
        scope="launch openid patient/*.rs",
        valid_from=1_577_836_800,
        valid_to=2_208_988_800,
    )


@pytest.mark.parametrize("why", WIDER)
def test_a_wider_app_waits_for_approval_again(
    dev: PortalBrowser, approved: Client, stored: Stored, facade: FakeFacade, why: str
) -> None:
    page = f"portal/apps/{approved.client_id}"
    dev.visit(f"{page}/edit")
    assert "send it back to approval" in dev.shown
    dev.submit(dev.form("name"), WIDER[why])
    assert dev.status == 409
    assert why in dev.shown
    assert stored(approved.client_id) == approved, "nothing is saved before the developer agrees"
    dev.submit(dev.form("name"))
    assert dev.status == 200
    assert "waits for approval" in dev.shown
    after = stored(approved.client_id)
    assert (after.approved_at, after.approved_by) == (None, None)
    assert after.version == approved.version + 1
    assert [act[0] for act in acts(facade)] == ["app changed and sent to approval"]


@pytest.mark.parametrize("change", NARROWER, ids=lambda change: next(iter(change)))
def test_other_changes_leave_it_approved(
    dev: PortalBrowser, approved: Client, stored: Stored, change: dict[str, str]
) -> None:
    dev.visit(f"portal/apps/{approved.client_id}/edit")
    dev.submit(dev.form("name"), change)
    assert dev.status == 200
    after = stored(approved.client_id)
    assert after.approved_at == approved.approved_at
    assert after != replace(approved, version=after.version)


def test_where_approval_is_automatic_a_wider_app_stays_approved(
    store: AuthStore, facade: FakeFacade, app_of: AppOf, stored: Stored
) -> None:
    server = AuthServer(store, facade, replace(SETTINGS, approve_apps="automatic"))
    browser = PortalBrowser(make_app(server).test_client()).log_in("dev")
    register(browser)
    made = stored(id_of(browser))
    assert made.approved_by == "automatic"
    browser.visit(f"portal/apps/{made.client_id}/edit")
    browser.submit(browser.form("name"), {"name": "Another"})
    assert browser.status == 200
    assert stored(made.client_id).approved_at == made.approved_at
    withdrawn = app_of(approved=False)
    browser.visit(f"portal/apps/{withdrawn.client_id}/edit")
    browser.submit(browser.form("name"), {"name": "Another"})
    assert stored(withdrawn.client_id).approved_at is None


def test_the_kind_of_an_app_stays(dev: PortalBrowser, app_of: AppOf, stored: Stored) -> None:
    app = app_of(client_secret="a secret")
    dev.visit(f"portal/apps/{app.client_id}/edit")
    dev.submit(dev.form("name"), {"kind": "public"})
    assert dev.status == 422
    assert stored(app.client_id) == app


def test_an_edit_of_a_stale_page_changes_nothing(
    dev: PortalBrowser, store: AuthStore, app_of: AppOf, stored: Stored
) -> None:
    app = app_of()
    dev.visit(f"portal/apps/{app.client_id}/edit")
    form = dev.form("name")
    admin.change_client(store, app, scope_limit="patient/Patient.rs")
    dev.submit(form, {"client_uri": "https://app.example/"})
    assert dev.status == 409
    assert "changed in the meantime" in dev.shown
    after = stored(app.client_id)
    assert (after.scope_limit, after.details) == ("patient/Patient.rs", {})


def test_what_the_provider_decides_survives_an_edit(
    dev: PortalBrowser, store: AuthStore, app_of: AppOf, stored: Stored
) -> None:
    app = app_of(groups=["g1"], pkce_optional=True, client_secret="a secret", may_introspect=True)
    app = admin.change_client(
        store, app, scope_limit="patient/Patient.rs", patients=frozenset({"p1"})
    )
    dev.visit(f"portal/apps/{app.client_id}/edit")
    dev.submit(dev.form("name"), {"client_uri": "https://app.example/"})
    assert dev.status == 200
    after = stored(app.client_id)
    kept = replace(app, version=after.version, details={"client_uri": "https://app.example/"})
    assert after == kept


def test_an_app_rests_and_goes_on(
    dev: PortalBrowser, app_of: AppOf, stored: Stored, facade: FakeFacade
) -> None:
    app = app_of()
    page = f"portal/apps/{app.client_id}"
    dev.visit(page)
    dev.submit(dev.button(f"{page}/state", active="no"))
    assert "The app is inactive now." in dev.shown
    assert not stored(app.client_id).active
    dev.submit(dev.button(f"{page}/state", active="yes"))
    assert "active again" in dev.shown
    assert stored(app.client_id).active
    assert [act[0] for act in acts(facade)] == ["app made inactive", "app made active"]


def test_what_the_provider_stopped_the_developer_cannot_start(
    dev: PortalBrowser,
    server: AuthServer,
    store: AuthStore,
    people: dict[str, User],
    app_of: AppOf,
    stored: Stored,
) -> None:
    app = app_of()
    page = f"portal/apps/{app.client_id}"
    dev.visit(page)
    dev.submit(dev.button(f"{page}/state", active="no"))
    resume = dev.button(f"{page}/state", active="yes")
    admin.deactivate_client(store, "acme", app.client_id)
    dev.submit(resume)
    assert dev.status == 409
    assert "only they can make it active" in dev.shown
    dev.visit(f"{page}/edit")
    dev.submit(dev.form("name"), {"client_uri": "https://app.example/"})
    assert dev.status == 200
    stopped = stored(app.client_id)
    assert not stopped.active, "an edit does not start it either"
    core, tenant = server.core, server.ports.tenants()["acme"]
    with pytest.raises(PermissionError):
        Apps(core, tenant, people["dev"]).resume(stopped)


def test_started_and_stopped_again_by_the_provider_it_is_the_providers(
    store: AuthStore, server: AuthServer, people: dict[str, User], app_of: AppOf, stored: Stored
) -> None:
    apps = Apps(server.core, server.ports.tenants()["acme"], people["dev"])
    app = app_of()
    apps.pause(app)
    assert apps.may_resume(stored(app.client_id))
    admin.change_client(store, stored(app.client_id), active=True)
    admin.change_client(store, stored(app.client_id), active=False)
    assert not apps.may_resume(stored(app.client_id))


def test_deleting_takes_the_name(
    dev: PortalBrowser, store: AuthStore, app_of: AppOf, facade: FakeFacade
) -> None:
    app = app_of(client_name="Viewer & more")
    page = f"portal/apps/{app.client_id}/delete"
    dev.visit(page)
    form = dev.button(page)
    dev.submit(form, {"name": "viewer"})
    assert dev.status == 422
    assert "Viewer & more" in dev.error("name")
    assert store.clients.get("acme", app.client_id) is not None
    dev.submit(dev.button(page), {"name": "Viewer & more"})
    assert dev.title == "Developer portal"
    assert "The app has been deleted." in dev.shown
    assert store.clients.get("acme", app.client_id) is None
    assert acts(facade)[-1][0] == "app deleted"
    dev.submit(form, {"name": "Viewer & more"})
    assert dev.status == 404


def test_an_app_named_without_a_name_can_be_deleted(
    dev: PortalBrowser, store: AuthStore, app_of: AppOf
) -> None:
    app = app_of(client_name=None)
    page = f"portal/apps/{app.client_id}/delete"
    dev.visit(page)
    dev.submit(dev.button(page), {"name": app.name})
    assert store.clients.get("acme", app.client_id) is None


APP_PAGES = ["", "/edit", "/secret", "/delete", "/patients", "/trace"]
APP_FORMS: list[tuple[str, dict[str, str]]] = [
    ("/edit", {"name": "Mine"}),
    ("/secret", {}),
    ("/state", {"active": "no"}),
    ("/delete", {"name": "Viewer"}),
    ("/patients", {"action": "add", "patient": "p1"}),
]


@pytest.mark.parametrize("page", APP_PAGES)
def test_anothers_app_is_not_found(dev: PortalBrowser, app_of: AppOf, page: str) -> None:
    theirs = app_of("rival", client_secret="a secret")
    nowhere = dev.visit(f"portal/apps/{'x' * 22}{page}")
    assert nowhere.status == 404
    unknown = nowhere.shown
    assert dev.visit(f"portal/apps/{theirs.client_id}{page}").status == 404
    assert dev.shown == unknown, "nobody can tell that it exists"


@pytest.mark.parametrize("name", ["%00", "a%0Ab", "%FF", "..", "x" * 500])
def test_an_id_nobody_has_is_not_found(dev: PortalBrowser, name: str) -> None:
    assert dev.visit(f"portal/apps/{name}/edit").status == 404


def test_after_the_login_has_ended_a_form_leads_back_to_its_page(
    dev: PortalBrowser, app_of: AppOf, stored: Stored
) -> None:
    app = app_of()
    page = f"portal/apps/{app.client_id}"
    dev.visit(page)
    form = dev.button(f"{page}/state", active="no")
    dev.submit(dev.button("logout"))
    dev.submit(form)
    assert dev.title == "Log in"
    dev.submit(dev.form("username"), {"username": "dev", "password": PASSWORD})
    assert (dev.status, dev.title) == (200, "Viewer")
    assert stored(app.client_id).active


@pytest.mark.parametrize(("page", "fields"), APP_FORMS)
def test_anothers_app_cannot_be_changed(
    server: AuthServer,
    app_of: AppOf,
    stored: Stored,
    page: str,
    fields: dict[str, str],
) -> None:
    mine, theirs = app_of(client_secret="a secret"), app_of("rival", client_secret="a secret")
    dev = PortalBrowser(make_app(server).test_client()).log_in("dev")
    url = f"/fhir/acme/auth/portal/apps/{theirs.client_id}{page}"
    dev.visit(f"portal/apps/{mine.client_id}{page if page != '/state' else ''}")
    own_token = {
        one.name: one.value for one in dev.button(f"portal/apps/{mine.client_id}{page}").fields
    }
    answer = dev.client.post(url, data=own_token | fields)
    assert answer.status_code == 400, "a form is good for the page it was made for"
    assert stored(theirs.client_id) == theirs


@pytest.mark.parametrize(("page", "fields"), [*APP_FORMS, ("new", LAUNCH_APP)])
@pytest.mark.parametrize("csrf", ["", "0" * 64])
def test_forms_from_elsewhere_change_nothing(
    dev: PortalBrowser,
    store: AuthStore,
    app_of: AppOf,
    page: str,
    fields: dict[str, str],
    csrf: str,
) -> None:
    app = app_of(client_secret="a secret")
    before = store.clients.list("acme")
    where = "new" if page == "new" else f"{app.client_id}{page}"
    answer = dev.client.post(
        f"/fhir/acme/auth/portal/apps/{where}",
        data=fields | {"csrf": csrf, "once": str(app.version)},
    )
    assert answer.status_code == 400
    assert store.clients.list("acme") == before


def test_the_form_of_one_developer_is_not_good_for_another(
    dev: PortalBrowser, store: AuthStore
) -> None:
    dev.visit("portal/apps/new?kind=public")
    form = dev.form("redirect_uris")
    dev.submit(dev.button("logout"))
    dev.log_in("rival")
    assert dev.title == "Developer portal"
    before = len(store.clients.list("acme"))
    dev.submit(form, LAUNCH_APP)
    assert dev.status == 400
    assert len(store.clients.list("acme")) == before


def test_changes_are_limited(store: AuthStore, facade: FakeFacade, people: dict[str, User]) -> None:
    settings = replace(SETTINGS, limits=Limits(portal_changes_per_minute=2))
    browser = PortalBrowser(make_app(AuthServer(store, facade, settings)).test_client())
    with time_machine.travel(datetime(2030, 6, 1, tzinfo=UTC), tick=False):
        browser.log_in("dev")
        for _ in range(2):
            assert register(browser).status == 200
        assert register(browser).status == 429
    assert browser.headers["Retry-After"] == "60"
    assert len(store.clients.owned("acme", people["dev"].user_id)) == 2


@pytest.mark.parametrize("kind", ["", "admin", "backend"])
def test_who_builds_for_patients_is_not_offered_a_backend(
    browser: PortalBrowser, kind: str
) -> None:
    browser.log_in("personal")
    browser.visit(f"portal/apps/new?kind={kind}")
    assert browser.form("kind").options("kind") == ["public", "secret", "keys"]
    assert not [form for form in browser.forms() if "name" in form.names()]


def test_nor_can_they_register_one(browser: PortalBrowser) -> None:
    browser.log_in("personal")
    browser.visit("portal/apps/new?kind=keys")
    form = browser.form("name")
    backend = {"name": "Reader", "kind": "backend", "jwks": json.dumps(KEYS)}
    browser.submit(form, backend)
    assert browser.status == 422
    assert "what kind" in browser.error("kind")
    register(browser, scope="user/*.rs")
    assert "patient scopes only" in browser.error("scope")


KIND_FIELDS = {
    "public": {"redirect_uris", "launch_uri"},
    "secret": {"redirect_uris", "launch_uri"},
    "keys": {"redirect_uris", "launch_uri", "jwks", "jwks_uri"},
    "backend": {"jwks", "jwks_uri"},
}


@pytest.mark.parametrize("kind", KIND_FIELDS)
def test_a_kind_has_the_fields_it_needs(dev: PortalBrowser, kind: str) -> None:
    names = dev.visit(f"portal/apps/new?kind={kind}").form("name").names()
    assert names & {"redirect_uris", "launch_uri", "jwks", "jwks_uri"} == KIND_FIELDS[kind]
    assert names >= {"scope", "client_uri", "policy_uri", "contacts", "valid_from", "valid_to"}


def test_a_name_is_text_and_nothing_else(dev: PortalBrowser) -> None:
    register(dev, name='<script>alert("x")</script>')
    assert dev.status == 200
    for page in ("portal", f"portal/apps/{id_of(dev)}/delete"):
        assert "<script" not in dev.visit(page).text


def paste(command: str) -> tuple[str, dict[str, str]]:
    """The address and form of a curl command."""
    words = shlex.split(command)
    fields = [words[n + 1] for n, word in enumerate(words) if word == "--data-urlencode"]
    return words[-1], dict(field.split("=", 1) for field in fields)


def redeem(client: FlaskClient, command: str, code: str, **more: Any) -> Any:
    url, form = paste(command)
    assert form.pop("code") == "CODE"
    return client.post(urlsplit(url).path, data=form | {"code": code}, **more)


@pytest.mark.parametrize("kind", ["public", "secret"])
def test_the_sample_launch_works_as_it_is_pasted(
    dev: PortalBrowser, server: AuthServer, kind: str
) -> None:
    register(dev, kind=kind)
    secret = ""
    if kind == "secret":
        secret = dev.value("client-secret")
        dev.visit(f"portal/apps/{id_of(dev)}")
    client_id, command = id_of(dev), dev.value("token-request")
    sample = dev.value("sample-launch")
    assert sample.startswith(f"{BASE}/auth/authorize?")
    assert not secret or secret not in dev.text
    tab = Tab(dev.client)
    tab._follow(dev.client.get("/fhir/acme/auth/authorize", query_string=urlsplit(sample).query))
    tab.pick("p2").allow()
    assert tab.sent_back["state"] == dict(parse_qsl(urlsplit(sample).query))["state"]
    auth = (client_id, secret) if secret else None
    answer = redeem(dev.client, command, tab.sent_back["code"], auth=auth)
    assert answer.status_code == 200
    assert answer.json["patient"] == "p2"
    words = shlex.split(dev.value("first-read"))
    assert words == ["curl", "-H", "Authorization: Bearer ACCESS_TOKEN", f"{BASE}/Patient"]
    verified = server.verify("acme", answer.json["access_token"])
    assert verified.client_id == client_id


def test_until_it_is_approved_only_its_developer_launches_it(
    dev: PortalBrowser, server: AuthServer, store: AuthStore, stored: Stored
) -> None:
    register(dev)
    client_id = id_of(dev)
    other = Tab(make_app(server).test_client())
    refused = other.authorize(client_id=client_id).login("doctor").sent_back
    assert refused["error"] == "unauthorized_client"
    admin.approve_client(store, stored(client_id), "operator")
    assert "approved" in dev.visit(f"portal/apps/{client_id}").shown
    assert "not approved" not in dev.shown
    other.authorize(client_id=client_id).pick("p3").allow()
    assert "code" in other.sent_back


def test_a_backend_is_told_how_to_get_a_token(dev: PortalBrowser, stored: Stored) -> None:
    register(dev, kind="backend", redirect_uris="", jwks=json.dumps(KEYS))
    app = stored(id_of(dev))
    assert app.grant_types == ("client_credentials",)
    assert app.patients is None
    assert "The app reaches nobody" in dev.shown
    url, form = paste(dev.value("token-request"))
    assert url == f"{BASE}/auth/token"
    assert form["grant_type"] == "client_credentials"
    assert form["client_assertion"] == "SIGNED_JWT"
    assert app.client_id in dev.value("assertion-to-sign")
    assert dev.value("first-read").endswith("Patient?_count=5'")


def test_a_record_systems_launch_is_spelled_out(dev: PortalBrowser) -> None:
    register(dev, launch_uri="https://app.example/launch?v=1")
    spelled = dev.value("launch-from-a-record-system")
    assert spelled.startswith("https://app.example/launch?v=1&iss=")
    assert dict(parse_qsl(urlsplit(spelled).query))["iss"] == BASE


def test_outside_its_days_the_page_says_so(dev: PortalBrowser, app_of: AppOf) -> None:
    early = app_of(valid_from=4_000_000_000)
    assert "not valid yet" in dev.visit(f"portal/apps/{early.client_id}").shown
    late = app_of(valid_to=1_000_000_000)
    assert "no longer valid" in dev.visit(f"portal/apps/{late.client_id}").shown


def test_pages_need_no_script_and_label_their_fields(dev: PortalBrowser, app_of: AppOf) -> None:
    app = app_of(client_secret="a secret")
    pages = ["portal", "portal/apps/new", "signup", "signup/done"]
    pages += [f"portal/apps/new?kind={kind}" for kind in KIND_FIELDS]
    pages += [f"portal/apps/{app.client_id}{page}" for page in APP_PAGES]
    for page in pages:
        dev.visit(page)
        assert dev.status == 200
        assert "script" not in dev.headers["Content-Security-Policy"]
        assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=", dev.text), page
        assert dev.text.count("<h1>") == 1
        ids = re.findall(r'\sid="([^"]*)"', dev.text)
        assert len(ids) == len(set(ids)), page
        labels = set(re.findall(r'<label for="([^"]*)"', dev.text))
        for control in re.findall(r"<(?:input|textarea)\s[^>]*>", dev.text):
            if not re.search(r'type="(hidden|radio|checkbox)"', control):
                assert re.search(r'id="([^"]*)"', control)[1] in labels, (page, control)  # type: ignore[index]
