"""What administrators look through, on both databases; the last of them stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from smart_auth import admin, migrate
from smart_auth.admin.user_rules import sees_one_patient, user_problems
from smart_auth.records import Grant, LaunchContext, Session, User
from smart_auth.store import AuthStore, LastAdmin, open_store
from tests.support.postgres import fresh_postgres_url

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
NOW = 1_800_000_000


@pytest.fixture(params=BOTH)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AuthStore]:
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/auth.db" if sqlite else fresh_postgres_url()
    migrate.upgrade(url)
    opened = open_store(url)
    yield opened
    opened.close()


def add_user(store: AuthStore, username: str, tenant: str = "acme", **more: object) -> User:
    user = User(tenant, f"id-{username}", username, **{"role": "practitioner", **more})  # type: ignore[arg-type]
    store.users.add(user)
    return user


def add_grant(
    store: AuthStore,
    grant_id: str,
    created_at: int = NOW,
    *,
    user_id: str | None = "u1",
    client_id: str = "app",
    patient: str | None = None,
    tenant: str = "acme",
    until: int = NOW + 100,
) -> None:
    context = LaunchContext(patient)
    store.grants.add(
        tenant,
        Grant(
            grant_id, "launch", client_id, user_id, None, "x", context, NOW, created_at, until, NOW
        ),
    )


def test_users_by_name_part_role_and_page(store: AuthStore) -> None:
    for name in ("anna", "bert", "carl"):
        add_user(store, name, name=f"Doctor {name.title()}", patients=frozenset({"p1", name}))
    add_user(store, "dora", role="developer", service="provider", name="100% Dora")
    add_user(store, "anna", tenant="beta")

    def found(**asked: str) -> list[str]:
        return [one.username for one in store.oversight.users("acme", limit=9, **asked)]

    assert found() == ["anna", "bert", "carl", "dora"]
    assert found(after="bert") == ["carl", "dora"]
    assert found(text="DOCTOR") == ["anna", "bert", "carl"]
    assert found(text="doctor ber") == ["bert"]
    assert found(text="%") == ["dora"]
    assert found(text="_") == []
    assert found(role="developer") == ["dora"]
    line = store.oversight.users("acme", limit=1)[0]
    assert (line.patients, line.role, line.active) == (2, "practitioner", True)


def test_developers_wait_until_they_have_a_patient(store: AuthStore) -> None:
    add_user(store, "one", role="developer", service="patient")
    add_user(store, "two", role="developer", service="provider", patients=frozenset({"p1"}))
    add_user(store, "all", role="developer", service="provider", whole_tenant=True)
    add_user(store, "out", role="developer", service="provider", active=False)
    add_user(store, "nurse")
    waiting = store.oversight.developers_without_patients("acme", 9)
    assert [one.username for one in waiting] == ["one"]


def test_grants_by_whom_for_whom_and_page(store: AuthStore) -> None:
    add_grant(store, "a", NOW - 3, patient="p1")
    add_grant(store, "b", NOW - 3, user_id="u2", patient="p10")
    add_grant(store, "c", NOW - 1, user_id=None, client_id="backend")
    add_grant(store, "old", until=NOW)
    add_grant(store, "foreign", tenant="beta")

    def found(**asked: object) -> list[str]:
        grants = store.oversight.grants("acme", NOW, **{"limit": 9, **asked})  # type: ignore[arg-type]
        return [one.grant_id for one in grants]

    assert found() == ["c", "b", "a"]
    assert found(user_id="u2") == ["b"]
    assert found(client_id="backend") == ["c"]
    assert found(patient="p1") == ["a"]
    assert found(patient="p_") == []
    assert found(limit=2) == ["c", "b"]
    assert found(after=(NOW - 3, "b")) == ["a"]
    assert found(after=(NOW - 1, "c"), user_id="u1") == ["a"]
    assert store.oversight.last_used("acme") == {"app": NOW, "backend": NOW}


def test_grants_end_together_and_only_those_named(store: AuthStore) -> None:
    add_grant(store, "a")
    add_grant(store, "b", user_id="u2")
    add_grant(store, "c", client_id="other")
    add_grant(store, "foreign", tenant="beta")
    with pytest.raises(ValueError, match="whom"):
        store.oversight.end_grants("acme", NOW, "x")
    end = partial(store.oversight.end_grants, "acme", NOW, "x", user_id="u1")
    assert [len(end(client_id="app")), len(end(client_id="app")), len(end())] == [1, 0, 1]
    left = [one.grant_id for one in store.oversight.grants("acme", NOW, limit=9)]
    assert left == ["b"]
    ended = store.grants.get("acme", "a")
    assert ended is not None
    assert (ended.revoked_at, ended.revoked_why) == (NOW, "x")
    assert len(store.oversight.grants("beta", NOW, limit=9)) == 1


def test_sessions_and_counts(store: AuthStore) -> None:
    add_user(store, "u1")
    add_user(store, "out", active=False)
    for number in range(3):
        store.sessions.add("acme", Session(f"s{number}", "id-u1", "login", NOW + number, NOW + 50))
    store.sessions.add("acme", Session("over", "id-u1", "login", NOW, NOW))
    store.sessions.end("acme", "s1", NOW)
    found = store.oversight.sessions("acme", NOW, limit=9)
    assert [one.session_hash for one in found] == ["s2", "s0"]
    after = store.oversight.sessions("acme", NOW, after=(NOW + 2, "s2"), limit=9)
    assert [one.session_hash for one in after] == ["s0"]
    assert store.oversight.sessions("acme", NOW, user_id="nobody", limit=9) == []
    counts = store.oversight.counts("acme", NOW)
    assert (counts.users, counts.apps, counts.sessions, counts.grants) == (1, 0, 2, 0)
    assert store.oversight.names("acme", {"id-u1", "gone", None}) == {"id-u1": "u1"}


def test_the_last_administrator_stays(store: AuthStore) -> None:
    first, second = (add_user(store, name, role="admin") for name in ("first", "second"))
    add_user(store, "foreign", tenant="beta", role="admin")
    admin.change_user(store, first, spare_last_admin=True, active=False)
    for change in ({"active": False}, {"role": "practitioner"}):
        with pytest.raises(LastAdmin):
            admin.change_user(store, second, spare_last_admin=True, **change)
    admin.change_user(store, second, spare_last_admin=True, name="Renamed")
    kept = store.users.get("acme", second.user_id)
    assert kept is not None
    assert (kept.role, kept.active, kept.name) == ("admin", True, "Renamed")


def test_administrators_who_put_each_other_out_at_once_leave_one(store: AuthStore) -> None:
    users = [add_user(store, f"admin{number}", role="admin") for number in range(4)]
    together = threading.Barrier(len(users))

    def put_out(user: User) -> None:
        together.wait()
        try:
            admin.change_user(store, user, spare_last_admin=True, active=False)
        except LastAdmin:
            left.append(user.username)

    left: list[str] = []
    threads = [threading.Thread(target=put_out, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    active = [one.username for one in store.users.list("acme") if one.active]
    assert len(active) == 1
    assert active == left


def test_a_user_who_was_changed_since_is_left_alone(store: AuthStore) -> None:
    user = add_user(store, "nurse")
    admin.change_user(store, user, as_of=user.version, name="First")
    with pytest.raises(admin.ChangedSince):
        admin.change_user(store, user, as_of=user.version, name="Second")
    found = store.users.get("acme", user.user_id)
    assert found is not None
    assert found.name == "First"


ONE = frozenset({"p1"})


@pytest.mark.parametrize(
    ("fields", "problems"),
    [
        ({"role": "practitioner"}, set()),
        ({"role": "practitioner", "fhir_user": "Practitioner/x.1"}, set()),
        ({"role": "admin", "fhir_user": "Person/1", "whole_tenant": True}, set()),
        ({"role": "practitioner", "fhir_user": "Practitioner/a b"}, {"fhir_user"}),
        ({"role": "practitioner", "fhir_user": "http://x/Practitioner/1"}, {"fhir_user"}),
        ({"role": "practitioner", "fhir_user": "Patient/p1"}, {"fhir_user"}),
        ({"role": "practitioner", "service": "patient"}, {"service"}),
        ({"role": "developer"}, {"service"}),
        ({"role": "developer", "service": "provider", "patients": ONE | {"p2"}}, set()),
        ({"role": "developer", "service": "patient"}, set()),
        ({"role": "developer", "service": "patient", "patients": ONE}, set()),
        ({"role": "developer", "service": "patient", "patients": ONE | {"p2"}}, {"patients"}),
        ({"role": "developer", "service": "patient", "whole_tenant": True}, {"whole_tenant"}),
        ({"role": "patient", "patients": ONE, "fhir_user": "Patient/p1"}, set()),
        ({"role": "patient", "patients": ONE}, {"fhir_user"}),
        ({"role": "patient", "fhir_user": "Patient/p1"}, {"patients"}),
        ({"role": "patient", "patients": ONE, "fhir_user": "Patient/p2"}, {"patients"}),
        ({"role": "patient", "patients": ONE, "fhir_user": "RelatedPerson/r"}, set()),
    ],
)
def test_what_must_hold_of_a_user(fields: dict[str, object], problems: set[str]) -> None:
    user = User("acme", "id", "name", **fields)  # type: ignore[arg-type]
    assert set(user_problems(user)) == problems
    assert sees_one_patient(user) == (
        user.role == "patient" or (user.role, user.service) == ("developer", "patient")
    )
