"""Which patients an app may be used for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smart_auth import admin
from smart_auth.ports import AccessEvent
from smart_auth.records import Client, User
from smart_auth.server import AuthServer, InvalidToken
from smart_auth.store import AuthStore
from tests.support.portal import PortalBrowser, add_developer
from tests.support.smart_auth import (
    FakeFacade,
    Tab,
    assertion,
    backend_form,
    backend_key,
    code_form,
    make_app,
    public_jwks,
)

AppOf = Callable[..., Client]
Stored = Callable[[str], Client]


def page_of(app: Client) -> str:
    return f"portal/apps/{app.client_id}/patients"


def search(browser: PortalBrowser, app: Client, text: str) -> list[str]:
    """The patients offered for a text."""
    browser.visit(page_of(app))
    browser.submit(browser.form("q"), {"q": text})
    try:
        return browser.button(page_of(app), action="add").options("patient")
    except AssertionError:
        return []


def add(browser: PortalBrowser, app: Client, *patients: str) -> PortalBrowser:
    search(browser, app, "")
    browser.submit(browser.button(page_of(app), action="add"), {"patient": list(patients)})
    return browser


@pytest.mark.parametrize(("text", "found"), [
    ("", ["p1", "p2"]), ("brown", ["p2"]), ("1970-01-02", ["p1"]), ("p2", ["p2"]), ("clark", []),
    ("p3", []), ("bro\x00wn\n", ["p2"]),
])  # fmt: skip
def test_patients_are_found_among_those_assigned(
    dev: PortalBrowser, app_of: AppOf, text: str, found: list[str]
) -> None:
    assert search(dev, app_of(), text) == found
    assert "q=" not in dev.url, "what was searched for stands in no address"


def test_each_search_leaves_a_row(
    dev: PortalBrowser, app_of: AppOf, facade: FakeFacade, people: dict[str, User]
) -> None:
    app, who = app_of(), people["dev"].user_id
    search(dev, app, "clark")
    looks = [event for event in facade.events if event.action == "patient-search"]
    assert looks == [AccessEvent("acme", "patient-search", "success", app.client_id, who)]


def test_picked_patients_make_a_list(
    dev: PortalBrowser, app_of: AppOf, stored: Stored, facade: FakeFacade, people: dict[str, User]
) -> None:
    app = app_of()
    assert "This app has no list" in dev.visit(page_of(app)).shown
    add(dev, app, "p1", "p2")
    assert stored(app.client_id).patients == {"p1", "p2"}
    assert "Adams, Ann" in dev.shown
    assert search(dev, app, "") == [], "those on the list are not offered again"
    dev.submit(dev.button(page_of(app), action="remove", patient="p1"))
    dev.submit(dev.button(page_of(app), action="remove", patient="p2"))
    assert stored(app.client_id).patients == frozenset()
    assert "no launch of this app has a patient" in dev.shown
    acts = [(e.reason, e.patient_id) for e in facade.events if e.action == "admin"]
    assert acts == [
        ("patient given to an app", "p1"),
        ("patient given to an app", "p2"),
        ("patient taken from an app", "p1"),
        ("patient taken from an app", "p2"),
    ]
    assert {e.actor for e in facade.events if e.action == "admin"} == {people["dev"].user_id}


def test_somebody_elses_patient_cannot_be_added(
    dev: PortalBrowser, app_of: AppOf, stored: Stored, facade: FakeFacade
) -> None:
    app = app_of()
    add(dev, app, "p1", "p3")
    assert dev.status == 403
    assert stored(app.client_id) == app
    assert not [e for e in facade.events if e.action == "admin"]


def test_a_patient_nobody_knows_cannot_be_added(
    browser: PortalBrowser, store: AuthStore, app_of: AppOf, stored: Stored
) -> None:
    add_developer(store, "everywhere", whole_tenant=True)
    owner = store.users.by_username("acme", "everywhere")
    assert owner is not None
    app = admin.change_client(store, app_of(), owner=owner.user_id)
    browser.log_in("everywhere")
    add(browser, app, "p3", "p\x009")
    assert browser.status == 403
    assert stored(app.client_id).patients is None
    add(browser, app, "p3")
    assert stored(app.client_id).patients == {"p3"}


def test_nothing_ticked_adds_nothing(dev: PortalBrowser, app_of: AppOf, stored: Stored) -> None:
    app = app_of()
    add(dev, app)
    assert dev.status == 422
    assert stored(app.client_id) == app


def test_a_list_seen_before_somebody_changed_it_is_shown_anew(
    dev: PortalBrowser, store: AuthStore, app_of: AppOf, stored: Stored
) -> None:
    app = app_of()
    search(dev, app, "")
    form = dev.button(page_of(app), action="add")
    admin.change_client(store, app, patients=frozenset({"p2"}))
    dev.submit(form, {"patient": ["p1"]})
    assert dev.status == 409
    assert stored(app.client_id).patients == {"p2"}


def test_ending_the_list_of_an_approved_app_waits_for_approval(
    dev: PortalBrowser, store: AuthStore, app_of: AppOf, stored: Stored
) -> None:
    app = admin.change_client(store, app_of(), patients=frozenset({"p1"}))
    dev.visit(page_of(app))
    dev.submit(dev.button(page_of(app), action="end"))
    assert dev.status == 409
    assert stored(app.client_id).patients == {"p1"}
    dev.submit(dev.button(page_of(app), action="end"))
    after = stored(app.client_id)
    assert (dev.status, after.patients, after.approved_at) == (200, None, None)


def test_ending_the_list_of_a_backend_narrows_it(
    dev: PortalBrowser, store: AuthStore, app_of: AppOf, stored: Stored
) -> None:
    app = app_of(redirect_uris=None, jwks=public_jwks(backend_key()))
    app = admin.change_client(store, app, patients=frozenset({"p1"}))
    dev.visit(page_of(app))
    dev.submit(dev.button(page_of(app), action="end"))
    after = stored(app.client_id)
    assert (dev.status, after.patients, after.approved_at) == (200, None, app.approved_at)


def test_without_patients_there_is_nothing_to_pick(
    browser: PortalBrowser, store: AuthStore
) -> None:
    new = add_developer(store, "new", patients=[])
    app = admin.create_client(
        store, "acme", {"redirect_uris": ["https://a.example/"]}, owner=new.user_id
    ).client
    browser.log_in("new")
    browser.visit(page_of(app))
    assert "has not assigned patients to you yet" in browser.shown
    assert not [form for form in browser.forms() if "q" in form.names()]
    assert "has not assigned" in browser.visit("portal").shown


def test_a_launch_reaches_only_who_is_on_the_list(
    dev: PortalBrowser, server: AuthServer, app_of: AppOf
) -> None:
    app = app_of()
    add(dev, app, "p2")
    tab = Tab(make_app(server).test_client())
    tab.authorize(client_id=app.client_id).login("doctor")
    assert "Brown" in tab.text
    assert "Adams" not in tab.text
    tab.pick("p1")
    assert tab.answer.status_code == 400


def test_a_patient_taken_from_the_developer_is_lost_to_tokens_that_are_out(
    dev: PortalBrowser,
    server: AuthServer,
    store: AuthStore,
    people: dict[str, User],
    app_of: AppOf,
    stored: Stored,
) -> None:
    app = app_of()
    add(dev, app, "p1", "p2")
    tab = Tab(make_app(server).test_client())
    tab.authorize(client_id=app.client_id).login("doctor").pick("p1").allow()
    form = code_form(tab.sent_back["code"], client_id=app.client_id)
    token = tab.client.post("/fhir/acme/auth/token", data=form).json["access_token"]
    assert server.verify("acme", token).patient == "p1"
    admin.change_user(store, people["dev"], patients=frozenset({"p2"}))
    with pytest.raises(InvalidToken):
        server.verify("acme", token)
    assert stored(app.client_id).patients == {"p2"}
    assert "Adams" not in dev.visit(page_of(app)).shown


def test_a_backend_reaches_the_picked_besides_its_groups(
    dev: PortalBrowser,
    server: AuthServer,
    store: AuthStore,
    people: dict[str, User],
    app_of: AppOf,
) -> None:
    key = backend_key()
    app = app_of(redirect_uris=None, jwks=public_jwks(key), groups=["g1"])
    add(dev, app, "p1", "p2")
    signed = assertion(key, app.client_id)
    answer = dev.client.post("/fhir/acme/auth/token", data=backend_form(signed))
    token = answer.get_json()["access_token"]
    verified = server.verify("acme", token)
    assert (verified.client_groups, verified.client_patients) == ({"g1"}, {"p1", "p2"})
    admin.change_user(store, people["dev"], patients=frozenset({"p1"}))
    assert server.verify("acme", token).client_patients == {"p1"}
