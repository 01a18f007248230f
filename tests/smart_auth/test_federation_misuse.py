"""What an external provider must not be believed, and what nobody may do on the way back.

After each case nothing has changed: nobody is logged in, nothing is linked, and the app's request
goes on with a password.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest
import time_machine
from joserfc.jwk import ECKey, RSAKey

from smart_auth import admin, outbound
from smart_auth.federation.directory import Metadata
from smart_auth.federation.exchange import Exchange
from smart_auth.federation.problems import LoginProblem
from smart_auth.records import User
from smart_auth.server import AuthServer
from smart_auth.sessions import SESSION_COOKIE
from smart_auth.store import AuthStore
from tests.support import login_provider as op
from tests.support.demo import free_port
from tests.support.federated import CALLBACK, come_back, leave, link, settings_for
from tests.support.login_provider import Provider, json_reply
from tests.support.scripted_http import Reply
from tests.support.smart_auth import FakeFacade, Tab, make_app

NOW = int(time.time())
with warnings.catch_warnings(action="ignore"):
    SMALL = RSAKey.generate_key(1024, {"kid": "small"})
HUGE = Reply(200, b" " * 300_000 + b"{}")
REDIRECT = Reply(302, b"", {"Location": "http://127.0.0.1:1/"})
NESTED = Reply(200, b"[" * 200_000)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with op.provider() as running:
        yield running


@dataclass
class House:
    """A server whose user ann is linked to the provider's person-1."""

    store: AuthStore
    facade: FakeFacade
    settings: Any

    def tab(self) -> Tab:
        return Tab(make_app(AuthServer(self.store, self.facade, self.settings)).test_client())

    def reason(self) -> str:
        event = self.facade.events[-1]
        assert (event.action, event.outcome) == ("login", "refused")
        return str(event.reason)

    def check_nothing_changed(self, tab: Tab) -> None:
        """Nobody is in; the way back leads to the app's request, where the password works."""
        assert tab.title == "You are not logged in"
        assert tab.client.get_cookie(SESSION_COOKIE, path="/fhir/acme/auth") is None
        assert [one.subject for one in admin.list_identities(self.store, "acme")] == ["person-1"]
        assert not [one for one in self.facade.events if one.outcome == "success"]
        again = tab.text.partition('class="button second" href="')[2].partition('"')[0]
        tab._follow(tab.client.get(again.replace("&amp;", "&")))
        assert tab.login("ann").offered


@pytest.fixture
def house(
    store: AuthStore, facade: FakeFacade, provider: Provider, people: dict[str, User]
) -> House:
    link(store, provider, people["ann"])
    return House(store, facade, settings_for(provider))


Change = Callable[[Provider], None]


def claims(**changed: Any) -> Change:
    return lambda provider: provider.claims.update(changed)


def header(key: Any = None, **changed: Any) -> Change:
    def change(provider: Provider) -> None:
        provider.header |= changed
        provider.key = key or provider.key

    return change


def tokens(**changed: Any) -> Change:
    return lambda provider: provider.tokens.update(changed)


def discovery(**changed: Any) -> Change:
    return lambda provider: provider.discovery.update(changed)


def callback(**changed: Any) -> Change:
    return lambda provider: provider.callback.update(changed)


def reply(path: str, answer: Reply) -> Change:
    return lambda provider: provider.replies.update({path: answer})


def keys(*published: Any) -> Change:
    return lambda provider: setattr(provider, "keys", list(published))


def confused_key(provider: Provider) -> None:
    provider.key, provider.header = op.RSA.as_pem(private=False), {"alg": "HS256", "kid": "rsa"}


def small_key(provider: Provider) -> None:
    provider.keys = [SMALL]
    provider.key, provider.header = SMALL, {"alg": "RS256", "kid": "small"}


METADATA = "/.well-known/openid-configuration"

