"""Logging in at an external provider: the way there and back, who it is, two factors, two workers.

What a provider must not be believed is in `test_federation_misuse.py`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from sqlalchemy import text

from smart_auth import admin, factors, keyring
from smart_auth.records import Session, User
from smart_auth.server import AuthServer
from smart_auth.sessions import SESSION_COOKIE
from smart_auth.store import AlreadyExists, AuthStore
from tests.support import login_provider as op
from tests.support.federated import CALLBACK, come_back, leave, link, log_in, settings_for
from tests.support.login_provider import Provider
from tests.support.smart_auth import PASSWORD, FakeFacade, Tab, add_apps, make_app


@pytest.fixture
def provider() -> Iterator[Provider]:
    with op.provider() as running:
        yield running


Worker = Callable[..., Tab]


@pytest.fixture
def worker(
    store: AuthStore, facade: FakeFacade, provider: Provider, people: dict[str, User]
) -> Worker:
    """Makes a worker of its own on the store, and a browser at it."""

    def make(**changes: Any) -> Tab:
        settings = settings_for(provider, **changes)
        return Tab(make_app(AuthServer(store, facade, settings)).test_client())

    return make


def session_of(tab: Tab, store: AuthStore) -> Session:
    cookie = tab.client.get_cookie(SESSION_COOKIE, path="/fhir/acme/auth")
    assert cookie is not None
    found = store.sessions.get("acme", keyring.hash_token(cookie.value), int(time.time()))
    assert found is not None
    return found


def test_a_launch_goes_through_the_provider_and_on(
    worker: Worker, provider: Provider, store: AuthStore, people: dict[str, User]
) -> None:
    link(store, provider, people["ann"])
    provider.claims = {"amr": ["pwd", "sms", "made-up"]}
    tab = log_in(worker().authorize(), provider).allow()
    assert set(tab.sent_back) == {"code", "state"}
    session = session_of(tab, store)
    assert session.user_id == people["ann"].user_id
    assert (session.origin, session.methods) == ("hospital", "pwd sms")


def test_the_request_to_the_provider(worker: Worker, provider: Provider) -> None:
    location = leave(worker().authorize())
    asked = provider.asked(location)
    assert asked["response_type"] == "code"
    assert asked["client_id"] == op.CLIENT_ID
    assert asked["redirect_uri"] == f"http://127.0.0.1:8000{CALLBACK}"
    assert asked["scope"] == "openid profile email"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert len(asked["state"]) >= 43
    assert len(asked["nonce"]) >= 43
    assert "max_age" not in asked
    assert "prompt" not in asked
    again = provider.asked(leave(worker().authorize()))
    assert all(again[name] != asked[name] for name in ("state", "nonce", "code_challenge"))


def test_nothing_of_a_login_stands_readable_in_the_database(
    worker: Worker, provider: Provider, store: AuthStore
) -> None:
    asked = provider.asked(leave(worker().authorize()))
    with store.database.read() as connection:
        row = connection.execute(text("select * from federated_login")).one()
    stored = " ".join(map(str, row))
    assert all(asked[name] not in stored for name in ("state", "nonce", "code_challenge"))


def test_a_page_of_ours_is_where_the_login_leads(
    worker: Worker, provider: Provider, store: AuthStore, people: dict[str, User]
) -> None:
    link(store, provider, people["nurse"])
    tab = worker()
    tab._follow(tab.client.get("/fhir/acme/auth/manage"))
    log_in(tab, provider)
    assert tab.answer.status_code == 200
    assert tab.answer.request.path == "/fhir/acme/auth/manage"
    assert "nurse" in tab.text


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "..", "manage?x=1", ""])
def test_a_login_leads_nowhere_else(
    worker: Worker, provider: Provider, store: AuthStore, people: dict[str, User], back: str
) -> None:
    link(store, provider, people["nurse"])
    tab = worker()
    start = tab.client.get("/fhir/acme/auth/federated/hospital", query_string={"back": back})
    answer = tab.client.get(CALLBACK, query_string=provider.come_back(start.headers["Location"]))
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/fhir/acme/auth/manage"


def test_an_earlier_session_ends(
    worker: Worker, provider: Provider, store: AuthStore, people: dict[str, User]
) -> None:
    link(store, provider, people["ann"])
    tab = worker().authorize(prompt="login")
    tab.login("nurse")
    before = session_of(tab, store)
    tab.authorize(prompt="login")
    log_in(tab, provider)
    assert session_of(tab, store).user_id == people["ann"].user_id
    assert store.sessions.get("acme", before.session_hash, int(time.time())) is None


@pytest.mark.parametrize(
    ("key", "alg"),
    [(op.RSA, "RS256"), (op.RSA, "PS256"), (op.EC, "ES256"), (op.EC384, "ES384")],
    ids=["RS256", "PS256", "ES256", "ES384"],
)
def test_algorithms(
    worker: Worker,
    provider: Provider,
    store: AuthStore,
    people: dict[str, User],
    key: Any,
    alg: str,
) -> None:
    link(store, provider, people["ann"])
    provider.key, provider.header = key, {"alg": alg, "kid": key.kid}
    assert log_in(worker().authorize(), provider).offered


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_client_authentication_is_what_the_provider_takes(
    worker: Worker, provider: Provider, store: AuthStore, people: dict[str, User], method: str
) -> None:
    link(store, provider, people["ann"])
    provider.discovery = {"token_endpoint_auth_methods_supported": [method]}
    assert log_in(worker().authorize(), provider).offered


def test_a_token_without_kid_at_hash_and_iss_parameter_is_enough(
    worker: Worker, provider: Provider, store: AuthStore, people: dict[str, User]
) -> None:
    """All three are optional while one key fits and the provider does not promise iss."""
    link(store, provider, people["ann"])
    provider.header = {"alg": "ES256"}
    provider.claims = {"at_hash": None, "aud": [op.CLIENT_ID, "x"], "azp": op.CLIENT_ID}
    provider.discovery = {"authorization_response_iss_parameter_supported": None}
    provider.callback = {"iss": None}
    assert log_in(worker().authorize(), provider).offered


def test_keys_are_rotated(
    worker: Worker, provider: Provider, store: AuthStore, people: dict[str, User]
) -> None:
    link(store, provider, people["ann"])
    tab = worker()
    provider.keys = [op.RSA]
    provider.key, provider.header = op.RSA, {"alg": "RS256", "kid": "rsa"}
    assert log_in(tab.authorize(), provider).offered
    provider.keys = [op.EC]
    provider.key, provider.header = op.EC, {"alg": "ES256", "kid": "ec"}
    with time_machine.travel(time.time() + 6, tick=True):
        assert log_in(tab.authorize(prompt="login"), provider).offered
        assert log_in(tab.authorize(prompt="login"), provider).offered
    fetched = [one.path for one in provider.requests]
    assert fetched.count("/jwks") == 2
    assert fetched.count("/.well-known/openid-configuration") == 1


# What the app asks of the login


def test_prompt_login_travels_on(
    worker: Worker, provider: Provider, store: AuthStore, people: dict[str, User]
) -> None:
    link(store, provider, people["ann"])
    tab = worker().authorize(prompt="login")
    location = leave(tab)
    assert provider.asked(location)["prompt"] == "login"
    assert provider.asked(location)["max_age"] == "0"
    assert come_back(tab, provider.come_back(location)).offered


def test_max_age_travels_on_and_the_time_of_the_login_back(
    worker: Worker, provider: Provider, store: AuthStore, people: dict[str, User]
) -> None:
    link(store, provider, people["ann"])
    tab = worker().authorize(max_age="1000")
    location = leave(tab)
    assert 1000 <= int(provider.asked(location)["max_age"]) <= 1100
    since = int(time.time()) - 500
    provider.claims = {"auth_time": since}
    assert come_back(tab, provider.come_back(location)).offered
    assert session_of(tab, store).auth_time == since


# Who it is


@pytest.mark.parametrize("name", ["doctor", "nurse", "ann"])
def test_a_trusted_user_name_links_once(
    worker: Worker, provider: Provider, store: AuthStore, people: dict[str, User], name: str
) -> None:
    tab = worker(link="username", trust_usernames=True)
    provider.claims = {"preferred_username": name}
    log_in(tab.authorize(), provider)
    assert session_of(tab, store).user_id == people[name].user_id
    # From now on the subject counts, whatever the claim says.
    provider.claims = {"preferred_username": "idle"}
    log_in(tab.authorize(prompt="login"), provider)
    assert session_of(tab, store).user_id == people[name].user_id
    assert [one.subject for one in admin.list_identities(store, "acme")] == ["person-1"]


def test_a_user_name_that_was_given_to_somebody_else_opens_nothing(
    worker: Worker, provider: Provider, store: AuthStore, facade: FakeFacade
) -> None:
    tab = worker(link="username", trust_usernames=True)
    provider.claims = {"preferred_username": "nurse"}
    log_in(tab.authorize(), provider)
    provider.subject = "person-2"
    refused = log_in(worker(link="username", trust_usernames=True).authorize(), provider)
    assert refused.answer.status_code == 403
    assert "another identity" in str(facade.events[-1].reason)
    assert len(admin.list_identities(store, "acme")) == 1


def test_another_claim_and_userinfo_may_hold_the_user_name(
    worker: Worker, provider: Provider, store: AuthStore, people: dict[str, User]
) -> None:
    provider.userinfo = {"employee": "nurse"}
    tab = worker(link="username", trust_usernames=True, username_claim="employee")
    log_in(tab.authorize(), provider)
    assert session_of(tab, store).user_id == people["nurse"].user_id


def mailed(store: AuthStore, role: Any = "practitioner", name: str = "eve@clinic.example") -> User:
    return admin.create_user(store, "acme", name, PASSWORD, role=role)


@pytest.mark.parametrize("where", ["claims", "userinfo"])
def test_a_verified_address_links(
    worker: Worker, provider: Provider, store: AuthStore, where: str
) -> None:
    user = mailed(store)
    setattr(provider, where, {"email": user.username, "email_verified": True})
    tab = worker(link="email")
    log_in(tab.authorize(), provider)
    assert session_of(tab, store).user_id == user.user_id


@pytest.mark.parametrize(
    ("rule", "claims"),
    [
        ("linked", {"preferred_username": "nurse", "email": "nurse", "email_verified": True}),
        ("username", {"preferred_username": "nobody"}),
        ("username", {"preferred_username": "NURSE"}),
        ("username", {"preferred_username": ["nurse"]}),
        ("username", {"preferred_username": ""}),
        ("username", {"preferred_username": "nurse\x00"}),
        ("username", {"name": "nurse", "nickname": "nurse"}),
        ("username", {"preferred_username": "boss"}),
        ("username", {"preferred_username": "dev"}),
        ("username", {"preferred_username": "gone"}),
        ("email", {"email": "eve@clinic.example"}),
        ("email", {"email": "eve@clinic.example", "email_verified": False}),
        ("email", {"email": "eve@clinic.example", "email_verified": "true"}),
        ("email", {"email": "eve@clinic.example", "email_verified": 1}),
        ("email", {"email": "other@clinic.example", "email_verified": True}),
        ("email", {"preferred_username": "nurse", "email_verified": True}),
    ],
)
def test_whom_no_rule_links_is_nobody_here(
    worker: Worker,
    provider: Provider,
    store: AuthStore,
    facade: FakeFacade,
    rule: Any,
    claims: dict[str, Any],
) -> None:
    mailed(store)
    mailed(store, "admin", "boss")
    mailed(store, "developer", "dev")
    admin.change_user(store, mailed(store, name="gone"), active=False)
    users = len(admin.list_users(store, "acme"))
    provider.claims = claims
    tab = log_in(worker(link=rule, trust_usernames=True).authorize(), provider)
    assert tab.answer.status_code == 403
    assert "not linked to an account here" in tab.text
    assert admin.list_identities(store, "acme") == []
    assert len(admin.list_users(store, "acme")) == users
    assert tab.client.get_cookie(SESSION_COOKIE, path="/fhir/acme/auth") is None
    assert facade.events[-1].outcome == "refused"


def test_an_administrator_is_linked_by_an_administrator_only(
    worker: Worker, provider: Provider, store: AuthStore
) -> None:
    boss = mailed(store, "admin", "boss")
    link(store, provider, boss)
    tab = worker()
    tab._follow(tab.client.get("/fhir/acme/auth/manage"))
    log_in(tab, provider)
    assert session_of(tab, store).user_id == boss.user_id


def test_claims_give_no_role_and_no_patient(
    worker: Worker, provider: Provider, store: AuthStore, people: dict[str, User]
) -> None:
    link(store, provider, people["idle"])
    provider.claims = {"role": "admin", "patients": ["p1"], "whole_tenant": True, "scope": "x"}
    log_in(worker().authorize(), provider)
    assert store.users.get("acme", people["idle"].user_id) == people["idle"]


def test_an_inactive_user_stays_out(
    worker: Worker, provider: Provider, store: AuthStore, people: dict[str, User]
) -> None:
    link(store, provider, people["ann"])
    admin.change_user(store, people["ann"], active=False)
    tab = log_in(worker().authorize(), provider)
    assert tab.answer.status_code == 403
    assert "not active" in tab.text


def test_links_are_made_once_and_taken_away(
    worker: Worker, provider: Provider, store: AuthStore, people: dict[str, User]
) -> None:
    link(store, provider, people["ann"])
    with pytest.raises(AlreadyExists):
        link(store, provider, people["nurse"])
    link(store, provider, people["ann"], "person-9")
    listed = admin.list_identities(store, "acme", people["ann"].user_id)
    assert [one.subject for one in listed] == ["person-1", "person-9"]
    assert admin.list_identities(store, "acme", people["nurse"].user_id) == []
    assert admin.unlink_identity(store, "acme", provider.url, "person-1")
    assert not admin.unlink_identity(store, "acme", provider.url, "person-1")
    assert log_in(worker().authorize(), provider).answer.status_code == 403


@pytest.mark.parametrize("subject", ["", "x" * 256, "é", "a\nb"])
def test_what_cannot_be_a_subject_is_not_linked(
    provider: Provider, store: AuthStore, people: dict[str, User], subject: str
) -> None:
    with pytest.raises(ValueError, match="subject"):
        link(store, provider, people["ann"], subject)


def test_an_unknown_user_is_not_linked(
    provider: Provider, store: AuthStore, people: dict[str, User]
) -> None:
    with pytest.raises(LookupError):
        link(store, provider, replace(people["ann"], user_id="nobody"))


# Second factors


def test_our_pin_is_asked_for_after_one_factor_there(
    worker: Worker, provider: Provider, store: AuthStore, people: dict[str, User]
) -> None:
    link(store, provider, people["ann"])
    factors.set_pin(store, people["ann"], "480159")
    provider.claims = {"amr": ["pwd"]}
    tab = log_in(worker().authorize(), provider)
    assert 'name="code"' in tab.text
    assert tab.client.get_cookie(SESSION_COOKIE, path="/fhir/acme/auth") is None
    tab.submit("factor", code="111222")
    assert tab.answer.status_code == 403
    assert tab.submit("factor", code="480159").offered
    session = session_of(tab, store)
    assert (session.origin, session.methods) == ("hospital", "pwd pin")


def test_who_needs_a_second_factor_sets_one_up(
    store: AuthStore, facade: FakeFacade, provider: Provider, people: dict[str, User]
) -> None:
    link(store, provider, people["ann"])
    settings = replace(settings_for(provider), require_second_factor=frozenset({"patient"}))
    tab = Tab(make_app(AuthServer(store, facade, settings)).test_client())
    log_in(tab.authorize(), provider)
    assert tab.submit("enrol", kind="pin", pin="480159", pin_again="480159").offered
    assert session_of(tab, store).methods == "pin"


@pytest.mark.parametrize(
    ("claims", "asked"),
    [
        ({"amr": ["pwd", "mfa"]}, False),
        ({"acr": "urn:two"}, False),
        ({"amr": ["pwd", "otp"]}, True),
        ({"amr": "mfa"}, True),
        ({"acr": "urn:one"}, True),
        ({"acr": ["urn:two"]}, True),
        ({}, True),
    ],
)
def test_two_factors_there_are_enough(
    worker: Worker,
    provider: Provider,
    store: AuthStore,
    people: dict[str, User],
    claims: dict[str, Any],
    asked: bool,
) -> None:
    link(store, provider, people["ann"])
    factors.set_pin(store, people["ann"], "480159")
    provider.claims = claims
    tab = worker(second_factor_acr=("urn:two",)).authorize()
    location = leave(tab)
    assert provider.asked(location)["acr_values"] == "urn:two"
    come_back(tab, provider.come_back(location))
    assert ('name="code"' in tab.text) is asked
    assert bool(tab.offered) is not asked


# Several workers, and the button


def test_one_worker_takes_what_another_began(
    worker: Worker, provider: Provider, store: AuthStore, people: dict[str, User]
) -> None:
    link(store, provider, people["ann"])
    first, second = worker(), worker()
    location = leave(first.authorize())
    mark = first.client.get_cookie("smart_browser", path="/fhir/acme/auth")
    assert mark is not None
    second.client.set_cookie("smart_browser", mark.value, path="/fhir/acme/auth")
    assert come_back(second, provider.come_back(location)).offered


def test_no_button_without_a_provider(http: Any, people: dict[str, User]) -> None:
    tab = Tab(http).authorize()
    assert "Or log in with" not in tab.text
    assert tab.client.get("/fhir/acme/auth/federated/hospital").status_code == 404
    assert tab.client.get(CALLBACK).status_code == 404


def test_the_page_of_another_tenant_has_its_own_buttons(worker: Worker, store: AuthStore) -> None:
    add_apps(store, "beta")
    tab = worker()
    tab.tenant = "beta"
    tab.authorize()
    assert re.findall(r"Hospital account|Another", tab.text) == ["Hospital account"]
    assert 'href="/fhir/beta/auth/federated/hospital?request=' in tab.text


@pytest.mark.parametrize("method", ["post", "put", "head"])
def test_other_methods(worker: Worker, method: str) -> None:
    answer = getattr(worker().client, method)("/fhir/acme/auth/federated/hospital")
    assert answer.status_code == 405


def test_the_provider_is_asked_when_somebody_wants_it(worker: Worker, provider: Provider) -> None:
    worker().authorize()
    assert provider.requests == []


def test_headers_of_the_way_there(worker: Worker, provider: Provider) -> None:
    answer = worker().client.get("/fhir/acme/auth/federated/hospital")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    cookies = answer.headers.getlist("Set-Cookie")
    assert any(one.startswith("smart_browser=") and "SameSite=Lax" in one for one in cookies)
    assert urlsplit(answer.headers["Location"]).query.count("state=") == 1
