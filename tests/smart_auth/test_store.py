"""The store on both databases: migrations, changes that count once, nothing across tenants."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import time_machine
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from smart_auth import admin, keyring, migrate
from smart_auth.housekeeping import EVERY, Housekeeping
from smart_auth.records import (
    AuthorizationCode,
    Client,
    ConsentRecord,
    Ended,
    Grant,
    InitialAccessToken,
    Launch,
    LaunchContext,
    LoginTicket,
    PendingAuthorization,
    SecondFactor,
    Session,
    User,
)
from smart_auth.store import (
    AlreadyExists,
    AuthStore,
    FederatedIdentity,
    FetchedKeys,
    LastAdmin,
    family_member,
    open_store,
)
from smart_auth.store.tables import metadata
from tests.support.postgres import fresh_postgres_url
from tests.support.smart_auth import REDIRECT, SETTINGS

NOW = 1_800_000_000
CONTEXT = LaunchContext("p1", "e1", ({"reference": "Appointment/a"},), False, "review")
GRANT = Grant("g", "launch", "app", "u", "s", "openid", CONTEXT, NOW, NOW, NOW + 100, NOW)
CODE = AuthorizationCode(
    "c", "app", "u", "s", REDIRECT, "openid", CONTEXT, "nonce", "challenge", NOW, NOW + 60
)
CONSENT = ConsentRecord("u", "app", "granted", "openid x", "openid", "p1", NOW)
LAUNCH = Launch("l", "u", "app", CONTEXT, NOW + 300, None)
PENDING = PendingAuthorization(
    "r", "app", {"scope": "openid", "raw_state": "\udc80é"}, None, None, None, None, None,
    NOW + 100, None,
)  # fmt: skip

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="module", params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A migrated database of each kind, for the whole module."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('store')}/auth.db"
    else:
        url = fresh_postgres_url()
    migrate.upgrade(url)
    return url


@pytest.fixture
def store(database_url: str) -> Iterator[AuthStore]:
    opened = open_store(database_url)
    yield opened
    opened.close()


@pytest.fixture
def tenant(request: pytest.FixtureRequest) -> str:
    """A tenant of the test's own."""
    return "t" + keyring.hash_token(request.node.name)[:12]