TOKEN_CASES: dict[str, tuple[Change, str]] = {
    "another nonce": (claims(nonce="x" * 43), "nonce"),
    "no nonce": (claims(nonce=None), "nonce"),
    "a nonce that is no text": (claims(nonce=["x"]), "nonce"),
    "another issuer": (claims(iss="https://elsewhere.example"), "iss differs"),
    "no issuer": (claims(iss=None), "iss differs"),
    "another audience": (claims(aud="another client"), "aud"),
    "no audience": (claims(aud=None), "aud"),
    "an audience among others without azp": (claims(aud=[op.CLIENT_ID, "another"]), "azp"),
    "another azp": (claims(azp="another client"), "azp"),
    "expired": (claims(exp=NOW - 120), "exp"),
    "no exp": (claims(exp=None), "exp"),
    "exp that is no number": (claims(exp="tomorrow"), "exp"),
    "exp beyond numbers": (claims(exp=10**400), "exp"),
    "issued in the future": (claims(iat=NOW + 3600), "iat"),
    "issued long ago": (claims(iat=NOW - 3600), "iat"),
    "no iat": (claims(iat=None), "iat"),
    "good later": (claims(nbf=NOW + 3600), "not good yet"),
    "no subject": (claims(sub=None), "sub"),
    "an empty subject": (claims(sub=""), "sub"),
    "a subject that is a number": (claims(sub=1), "sub"),
    "a long subject": (claims(sub="x" * 256), "sub"),
    "a subject with a line break": (claims(sub="person-1\n"), "sub"),
    "at_hash of another token": (claims(at_hash=op.half_hash("other", "ES256")), "at_hash"),
    "at_hash that is no text": (claims(at_hash=5), "at_hash"),
    "at_hash without access token": (tokens(access_token=None), "at_hash"),
    "alg none": (header(alg="none", kid=None), "algorithm"),
    "HS256 under the client secret": (
        header(op.SECRET.encode(), alg="HS256", kid=None),
        "algorithm",
    ),
    "HS256 under the public key": (confused_key, "algorithm"),
    "RS384": (header(op.RSA, alg="RS384", kid="rsa"), "algorithm"),
    "a kid nobody knows": (header(kid="unknown"), "no key"),
    "a kid that is a number": (tokens(id_token=op.unsigned({"alg": "ES256", "kid": 5})), "JWT"),
    "a critical header": (
        tokens(id_token=op.unsigned({"alg": "ES256", "kid": "ec", "crit": ["x"], "x": 1})),
        "JWT",
    ),
    "a stranger's key under a known kid": (
        header(op.STRANGER, alg="RS256", kid="rsa"),
        "signature",
    ),
    "a key of another kind": (header(kid="ec384"), "no key"),
    "a small key": (small_key, "no key"),
    "a key for encryption": (
        keys(ECKey.import_key(op.EC.as_dict(private=True), {"use": "enc", "kid": "ec"})),
        "no key",
    ),
    "a key for another algorithm": (
        keys(ECKey.import_key(op.EC.as_dict(private=True), {"alg": "ECDH-ES", "kid": "ec"})),
        "no key",
    ),
    "no kid where two keys fit": (
        lambda provider: (
            keys(op.EC, ECKey.generate_key("P-256", {"kid": "2"}))(provider),
            header(kid=None)(provider),
        )[0],
        "no key",
    ),
    "no id_token": (tokens(id_token=None), "no id_token"),
    "an id_token that is a number": (tokens(id_token=5), "no id_token"),
    "an id_token that is garbage": (tokens(id_token="garbage"), "not a JWT"),
    "an id_token in non-ASCII": (tokens(id_token="é.é.é"), "not a JWT"),
    "an encrypted id_token": (tokens(id_token="a.b.c.d.e"), "not a JWT"),
    "an id_token with an empty signature": (tokens(id_token="eyJhbGciOiJFUzI1NiJ9.e30."), "JWT"),
    "a token error": (tokens(error="server_error"), "refused the code"),
    "no keys": (keys(), "no key"),
}

ANSWER_CASES: dict[str, tuple[Change, str]] = {
    "iss of another provider": (callback(iss="https://elsewhere.example"), "iss"),
    "iss missing though promised": (callback(iss=None), "iss"),
    "the person refused": (callback(error="access_denied", code=None), "access_denied"),
    "login required": (callback(error="login_required", code=None), "interaction"),
    "another error": (
        callback(error="<b>", error_description="secret words", code=None),
        "another error",
    ),
    "an error with a code": (callback(error="server_error"), "another error"),
    "no code": (callback(code=None), "neither code nor error"),
    "an empty code": (callback(code=""), "neither code nor error"),
    "a code nobody gave": (callback(code="x"), "refused the code"),
    "a long answer": (callback(code="x" * 9000), "too long"),
    "a parameter twice": (callback(code=["x", "y"]), "twice"),
}

