"""Federated logins and identities on both databases: once, whoever asks, and nothing across
tenants."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from smart_auth import admin, migrate
from smart_auth.records import User
from smart_auth.store import AlreadyExists, AuthStore, FederatedIdentity, open_store
from smart_auth.store.federation import FederationStore
from tests.support.postgres import fresh_postgres_url
from tests.support.smart_auth import PASSWORD

NOW = 1_800_000_000
ISSUER = "https://id.example"
AT_ONCE = 6


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AuthStore]:
    folder: Path = tmp_path_factory.mktemp("federation")
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{folder}/auth.db" if sqlite else fresh_postgres_url()
    migrate.upgrade(url)
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture
def logins(store: AuthStore) -> FederationStore:
    return store.federation


def someone(store: AuthStore, name: str) -> User:
    return admin.create_user(store, "acme", name, PASSWORD, role="patient")


def begin(logins: FederationStore, state: str) -> None:
    logins.begin(
        "acme",
        state,
        provider="hospital",
        browser_hash="browser",
        wrapped="content",
        now=NOW,
        expires_at=NOW + 600,
    )


def redeem(logins: FederationStore, state: str, **changes: object) -> str | None:
    given = {"provider": "hospital", "browser_hash": "browser", "now": NOW + 1} | changes
    tenant = str(given.pop("tenant", "acme"))
    return logins.redeem(tenant, state, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": "beta"},
        {"provider": "other"},
        {"browser_hash": "another"},
        {"now": NOW + 600},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_login_is_found_in_its_place_only(
    logins: FederationStore, changes: dict[str, object], request: pytest.FixtureRequest
) -> None:
    state = request.node.name
    begin(logins, state)
    assert redeem(logins, state, **changes) is None
    assert redeem(logins, state) == "content"
    assert redeem(logins, state) is None


def test_of_many_at_once_one_redeems(logins: FederationStore) -> None:
    begin(logins, "raced")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda _: redeem(logins, "raced"), range(AT_ONCE)))
    assert sorted(found, key=str) == [None] * (AT_ONCE - 1) + ["content"]


def test_of_many_first_logins_one_links(store: AuthStore, logins: FederationStore) -> None:
    """Different people at the provider who claim the same user name at the same moment."""
    user = someone(store, "raced")

    def link(number: int) -> bool:
        identity = FederatedIdentity(ISSUER, f"raced-{number}", user.user_id, NOW)
        return logins.link_first("acme", identity)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert sorted(pool.map(link, range(AT_ONCE))) == [False] * (AT_ONCE - 1) + [True]
    assert len(logins.identities("acme", user.user_id)) == 1


def test_an_identity_opens_one_account(store: AuthStore, logins: FederationStore) -> None:
    first, second = someone(store, "first"), someone(store, "second")
    logins.link("acme", FederatedIdentity(ISSUER, "one", first.user_id, NOW))
    for user in (first, second):
        with pytest.raises(AlreadyExists):
            logins.link("acme", FederatedIdentity(ISSUER, "one", user.user_id, NOW))
    assert not logins.link_first("acme", FederatedIdentity(ISSUER, "one", second.user_id, NOW))
    assert logins.user_of("acme", ISSUER, "one") == first.user_id
    assert logins.user_of("acme", "https://other.example", "one") is None
    assert logins.user_of("beta", ISSUER, "one") is None
    assert not logins.unlink("beta", ISSUER, "one")


def test_another_issuer_may_link_the_same_account(
    store: AuthStore, logins: FederationStore
) -> None:
    user = someone(store, "both")
    assert logins.link_first("acme", FederatedIdentity(ISSUER, "both", user.user_id, NOW))
    other = FederatedIdentity("https://other.example", "both", user.user_id, NOW)
    assert logins.link_first("acme", other)


def test_an_account_of_another_tenant_is_no_account(
    store: AuthStore, logins: FederationStore
) -> None:
    user = someone(store, "elsewhere")
    with pytest.raises(LookupError):
        logins.link("beta", FederatedIdentity(ISSUER, "elsewhere", user.user_id, NOW))


def test_expired_logins_are_cleared_away(store: AuthStore, logins: FederationStore) -> None:
    begin(logins, "old")
    store.limits.purge(NOW + 601)
    assert redeem(logins, "old") is None