def race(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Run the act in threads that start together."""
    start = threading.Barrier(count)

    def run(number: int) -> Any:
        start.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_migrations_lead_to_the_tables(store: AuthStore) -> None:
    with store.database.read() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": "auth_version",
                "compare_type": True,
                "include_object": lambda _object, name, kind, *_: (
                    not (kind == "table" and name not in metadata.tables)
                ),
            },
        )
        assert compare_metadata(context, metadata) == []


def test_migrating_again_changes_nothing(store: AuthStore, database_url: str) -> None:
    migrate.upgrade(database_url)
    migrate.check(database_url)


def test_an_old_schema_does_not_start(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    with pytest.raises(migrate.SchemaOutOfDate, match="db upgrade"):
        migrate.check(url)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_workers_cannot_share_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="workers share"):
        open_store(url)


def test_clients_come_back_as_they_were(store: AuthStore, tenant: str) -> None:
    made = admin.create_client(
        store,
        tenant,
        {
            "client_id": "app",
            "redirect_uris": [REDIRECT, "https://b.example/"],
            "groups": ["g2", "g1"],
            "valid_from": 5,
            "valid_to": NOW * 2,
            "client_secret": "long enough",
            "pkce_optional": True,
            "may_introspect": True,
            "whole_tenant": True,
        },
    ).client
    assert store.clients.get(tenant, "app") == made
    changed = replace(made, groups=frozenset({"g3"}), name="New")
    assert store.clients.replace(changed)
    assert store.clients.get(tenant, "app") == replace(changed, version=2)
    assert [client.client_id for client in store.clients.list(tenant)] == ["app"]
    assert store.clients.get(tenant + "x", "app") is None
    assert store.clients.delete(tenant, "app") == Ended(0, ())
    assert store.clients.delete(tenant, "app") is None
    assert store.clients.get(tenant, "app") is None


def test_the_name_of_a_deleted_client_stays(store: AuthStore, tenant: str) -> None:
    for name in ("First", "Second"):
        document = {"client_id": "app", "redirect_uris": [REDIRECT], "client_name": name}
        admin.create_client(store, tenant, document)
        assert store.clients.delete(tenant, "app")
        assert store.clients.former_name(tenant, "app") == name
    assert not store.clients.delete(tenant, "never")
    assert store.clients.former_name(tenant, "never") is None
    assert store.clients.former_name(tenant + "x", "app") is None


def test_users_come_back_as_they_were(store: AuthStore, tenant: str) -> None:
    made = admin.create_user(
        store, tenant, "Zoë", "a password", role="patient", patients=["p2", "p1"], scopes="openid"
    )
    assert store.users.get(tenant, made.user_id) == made
    assert store.users.by_username(tenant, "Zoë") == made
    assert store.users.by_username(tenant, "zoë") is None
    assert store.users.replace(replace(made, patients=frozenset()))
    assert store.users.get(tenant, made.user_id) == replace(made, patients=frozenset(), version=2)
    assert len(store.users.list(tenant)) == 1
    assert not store.users.replace(User(tenant, "nobody", "n", "patient"))


def test_sessions(store: AuthStore, tenant: str) -> None:
    session = Session("s", "u", "login", NOW, NOW + 100)
    store.sessions.add(tenant, session)
    assert store.sessions.get(tenant, "s", NOW) == session
    assert store.sessions.get(tenant, "s", NOW + 100) is None
    assert store.sessions.get(tenant + "x", "s", NOW) is None
    store.sessions.end(tenant, "s", NOW)
    assert store.sessions.get(tenant, "s", NOW) is None


def test_the_sessions_of_a_user_end_together(store: AuthStore, tenant: str) -> None:
    for number, user in enumerate(["u", "u", "u", "v"]):
        session = Session(f"s{number}", user, "login", NOW + number, NOW + 50)
        store.sessions.add(tenant, session)
        grant = replace(GRANT, grant_id=f"g{number}", session_hash=f"s{number}")
        store.grants.add(tenant, replace(grant, scope="online_access patient/*.rs"))
    store.sessions.add(tenant, Session("old", "u", "login", NOW - 100, NOW - 50))
    store.grants.add(tenant, replace(GRANT, grant_id="kept", session_hash="s0"))
    live = [session.session_hash for session in store.sessions.list(tenant, "u", NOW)]
    assert live == ["s2", "s1", "s0"]
    ended = store.sessions.end_all(tenant, "u", NOW + 1, but="s1")
    assert (ended.sessions, {it.grant_id for it in ended.grants}) == (2, {"g0", "g2"})
    assert [it.session_hash for it in store.sessions.list(tenant, "u", NOW + 2)] == ["s1"]
    assert store.sessions.end_all(tenant, "u", NOW + 1, but="s1") == Ended(0, ())
    assert {it.grant_id for it in store.grants.live(tenant, NOW + 2)} == {"g1", "g3", "kept"}
    assert store.sessions.end(tenant, "s1", NOW + 3).sessions == 1
    assert store.sessions.end(tenant, "s1", NOW + 3) == Ended(0, ())


def test_a_second_factor_is_one_and_its_steps_count_once(store: AuthStore, tenant: str) -> None:
    user = admin.create_user(store, tenant, "ann", "a password", role="patient")
    kept = SecondFactor(user.user_id, "totp", "wrapped", None, NOW)
    race(4, lambda _: store.factors.put(tenant, kept))
    assert store.factors.get(tenant, user.user_id) == kept
    assert sorted(race(4, lambda _: store.factors.use_step(tenant, kept, 7))) == [False] * 3 + [
        True
    ]
    assert not store.factors.use_step(tenant, kept, 6)
    assert store.factors.use_step(tenant, kept, 8)
    renewed = replace(kept, secret="another")
    store.factors.put(tenant, renewed)
    assert not store.factors.use_step(tenant, kept, 9)
    assert store.factors.use_step(tenant, renewed, 7)
    assert store.factors.remove(tenant, user.user_id)
    assert not store.factors.remove(tenant, user.user_id)
    assert store.factors.get(tenant, user.user_id) is None


def test_a_pending_request_belongs_to_one_browser_and_is_decided_once(
    store: AuthStore, tenant: str
) -> None:
    store.pending.add(tenant, PENDING, NOW)
    assert store.pending.get(tenant, "r", NOW) == PENDING
    assert store.pending.get(tenant, "r", NOW + 100) is None
    assert store.pending.bind_browser(tenant, "r", "b1")
    assert store.pending.bind_browser(tenant, "r", "b1")
    assert not store.pending.bind_browser(tenant, "r", "b2")
    assert store.pending.choose_patient(tenant, "r", "u", "p1")
    found = store.pending.get(tenant, "r", NOW)
    assert found is not None
    assert (found.user_id, found.patient_id) == ("u", "p1")
    assert sum(race(4, lambda _: store.pending.decide(tenant, "r", NOW))) == 1
    assert store.pending.get(tenant, "r", NOW) is None
    assert not store.pending.choose_patient(tenant, "r", "u", "p2")


def test_a_pending_request_remembers_the_login_it_was_first_shown_with(
    store: AuthStore, tenant: str
) -> None:
    store.pending.add(tenant, replace(PENDING, new_login=True), NOW)
    for session in ("s1", "s2", None):
        assert store.pending.bind_browser(tenant, "r", "b1", session)
        found = store.pending.get(tenant, "r", NOW)
        assert found is not None
        assert (found.new_login, found.earlier_session) == (True, "s1")


def test_an_initial_access_token_counts_with_the_apps_it_lets_in(
    store: AuthStore, tenant: str
) -> None:
    token = InitialAccessToken("id", "name", "operator", NOW, NOW + 100, 2)
    store.registration.add_token(tenant, "hash", token)
    assert store.registration.tokens(tenant) == [token]

    def register(number: int) -> bool:
        app = Client(tenant, f"app{number}", "App", "none", "openid")
        return store.registration.register(app, "hash", NOW)

    assert register(0)
    with pytest.raises(AlreadyExists):
        register(0)
    assert store.registration.tokens(tenant)[0].uses_left == 1
    assert sum(race(4, lambda number: register(number + 1))) == 1
    assert len(store.clients.list(tenant)) == 2
    assert not store.registration.token_is_good(tenant, "hash", NOW)


@pytest.mark.parametrize(
    ("changes", "at", "good"),
    [
        ({}, NOW, True),
        ({}, NOW + 100, False),
        ({"uses_left": None}, NOW, True),
        ({"uses_left": 0}, NOW, False),
        ({"revoked_at": NOW}, NOW, False),
    ],
)
def test_which_initial_access_tokens_are_good(
    store: AuthStore, tenant: str, changes: dict[str, Any], at: int, good: bool
) -> None:
    token = replace(InitialAccessToken("id", "name", "u", NOW, NOW + 100, 1), **changes)
    store.registration.add_token(tenant, "hash", token)
    assert token.good(at) is good
    assert store.registration.token_is_good(tenant, "hash", at) is good
    assert not store.registration.token_is_good(tenant + "x", "hash", at)
    app = Client(tenant, "app", "App", "none", "openid")
    assert store.registration.register(app, "hash", at) is good
    assert (store.clients.get(tenant, "app") is not None) is good


def test_a_login_ticket_is_used_once(store: AuthStore, tenant: str) -> None:
    ticket = LoginTicket("u", "host", "wrapped", NOW, NOW + 100)
    store.tickets.add(tenant, "t", ticket)
    assert store.tickets.use(tenant + "x", "t", NOW) is None
    assert store.tickets.use(tenant, "t", NOW + 100) is None
    used = [one for one in race(4, lambda _: store.tickets.use(tenant, "t", NOW)) if one]
    assert used == [ticket]


def test_people_by_their_resource(store: AuthStore, tenant: str) -> None:
    for name, reference in (("a", "Practitioner/1"), ("b", "Practitioner/1"), ("c", None)):
        store.users.add(User(tenant, name, name, "practitioner", reference))
    assert {user.user_id for user in store.users.by_fhir_user(tenant, "Practitioner/1")} == {
        "a",
        "b",
    }
    assert not store.users.by_fhir_user(tenant, "Practitioner/2")


def test_no_database_is_asked_for_an_id_with_nul(store: AuthStore, tenant: str) -> None:
    assert store.clients.get(tenant, "a\0b") is None
    assert store.users.by_username(tenant, "a\0b") is None


def test_a_launch_is_used_once_and_with_its_code(store: AuthStore, tenant: str) -> None:
    store.launches.add(tenant, LAUNCH, NOW)
    assert store.launches.get(tenant, "l") == LAUNCH

    def approve(number: int) -> bool:
        code = replace(CODE, code_hash=f"c{number}")
        return store.grants.add_code(tenant, code, CONSENT, "l")

    assert sum(race(4, approve)) == 1
    kept = [n for n in range(4) if store.grants.code(tenant, f"c{n}") is not None]
    assert len(kept) == 1
    assert len(store.grants.consents(tenant, "u")) == 1
    used = store.launches.get(tenant, "l")
    assert used is not None
    assert used.used_at == NOW


def test_a_code_is_redeemed_once(store: AuthStore, tenant: str) -> None:
    assert store.grants.add_code(tenant, CODE, CONSENT, None)
    assert store.grants.code(tenant, "c") == CODE

    def redeem(number: int) -> bool:
        grant = replace(GRANT, grant_id=f"g{number}")
        refresh = family_member(grant, f"token{number}", NOW + 1000)
        return store.grants.redeem(tenant, "c", grant, refresh, NOW)

    won = race(5, redeem)
    assert sum(won) == 1
    winner = f"g{won.index(True)}"
    code = store.grants.code(tenant, "c")
    assert code is not None
    assert (code.used_at, code.grant_id) == (NOW, winner)
    assert [grant.grant_id for grant in store.grants.live(tenant, NOW, user_id="u")] == [winner]
    found = store.grants.get(tenant, winner)
    assert found == replace(GRANT, grant_id=winner)


def test_refresh_tokens_rotate_with_a_grace(store: AuthStore, tenant: str) -> None:
    first = family_member(GRANT, "first", NOW + 1000)
    store.grants.add_code(tenant, CODE, CONSENT, None)
    assert store.grants.redeem(tenant, "c", GRANT, first, NOW)
    old = store.grants.refresh_token(tenant, first.token_hash)
    assert old is not None

    def rotate(name: str, at: int) -> str:
        new = family_member(GRANT, name, NOW + 2000)
        return store.grants.rotate(tenant, old, new, at, 30)

    outcomes = race(4, lambda number: rotate(f"next{number}", NOW))
    assert sorted(outcomes) == ["rotated", "sibling", "sibling", "sibling"]
    assert rotate("late", NOW + 30) == "sibling"
    grant = store.grants.get(tenant, "g")
    assert grant is not None
    assert (grant.last_used_at, grant.expires_at) == (NOW + 30, NOW + 2000)
    assert rotate("too late", NOW + 31) == "reused"
    ended = store.grants.get(tenant, "g")
    assert ended is not None
    assert ended.revoked_why == "refresh token reused"
    assert store.grants.refresh_token(tenant, keyring.hash_token("too late")) is None
    assert rotate("even later", NOW + 32) == "reused"
    assert not store.grants.revoke(tenant, "g", "again", NOW)


def test_a_family_ends_when_two_siblings_are_used(store: AuthStore, tenant: str) -> None:
    """Whoever stole a token and used it within the grace holds a sibling of the owner's."""

    def use(name: str, token: str, at: int = NOW) -> str:
        old = store.grants.refresh_token(tenant, keyring.hash_token(token))
        assert old is not None
        return store.grants.rotate(tenant, old, family_member(old.grant, name, NOW * 2), at, 30)

    def begin(grant_id: str) -> str:
        code = replace(CODE, code_hash=grant_id)
        grant = replace(GRANT, grant_id=grant_id, expires_at=NOW * 2)
        first = family_member(grant, f"{grant_id} first", NOW * 2)
        store.grants.add_code(tenant, code, CONSENT, None)
        assert store.grants.redeem(tenant, grant_id, grant, first, NOW)
        assert use(f"{grant_id} owner", f"{grant_id} first") == "rotated"
        return grant_id

    a = begin("a")
    assert use("a thief", "a first", NOW + 30) == "sibling"
    assert use("a owner 2", "a owner", NOW + 3600) == "rotated"
    assert use("a owner 3", "a owner", NOW + 3601) == "sibling"
    assert use("a thief 2", "a thief", NOW + 3602) == "reused"
    ended = store.grants.get(tenant, a)
    assert ended is not None
    assert ended.revoked_why == "refresh token reused"

    begin("b")
    assert use("b owner 2", "b owner", NOW + 5) == "rotated"
    assert use("b thief", "b first", NOW + 6) == "reused"

    begin("c")
    assert use("c again", "c first", NOW + 5) == "sibling"
    assert use("c again 2", "c again", NOW + 5) == "rotated"
    assert use("c again 3", "c again 2", NOW + 5) == "rotated"
    assert use("c lost", "c owner", NOW + 5) == "reused"


def test_a_deleted_user_leaves_a_name_and_nothing_that_opens(store: AuthStore, tenant: str) -> None:
    boss = admin.create_user(store, tenant, "boss", "a long password", role="admin")
    with pytest.raises(LastAdmin):
        admin.delete_user(store, boss)
    dev = admin.create_user(
        store, tenant, "dev", "a password", role="developer", service="provider",
        patients=["p1", "p2"], name="De Veloper",
    )  # fmt: skip
    metadata = {"client_id": "app", "redirect_uris": [REDIRECT]}
    app = admin.create_client(store, tenant, metadata, owner=dev.user_id).client
    assert store.clients.replace(replace(app, patients=frozenset({"p1", "p3"})))
    admin.give_pin(store, dev, "274951")
    store.federation.link(tenant, FederatedIdentity("https://op", "s", dev.user_id, NOW))
    now = int(time.time())
    store.sessions.add(tenant, Session("s", dev.user_id, "login", now, now + 100))
    grant = replace(GRANT, user_id=dev.user_id, expires_at=now + 100)
    store.grants.add(tenant, grant)
    code = replace(CODE, user_id=dev.user_id, expires_at=now + 60)
    store.grants.add_code(tenant, code, CONSENT, None)
    admin.change_user(store, dev, name="Developer")
    with pytest.raises(admin.ChangedSince):
        admin.delete_user(store, dev)
    seen = store.users.get(tenant, dev.user_id)
    assert seen is not None
    ended = admin.delete_user(store, seen)
    assert (ended.sessions, [one.grant_id for one in ended.grants]) == (1, [grant.grant_id])
    assert store.users.get(tenant, dev.user_id) is None
    assert store.factors.get(tenant, dev.user_id) is None
    assert store.federation.user_of(tenant, "https://op", "s") is None
    assert store.sessions.get(tenant, "s", now) is None
    assert store.grants.code(tenant, code.code_hash) is None
    left = store.clients.get(tenant, "app")
    assert left is not None
    assert (left.owner, left.patients) == (None, frozenset({"p3"}))
    for name in ("dev", dev.user_id):
        former = store.users.former(tenant, name)
        assert former is not None
        assert (former.username, former.name, former.role) == ("dev", "Developer", "developer")
    assert store.oversight.names(tenant, {dev.user_id}) == {dev.user_id: "dev (deleted)"}
    with pytest.raises(AlreadyExists, match="another user's"):
        admin.create_user(store, tenant, "dev", "a password", role="practitioner")
    admin.create_user(store, f"{tenant}x", "dev", "a password", role="practitioner")
    with pytest.raises(LookupError):
        admin.delete_user(store, seen)


def test_a_name_is_not_taken_while_its_user_is_deleted(store: AuthStore, tenant: str) -> None:
    user = admin.create_user(store, tenant, "ann", "a password", role="practitioner")
    again = replace(user, user_id="another", username="ann")

    def act(number: int) -> str:
        try:
            return (
                "deleted" if number and store.users.delete(user) else store.users.add(again) or ""
            )
        except AlreadyExists:
            return "refused"

    assert sorted(race(2, act)) == ["deleted", "refused"]
    assert store.users.list(tenant) == []


def test_grants_are_seen_by_user_and_client(store: AuthStore, tenant: str) -> None:
    for number, user in enumerate(("u", "u", "v")):
        store.grants.add(
            tenant, replace(GRANT, grant_id=f"g{number}", user_id=user, created_at=NOW + number)
        )
    ids = [grant.grant_id for grant in store.grants.live(tenant, NOW, user_id="u")]
    assert ids == ["g1", "g0"]
    assert len(store.grants.live(tenant, NOW, client_id="app")) == 3
    assert store.grants.live(tenant, NOW + 100, client_id="app") == []
    assert store.grants.revoke(tenant, "g1", "test", NOW)
    assert len(store.grants.live(tenant, NOW, client_id="app")) == 2
    assert store.grants.live(tenant + "x", NOW, client_id="app") == []


def test_a_jti_counts_once(store: AuthStore, tenant: str) -> None:
    used = race(5, lambda _: store.limits.use_jti(tenant, "app", "j", NOW))
    assert sum(used) == 1
    assert store.limits.use_jti(tenant, "other", "j", NOW)
    assert store.limits.use_jti(tenant + "x", "app", "j", NOW)


def test_counters_count_all_workers(store: AuthStore, tenant: str) -> None:
    at = NOW - NOW % 60
    counts = race(6, lambda _: store.limits.count(tenant, "bucket", at + 5))
    assert sorted(counts) == [1, 2, 3, 4, 5, 6]
    assert store.limits.count(tenant, "bucket", at + 60) == 1
    assert store.limits.count(tenant, "other", at) == 1


def test_failures_are_forgotten_after_success_and_in_time(store: AuthStore, tenant: str) -> None:
    for _ in range(6):
        store.limits.fail(tenant, "who", NOW, 5, 30)
    assert store.limits.blocked_until(tenant, "who") == NOW + 2
    store.limits.succeed(tenant, "who")
    assert store.limits.blocked_until(tenant, "who") == 0
    for _ in range(6):
        store.limits.fail(tenant, "who", NOW, 5, 30)
    store.limits.fail(tenant, "who", NOW + 3600, 5, 30)
    assert store.limits.blocked_until(tenant, "who") == NOW + 3600


def test_the_first_keys_are_made_once(store: AuthStore, tenant: str) -> None:
    race(3, lambda _: admin.create_tenant_keys(store, SETTINGS, tenant))
    keys = store.keys.list(tenant, NOW)
    assert sorted(key.alg for key in keys) == ["ES256", "RS256"]
    assert store.keys.list(tenant + "x", NOW) == []


def test_fetched_key_sets(store: AuthStore, tenant: str) -> None:
    keys = FetchedKeys("https://a.example", "{}", NOW, NOW + 5)
    assert store.clients.fetched_keys(tenant, "app") is None
    store.clients.keep_fetched_keys(tenant, "app", keys)
    store.clients.keep_fetched_keys(tenant, "app", replace(keys, body="{...}"))
    assert store.clients.fetched_keys(tenant, "app") == replace(keys, body="{...}")


def test_standing_says_whether_a_grant_is_in_force(store: AuthStore, tenant: str) -> None:
    admin.create_client(store, tenant, {"client_id": "app", "redirect_uris": [REDIRECT]})
    user = admin.create_user(store, tenant, "ann", "a password", role="patient")
    store.grants.add(tenant, replace(GRANT, user_id=user.user_id))
    standing = store.standing.get(tenant, "g")
    assert standing is not None
    assert (standing.in_force, standing.client_version, standing.user_version) == (True, 1, 1)
    admin.change_user(store, user, active=False)
    changed = store.standing.get(tenant, "g")
    assert changed is not None
    assert changed.user_version == 2
    store.grants.revoke(tenant, "g", "test", NOW)
    ended = store.standing.get(tenant, "g")
    assert ended is not None
    assert not ended.in_force
    assert store.standing.get(tenant, "nobody") is None
    assert store.standing.get(tenant + "x", "g") is None


def test_what_expired_long_ago_is_dropped(store: AuthStore, tenant: str) -> None:
    store.sessions.add(tenant, Session("old", "u", "login", 1, 100))
    store.limits.count(tenant, "bucket", 60)
    grant = replace(GRANT, expires_at=100)
    store.grants.add_code(tenant, replace(CODE, expires_at=NOW + 60), CONSENT, None)
    store.grants.redeem(tenant, "c", grant, family_member(grant, "token", NOW + 50), NOW)
    store.limits.purge(1000)
    assert store.sessions.get(tenant, "old", 0) is None
    assert store.grants.get(tenant, "g") is None
    assert store.grants.refresh_token(tenant, keyring.hash_token("token")) is None
    assert store.grants.code(tenant, "c") is not None
    assert store.limits.count(tenant, "bucket", 60) == 1
    assert len(store.grants.consents(tenant, "u")) == 1


def test_housekeeping_runs_now_and_then(store: AuthStore, tenant: str) -> None:
    keeper = Housekeeping(store)
    store.sessions.add(tenant, Session("old", "u", "login", 1, 100))
    assert not keeper.tick()
    with time_machine.travel(time.time() + EVERY + 1, tick=False):
        assert keeper.tick()
        assert not keeper.tick()
    assert store.sessions.get(tenant, "old", 0) is None


def test_connections_are_not_carried_over_a_fork(store: AuthStore, tenant: str) -> None:
    store.sessions.add(tenant, Session("s", "u", "login", NOW, NOW + 100))
    child = os.fork()
    if child == 0:
        found = store.sessions.get(tenant, "s", NOW)
        os._exit(0 if found is not None else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert store.sessions.get(tenant, "s", NOW) is not None


def test_a_failed_write_leaves_nothing(store: AuthStore, tenant: str) -> None:
    class Stop(Exception):
        """Breaks a transaction."""

    def write_and_fail() -> None:
        with store.database.write() as connection:
            connection.execute(
                text(
                    "INSERT INTO attempt (tenant, bucket, minute, attempts) VALUES (:t, 'b', 0, 9)"
                ),
                {"t": tenant},
            )
            raise Stop

    with pytest.raises(Stop):
        write_and_fail()
    assert store.limits.count(tenant, "b", 0) == 1