SERVER_CASES: dict[str, tuple[Change, str]] = {
    f"{what}: {how}": (reply(path, answer), reason)
    for what, path in (
        ("the token endpoint", "/token"),
        ("the keys", "/jwks"),
    )
    for how, answer, reason in (
        ("redirects", REDIRECT, "redirect"),
        ("is huge", HUGE, "too large"),
        ("breaks off", Reply(200, b"{}" * 50, cut=True), "did not answer"),
        ("is a list", json_reply([]), "JSON"),
        ("is no JSON", Reply(200, b"\xff"), "JSON"),
        ("is nested", NESTED, "JSON"),
    )
} | {
    "the token endpoint: 500": (reply("/token", json_reply({}, 500)), "JSON"),
    "the keys: 404": (reply("/jwks", json_reply({}, 404)), "did not answer 200"),
    "the keys: no set": (reply("/jwks", json_reply({"keys": 5})), "JWK Set"),
}

DISCOVERY_CASES: dict[str, tuple[Change, str]] = {
    "another issuer": (discovery(issuer="https://elsewhere.example"), "another issuer"),
    "no issuer": (discovery(issuer=None), "another issuer"),
    "no token endpoint": (discovery(token_endpoint=None), "endpoint"),
    "no authorization endpoint": (discovery(authorization_endpoint=""), "endpoint"),
    "a script for an endpoint": (discovery(authorization_endpoint="javascript:alert(1)"), "https"),
    "a file for the keys": (discovery(jwks_uri="file:///etc/passwd"), "https"),
    "a list for an endpoint": (discovery(token_endpoint=["x"]), "endpoint"),
    "a broken address": (discovery(userinfo_endpoint="https://[x"), "endpoint"),
    "only key authentication": (
        discovery(token_endpoint_auth_methods_supported=["private_key_jwt"]),
        "client secret",
    ),
    "a redirect": (reply(METADATA, REDIRECT), "redirect"),
    "huge": (reply(METADATA, HUGE), "too large"),
    "nested": (reply(METADATA, NESTED), "JSON"),
    "no JSON": (reply(METADATA, Reply(200, b"<html>")), "JSON"),
    "a list": (reply(METADATA, json_reply([])), "JSON"),
    "an error": (reply(METADATA, json_reply({}, 503)), "did not answer 200"),
}


def named(cases: dict[str, tuple[Change, str]]) -> Any:
    return pytest.mark.parametrize(
        ("change", "reason"), [pytest.param(*case, id=name) for name, case in cases.items()]
    )


@named(TOKEN_CASES | ANSWER_CASES | SERVER_CASES)
def test_an_answer_that_is_not_believed(
    house: House, provider: Provider, change: Change, reason: str
) -> None:
    tab = house.tab().authorize()
    location = leave(tab)
    change(provider)
    come_back(tab, provider.come_back(location))
    assert tab.answer.status_code in (400, 403, 502)
    assert reason in house.reason()
    assert "secret words" not in repr(house.facade.events)
    house.check_nothing_changed(tab)


@named(DISCOVERY_CASES)
def test_a_provider_that_cannot_be_used(
    house: House, provider: Provider, change: Change, reason: str
) -> None:
    change(provider)
    tab = house.tab().authorize()
    go(tab)
    assert tab.answer.status_code == 502
    assert reason in house.reason()
    house.check_nothing_changed(tab)


def go(tab: Tab, name: str = "hospital") -> Tab:
    """Press a button that leads to a page of ours."""
    value = tab.text.partition('name="request" value="')[2].partition('"')[0]
    path = f"/fhir/acme/auth/federated/{name}"
    return tab._follow(tab.client.get(path, query_string={"request": value}))


def test_a_provider_that_is_down(house: House, provider: Provider) -> None:
    gone = replace(provider, url=f"http://127.0.0.1:{free_port()}")
    tab = replace(house, settings=settings_for(gone)).tab().authorize()
    go(tab)
    assert tab.answer.status_code == 502
    assert "did not answer" in house.reason()
    house.check_nothing_changed(tab)


def test_a_provider_that_failed_is_left_alone_for_a_moment(
    house: House, provider: Provider
) -> None:
    provider.replies[METADATA] = json_reply({}, 503)
    tab = house.tab().authorize()
    for _ in range(3):
        go(tab)
        tab.authorize()
    assert len(provider.requests) == 1
    del provider.replies[METADATA]
    with time_machine.travel(time.time() + 6, tick=True):
        assert leave(tab.authorize())


def test_a_provider_that_dribbles(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "DEADLINE", 0.5)
    with op.dribbling() as url:
        slow = replace(op.Provider(), url=url)
        tab = replace(house, settings=settings_for(slow)).tab().authorize()
        go(tab)
    assert tab.answer.status_code == 502
    assert "did not answer in time" in house.reason()
    house.check_nothing_changed(tab)


