"""Who can log in at the demo: names and secrets, made once, and the accounts behind them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from fhir_facade.app import Facade
from smart_auth import admin, factors
from smart_auth.keyring import Keyring
from smart_auth.records import User

PLAIN = ("practitioner", "patient", "admin")
"""The people of the contract: they have no second factor."""
MORE = ("developer", "practitioner_totp", "patient_pin")
"""Further people, who show the rest."""
ROLES = {"practitioner_totp": "practitioner", "patient_pin": "patient"}


def new_person(name: str) -> dict[str, str]:
    """User name and secrets of one of them."""
    person = {"username": name.replace("_", "-"), "password": secrets.token_urlsafe(9)}
    if name == "practitioner_totp":
        person["totp_secret"] = factors.new_seed()
    if name == "patient_pin":
        person["pin"] = _new_pin()
    return person


def _new_pin() -> str:
    while True:
        pin = f"{secrets.randbelow(1_000_000):06}"
        try:
            factors.check_pin(pin)
        except ValueError:
            continue
        return pin


def plant_people(facade: Facade, tenant: str, seed: dict[str, Any]) -> None:
    """Make the accounts that are missing and were not deleted. Adds `user_id` to each person."""
    known = {user.username: user for user in admin.list_users(facade.auth_store, tenant)}
    for name, options in _wanted(seed).items():
        person = seed[name]
        user = known.get(person["username"])
        if user is None and facade.auth_store.users.former(tenant, person["username"]):
            continue
        if user is None:
            user = admin.create_user(
                facade.auth_store,
                tenant,
                person["username"],
                person["password"],
                role=ROLES.get(name, name),  # type: ignore[arg-type]
                **options,
            )
            _give_factor(facade, user, person)
        person["user_id"] = user.user_id


def _wanted(seed: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each account may see."""

    def own(patient: str) -> dict[str, Any]:
        return {"fhir_user": f"Patient/{patient}", "patients": [patient]}

    def staff(practitioner: str | None) -> dict[str, Any]:
        fhir_user = practitioner and f"Practitioner/{practitioner}"
        return {"fhir_user": fhir_user, "whole_tenant": True}

    return {
        "practitioner": staff(seed["practitioner_id"]),
        "patient": own(seed["patient_user_id"]),
        "admin": {},
        "developer": {
            "name": "Demo developer",
            "service": "provider",
            "patients": [seed["patient_id"], seed["other_patient_id"]],
        },
        "practitioner_totp": staff(seed["second_practitioner_id"]),
        "patient_pin": own(seed["patient_id"]),
    }


def _give_factor(facade: Facade, user: User, person: Mapping[str, str]) -> None:
    if seed := person.get("totp_secret"):
        ring = Keyring(facade.auth_settings.secret_keys)
        factors.set_totp(facade.auth_store, ring, user, seed)
    if pin := person.get("pin"):
        factors.set_pin(facade.auth_store, user, pin)
