"""An app's patients stay within its developer's, on both databases and whoever is first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from smart_auth import admin, keyring, migrate
from smart_auth.admin import ChangedSince
from smart_auth.records import Client, User
from smart_auth.store import AuthStore, open_store
from tests.support.postgres import fresh_postgres_url
from tests.support.smart_auth import REDIRECT

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="module", params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('assigned')}/auth.db"
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
def developer(store: AuthStore, request: pytest.FixtureRequest) -> User:
    """A developer with two patients, in a tenant of the test's own."""
    tenant = "t" + keyring.hash_token(request.node.name)[:12]
    return admin.create_user(
        store, tenant, "dev", "a long password", role="developer", patients=["p1", "p2"]
    )


def app_of(store: AuthStore, developer: User, name: str = "app") -> Client:
    metadata = {"client_id": name, "redirect_uris": [REDIRECT]}
    admin.create_client(store, developer.tenant, metadata, owner=developer.user_id)
    return stored(store, developer, name)


def stored(store: AuthStore, developer: User, name: str = "app") -> Client:
    found = store.clients.get(developer.tenant, name)
    assert found is not None
    return found


def test_picked_patients_are_kept(store: AuthStore, developer: User) -> None:
    app = app_of(store, developer)
    assert app.patients is None
    assert store.clients.pick_patients(app, frozenset({"p2"})) == "done"
    picked = stored(store, developer)
    assert (picked.patients, picked.version) == (frozenset({"p2"}), app.version + 1)
    assert store.clients.pick_patients(picked, None) == "done"
    assert stored(store, developer).patients is None


def test_only_patients_of_the_developer_can_be_picked(store: AuthStore, developer: User) -> None:
    app = app_of(store, developer)
    assert store.clients.pick_patients(app, frozenset({"p1", "p9"})) == "not assigned"
    assert stored(store, developer) == app


def test_a_developer_of_the_whole_tenant_may_pick_anybody(
    store: AuthStore, developer: User
) -> None:
    app = app_of(store, developer)
    admin.change_user(store, developer, whole_tenant=True)
    assert store.clients.pick_patients(app, frozenset({"p9"})) == "done"


def test_a_pick_on_a_stale_app_changes_nothing(store: AuthStore, developer: User) -> None:
    app = app_of(store, developer)
    admin.change_client(store, app, name="renamed")
    assert store.clients.pick_patients(app, frozenset({"p1"})) == "changed"
    assert stored(store, developer).patients is None


def test_who_is_taken_from_the_developer_is_taken_from_the_apps(
    store: AuthStore, developer: User
) -> None:
    one, other = app_of(store, developer, "one"), app_of(store, developer, "other")
    store.clients.pick_patients(one, frozenset({"p1", "p2"}))
    store.clients.pick_patients(other, frozenset({"p2"}))
    before = {name: stored(store, developer, name).version for name in ("one", "other")}
    admin.change_user(store, developer, patients=frozenset({"p2"}))
    kept = {name: stored(store, developer, name) for name in ("one", "other")}
    assert kept["one"].patients == kept["other"].patients == {"p2"}
    assert kept["one"].version == before["one"] + 1, "tokens that are out must see the change"
    assert kept["other"].version == before["other"]
    admin.change_user(store, developer, patients=frozenset())
    assert stored(store, developer, "one").patients == frozenset(), "no list would mean everybody"


def test_losing_the_whole_tenant_leaves_only_the_patients_kept(
    store: AuthStore, developer: User
) -> None:
    app = app_of(store, developer)
    everywhere = admin.change_user(store, developer, whole_tenant=True)
    store.clients.pick_patients(app, frozenset({"p2", "p9"}))
    admin.change_user(store, everywhere, whole_tenant=False)
    assert stored(store, developer).patients == {"p2"}


def test_what_the_provider_gave_to_the_app_itself_stays(store: AuthStore, developer: User) -> None:
    app = app_of(store, developer)
    admin.change_client(store, app, patients=frozenset({"p1", "p7"}))
    admin.change_user(store, developer, patients=frozenset({"p2"}))
    assert stored(store, developer).patients == {"p7"}


def test_apps_of_others_are_left_alone(store: AuthStore, developer: User) -> None:
    other = admin.create_user(
        store, developer.tenant, "other", "a long password", role="developer", patients=["p1"]
    )
    app = app_of(store, other)
    store.clients.pick_patients(app, frozenset({"p1"}))
    admin.change_user(store, developer, patients=frozenset())
    assert stored(store, developer).patients == {"p1"}


def test_a_pick_and_a_taking_at_the_same_time_never_leave_the_patient(
    store: AuthStore, developer: User
) -> None:
    for round_number in range(8):
        app = app_of(store, developer, f"app{round_number}")
        admin.change_user(store, developer, patients=frozenset({"p1", "p2"}))
        start = threading.Barrier(2)

        def pick(app: Client = app, start: threading.Barrier = start) -> str:
            start.wait()
            return store.clients.pick_patients(app, frozenset({"p1"}))

        def take(start: threading.Barrier = start) -> None:
            start.wait()
            admin.change_user(store, developer, patients=frozenset({"p2"}))

        with ThreadPoolExecutor(2) as pool:
            picking, taking = pool.submit(pick), pool.submit(take)
            taking.result()
            assert picking.result() in ("done", "not assigned")
        assert "p1" not in (stored(store, developer, app.client_id).patients or ())


def test_a_change_to_a_stale_app_is_refused(store: AuthStore, developer: User) -> None:
    app = app_of(store, developer)
    admin.change_client(store, app, as_of=app.version, name="first")
    with pytest.raises(ChangedSince):
        admin.change_client(store, app, as_of=app.version, name="second")
    assert stored(store, developer).name == "first"


def test_a_change_to_a_stale_user_is_refused(store: AuthStore, developer: User) -> None:
    assert store.users.replace(developer, as_of=developer.version)
    assert not store.users.replace(developer, as_of=developer.version)
    assert store.users.replace(developer)