def test_private_addresses_outside_the_demo(house: House, provider: Provider) -> None:
    settings = settings_for(replace(provider, url="https://127.0.0.1:1"))
    settings = replace(settings, demo=False, public_url="https://fhir.example")
    tab = replace(house, settings=settings).tab().authorize()
    go(tab)
    assert "private address" in house.reason()
    assert provider.requests == []


def test_a_private_endpoint_of_a_public_provider(provider: Provider) -> None:
    """The guard is on every connection, not on the issuer alone."""
    url = provider.url.replace("http:", "https:")
    metadata = Metadata(f"{url}/authorize", f"{url}/token", "", f"{url}/userinfo", "none", False)
    one = settings_for(provider).provider("acme", "hospital")
    assert one is not None
    exchange = Exchange(one, metadata, "https://fhir.example/callback", demo=False)
    with pytest.raises(LoginProblem, match="token endpoint: it leads to a private address"):
        exchange.redeem("code", "v" * 43)
    with pytest.raises(LoginProblem, match="userinfo endpoint: it leads to a private address"):
        exchange.userinfo("opaque", "person-1")


# State


def test_a_state_is_good_once(house: House, provider: Provider) -> None:
    tab = house.tab().authorize()
    query = provider.come_back(leave(tab))
    assert come_back(tab, query).offered
    come_back(tab, query)
    assert tab.answer.status_code == 400
    assert "no such login" in house.reason()
    assert len([one for one in provider.requests if one.path == "/token"]) == 1


def test_a_used_code_is_not_saved_by_a_new_state(house: House, provider: Provider) -> None:
    tab = house.tab().authorize()
    first = provider.come_back(leave(tab))
    assert come_back(tab, first).offered
    second = provider.come_back(leave(tab.authorize(prompt="login")))
    come_back(tab, second | {"code": first["code"]})
    assert "refused the code" in house.reason()


def test_a_code_of_another_login_fails_by_its_verifier(house: House, provider: Provider) -> None:
    """Somebody puts the code of their own login into another person's."""
    attacker, tab = house.tab().authorize(), house.tab().authorize()
    stolen = provider.come_back(leave(attacker))["code"]
    come_back(tab, provider.come_back(leave(tab)) | {"code": stolen})
    assert "refused the code" in house.reason()
    house.check_nothing_changed(tab)


def test_another_browser_gets_nothing_and_takes_nothing(house: House, provider: Provider) -> None:
    tab, other = house.tab().authorize(), house.tab().authorize()
    query = provider.come_back(leave(tab))
    come_back(other, query)
    assert other.answer.status_code == 400
    assert "no such login" in house.reason()
    assert come_back(house.tab(), query).answer.status_code == 400
    assert come_back(tab, query).offered


def test_mix_up(house: House, provider: Provider) -> None:
    """The answer to one provider's login at the address of another."""
    tab = house.tab().authorize()
    query = provider.come_back(leave(tab, "Another"))
    come_back(tab, query)
    assert tab.answer.status_code == 400
    assert "no such login" in house.reason()


def test_another_tenant(house: House, provider: Provider) -> None:
    tab = house.tab().authorize()
    query = provider.come_back(leave(tab))
    mark = tab.client.get_cookie("smart_browser", path="/fhir/acme/auth")
    assert mark is not None
    tab.client.set_cookie("smart_browser", mark.value, path="/fhir/beta/auth")
    come_back(tab, query, CALLBACK.replace("acme", "beta"))
    assert tab.answer.status_code == 400
    assert "no such login" in house.reason()


@pytest.mark.parametrize("state", [None, "", "x" * 43, "\x00", "é"])
def test_a_state_nobody_gave(house: House, provider: Provider, state: str | None) -> None:
    tab = house.tab().authorize()
    query = provider.come_back(leave(tab)) | {"state": state}
    come_back(tab, {name: value for name, value in query.items() if value is not None})
    assert tab.answer.status_code == 400
    assert "no such login" in house.reason()


def test_a_state_expires(house: House, provider: Provider) -> None:
    tab = house.tab().authorize()
    query = provider.come_back(leave(tab))
    with time_machine.travel(time.time() + 601, tick=True):
        come_back(tab, query)
    assert tab.answer.status_code == 400
    assert "no such login" in house.reason()


def test_a_state_is_of_the_issuer_it_was_made_for(house: House, provider: Provider) -> None:
    """The operator changes the provider behind a name while somebody is there."""
    tab = house.tab().authorize()
    query = provider.come_back(leave(tab))
    with op.provider() as successor:
        changed = replace(house, settings=settings_for(successor)).tab()
        mark = tab.client.get_cookie("smart_browser", path="/fhir/acme/auth")
        assert mark is not None
        changed.client.set_cookie("smart_browser", mark.value, path="/fhir/acme/auth")
        come_back(changed, query)
        assert changed.answer.status_code == 400
        assert successor.requests == []


