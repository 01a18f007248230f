"""The demo's people: made once, completed where an older seed lacks them, never made twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_facade.app import Facade, build
from fhir_facade.mirror.groups import GroupDefinition
from fhir_facade.settings import load
from sandbox.demo import seed as seeding
from sandbox.demo.people import MORE, PLAIN, new_person, plant_people
from smart_auth import factors
from smart_auth.admin import change_user, factor_of
from smart_auth.keyring import Keyring
from smart_auth.passwords import check_password
from tests.support import exports
from tests.support.serving import facade_environment

ROOT = "http://127.0.0.1:1"


@pytest.fixture
def facade(tmp_path: Path) -> Iterator[Facade]:
    made = build(load(facade_environment(tmp_path, 1, DEMO="true")), check=False)
    made.upgrade()
    exports.seed(made.database, 4, 8)
    yield made
    made.close()


@pytest.fixture
def seed() -> dict[str, Any]:
    """A seed whose patients and practitioners are chosen."""
    first, second, third = (exports.patient(number)["id"] for number in range(3))
    return {
        "patient_id": first,
        "other_patient_id": second,
        "patient_user_id": third,
        "practitioner_id": "qubs-1",
        "second_practitioner_id": None,
    }


def test_a_seed_is_completed_and_what_it_holds_stays(facade: Facade, seed: dict[str, Any]) -> None:
    seed["practitioner"] = {"username": "practitioner", "password": "kept-as-it-was"}
    before = dict(seed)
    seeding.complete(facade, "acme", seed)
    assert {name: seed[name] for name in before} == before
    assert {*PLAIN, *MORE, *seeding.BACKENDS, "ehr", "confidential", "public"} <= set(seed)
    again = dict(seed)
    seeding.complete(facade, "acme", seed)
    assert seed == again


def test_people_log_in_with_what_the_seed_says(facade: Facade, seed: dict[str, Any]) -> None:
    seeding.complete(facade, "acme", seed)
    plant_people(facade, "acme", seed)
    store, ring = facade.auth_store, Keyring(facade.auth_settings.secret_keys)
    for name in (*PLAIN, *MORE):
        user = store.users.by_username("acme", seed[name]["username"])
        assert user is not None
        assert user.user_id == seed[name]["user_id"]
        assert check_password(user.password_hash, seed[name]["password"])
        kind = {"practitioner_totp": "totp", "patient_pin": "pin"}.get(name)
        assert factor_of(store, user) == kind
    person = seed["practitioner_totp"]
    code = factors.code_at(person["totp_secret"], int(time.time()))
    factor = store.factors.get("acme", person["user_id"])
    assert factor is not None
    assert factors.accept(store, ring, "acme", factor, code)
    person = seed["patient_pin"]
    factor = store.factors.get("acme", person["user_id"])
    assert factor is not None
    assert factors.accept(store, ring, "acme", factor, person["pin"])


def test_a_restart_leaves_accounts_and_groups_as_people_changed_them(
    facade: Facade, seed: dict[str, Any]
) -> None:
    seeding.complete(facade, "acme", seed)
    seeding.plant(facade, "acme", seed, ROOT)
    user = facade.auth_store.users.by_username("acme", "developer")
    assert user is not None
    change_user(facade.auth_store, user, name="Renamed", patients=frozenset())
    facade.groups.change("acme", GroupDefinition("two-patients", "Renamed", "tenant"))
    users = facade.auth_store.users.list("acme")
    seeding.plant(facade, "acme", seed, ROOT)
    assert list(facade.auth_store.users.list("acme")) == list(users)
    group = facade.groups.get("acme", "two-patients", members=False)
    assert group is not None
    assert (group.name, group.rule) == ("Renamed", "tenant")


def test_the_demo_ehr_may_make_launches_and_nothing_else(
    facade: Facade, seed: dict[str, Any]
) -> None:
    seeding.complete(facade, "acme", seed)
    seeding.plant(facade, "acme", seed, ROOT)
    makers = [one for one in facade.auth_store.clients.list("acme") if one.may_launch]
    assert [one.client_id for one in makers] == ["acme-ehr"]
    assert makers[0].check_client_secret(seed["ehr"]["client_secret"])
    assert makers[0].grant_types == ()
    assert makers[0].scope == ""


def test_secrets_are_drawn_anew() -> None:
    for name in MORE:
        first, second = new_person(name), new_person(name)
        assert first["username"] == second["username"]
        for key in set(first) - {"username"}:
            assert first[key] != second[key]