def test_a_secret_key_that_is_gone_ends_logins_under_way(house: House, provider: Provider) -> None:
    tab = house.tab().authorize()
    query = provider.come_back(leave(tab))
    settings = replace(house.settings, secret_keys=("another secret of some length",))
    other = replace(house, settings=settings).tab()
    mark = tab.client.get_cookie("smart_browser", path="/fhir/acme/auth")
    assert mark is not None
    other.client.set_cookie("smart_browser", mark.value, path="/fhir/acme/auth")
    assert come_back(other, query).answer.status_code == 400


def test_an_old_request_of_an_app_goes_nowhere(house: House, provider: Provider) -> None:
    answer = house.tab().client.get("/fhir/acme/auth/federated/hospital?request=unknown")
    assert answer.status_code == 400
    assert provider.requests == []


# Freshness


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"prompt": "login"}, {"auth_time": NOW - 3600}),
        ({"prompt": "login"}, {"auth_time": None}),
        ({"max_age": "60"}, {"auth_time": NOW - 3600}),
        ({"max_age": "60"}, {"auth_time": "now"}),
        ({"max_age": "0"}, {"auth_time": NOW - 3600}),
    ],
)
def test_a_login_that_is_too_old(
    house: House, provider: Provider, asked: dict[str, str], said: dict[str, Any]
) -> None:
    tab = house.tab().authorize(**asked)
    location = leave(tab)
    provider.claims = said
    come_back(tab, provider.come_back(location))
    assert tab.answer.status_code == 403
    assert "log in again" in house.reason()
    house.check_nothing_changed(tab)


def test_a_login_from_the_future_is_one_of_now(
    house: House, provider: Provider, store: AuthStore
) -> None:
    provider.claims = {"auth_time": NOW + 10**6}
    tab = house.tab().authorize()
    come_back(tab, provider.come_back(leave(tab)))
    found = store.sessions.list("acme", admin_id(store), int(time.time()))
    assert [one.auth_time <= time.time() for one in found] == [True]


def admin_id(store: AuthStore) -> str:
    return admin.list_identities(store, "acme")[0].user_id


# First logins


def test_userinfo_of_somebody_else(house: House, provider: Provider) -> None:
    provider.subject, provider.userinfo = "person-2", {"sub": "x", "preferred_username": "nurse"}
    settings = settings_for(provider, link="username", trust_usernames=True)
    tab = replace(house, settings=settings).tab().authorize()
    come_back(tab, provider.come_back(leave(tab)))
    assert "userinfo: sub differs" in house.reason()
    house.check_nothing_changed(tab)


def test_userinfo_that_fails(house: House, provider: Provider) -> None:
    provider.subject, provider.replies["/userinfo"] = "person-2", HUGE
    settings = settings_for(provider, link="username", trust_usernames=True)
    tab = replace(house, settings=settings).tab().authorize()
    come_back(tab, provider.come_back(leave(tab)))
    assert "userinfo endpoint: its answer is too large" in house.reason()
    house.check_nothing_changed(tab)


def test_one_address_is_not_served_without_end(
    house: House, provider: Provider, store: AuthStore
) -> None:
    few = replace(house.settings.effective_limits, logins_per_minute=2)
    tab = replace(house, settings=replace(house.settings, limits=few)).tab().authorize()
    with time_machine.travel(NOW - NOW % 60 + 5, tick=True):
        answers = [go(tab.authorize()).answer for _ in range(6)]
    assert [one.status_code for one in answers] == [302] * 4 + [429] * 2
    assert int(answers[-1].headers["Retry-After"]) <= 60
    assert "too many attempts" in house.reason()


def test_of_two_that_come_back_at_once_one_gets_in(house: House, provider: Provider) -> None:
    tabs = [house.tab() for _ in range(4)]
    tabs[0].authorize()
    query = provider.come_back(leave(tabs[0]))
    mark = tabs[0].client.get_cookie("smart_browser", path="/fhir/acme/auth")
    assert mark is not None
    for tab in tabs[1:]:
        tab.client.set_cookie("smart_browser", mark.value, path="/fhir/acme/auth")
    with ThreadPoolExecutor(len(tabs)) as pool:
        codes = list(
            pool.map(lambda tab: tab.client.get(CALLBACK, query_string=query).status_code, tabs)
        )
    assert sorted(codes) == [303, 400, 400, 400]
