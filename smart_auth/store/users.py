"""People who can log in, and the patients they are assigned."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from smart_auth import clock
from smart_auth.records import Ended, FormerUser, User
from smart_auth.store import tables as t
from smart_auth.store.clients import AlreadyExists
from smart_auth.store.database import Database
from smart_auth.store.former import delete_user, former_user


class LastAdmin(ValueError):
    """Nobody would be left to administer the tenant."""


class UserStore:
    """Every change raises the user's version in the same transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, tenant: str, user_id: str) -> User | None:
        """By id."""
        return self._one(tenant, t.user_account.c.user_id == user_id)

    def by_username(self, tenant: str, username: str) -> User | None:
        """By the name typed at login (exact). Nobody's holds NUL, which PostgreSQL refuses."""
        if "\0" in username:
            return None
        return self._one(tenant, t.user_account.c.username == username)

    def by_fhir_user(self, tenant: str, reference: str) -> Sequence[User]:
        """Those who are this FHIR resource (`Practitioner/…`)."""
        c = t.user_account.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(t.user_account).where(c.tenant == tenant, c.fhir_user == reference)
            ).all()
            return [_user(row, _patients(connection, tenant, row.user_id)) for row in rows]

    def list(self, tenant: str) -> Sequence[User]:
        """All users of the tenant, by user name."""
        c = t.user_account.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(t.user_account).where(c.tenant == tenant).order_by(c.username)
            ).all()
            return [_user(row, _patients(connection, tenant, row.user_id)) for row in rows]

    def add(self, user: User) -> None:
        """Create; raises `AlreadyExists` when the user name is taken, or was a deleted user's."""
        try:
            with self._database.write() as connection:
                connection.execute(
                    insert(t.user_account).values(**_values(user), created_at=clock.now())
                )
                # Behind the insert, which waits for a deletion of the name that is under way.
                if former_user(connection, user.tenant, user.username):
                    raise AlreadyExists("The user name was another user's: choose another")
                _put_patients(connection, user)
        except IntegrityError:
            raise AlreadyExists("A user of this name is already there") from None

    def replace(
        self, user: User, *, as_of: int | None = None, spare_last_admin: bool = False
    ) -> bool:
        """Overwrite an existing user and its patients; False when there is none.

        With `as_of` only while the stored version is this one: False when it was changed since.
        With `spare_last_admin` it raises `LastAdmin` rather than leave no active administrator.
        Patients that are taken from a developer go from the developer's apps as well.
        """
        c = t.user_account.c
        this = (c.tenant == user.tenant) & (c.user_id == user.user_id)
        values = {k: v for k, v in _values(user).items() if k != "version"}
        with self._database.write() as connection:
            if spare_last_admin:
                _check_admins(connection, user)
            stored = connection.execute(
                select(c.version, c.whole_tenant).where(this).with_for_update()
            ).first()
            if stored is None or as_of not in (None, stored.version):
                return False
            _take_from_apps(connection, user, stored.whole_tenant)
            connection.execute(
                update(t.user_account).where(this).values(**values, version=c.version + 1)
            )
            connection.execute(
                delete(t.user_patient).where(
                    t.user_patient.c.tenant == user.tenant,
                    t.user_patient.c.user_id == user.user_id,
                )
            )
            _put_patients(connection, user)
        return True

    def delete(self, user: User) -> Ended | None:
        """Remove the user as it was read, and all that it opens; None when it is gone, or was
        changed since. Raises `LastAdmin` rather than leave no active administrator. Patients that
        a developer had go from the developer's apps as well."""
        c = t.user_account.c
        this = (c.tenant == user.tenant) & (c.user_id == user.user_id)
        nobody = replace(user, active=False, whole_tenant=False, patients=frozenset())
        with self._database.write() as connection:
            _check_admins(connection, nobody)
            stored = connection.execute(
                select(c.version, c.whole_tenant).where(this).with_for_update()
            ).first()
            if stored is None or stored.version != user.version:
                return None
            _take_from_apps(connection, nobody, stored.whole_tenant)
            return delete_user(connection, user, clock.now())

    def former(self, tenant: str, name: str) -> FormerUser | None:
        """Who a deleted user was, by id or user name."""
        if "\0" in name:
            return None
        with self._database.read() as connection:
            return former_user(connection, tenant, name)

    def _one(self, tenant: str, condition: ColumnElement[bool]) -> User | None:
        with self._database.read() as connection:
            row = connection.execute(
                select(t.user_account).where(t.user_account.c.tenant == tenant, condition)
            ).first()
            return None if row is None else _user(row, _patients(connection, tenant, row.user_id))


def _check_admins(connection: Connection, user: User) -> None:
    """Raise LastAdmin when this is to be the last one no more. All of them are locked, so that two
    cannot put each other out at once."""
    c = t.user_account.c
    admins = connection.execute(
        select(c.user_id)
        .where(c.tenant == user.tenant, c.role == "admin", c.active)
        .order_by(c.user_id)
        .with_for_update()
    ).scalars()
    stays = user.role == "admin" and user.active
    if not stays and set(admins) == {user.user_id}:
        raise LastAdmin("Nobody would be left to administer")


def _patients(connection: Connection, tenant: str, user_id: str) -> Iterable[str]:
    c = t.user_patient.c
    return connection.execute(
        select(c.patient_id).where(c.tenant == tenant, c.user_id == user_id)
    ).scalars()


def _take_from_apps(connection: Connection, user: User, had_whole_tenant: bool) -> None:
    """Strike from the lists of a developer's apps whom the developer is about to lose; what the
    provider gave to an app itself stays there."""
    if user.whole_tenant:
        return
    c, p = t.client.c, t.client_patient.c
    listed = connection.execute(
        select(p.client_id, p.patient_id)
        .join(t.client, (c.tenant == p.tenant) & (c.client_id == p.client_id))
        .where(c.tenant == user.tenant, c.owner == user.user_id)
    ).all()
    had = None if had_whole_tenant else frozenset(_patients(connection, user.tenant, user.user_id))
    taken = [
        {"of_tenant": user.tenant, "of_client": client_id, "taken": patient}
        for client_id, patient in listed
        if patient not in user.patients and (had is None or patient in had)
    ]
    if not taken:
        return
    connection.execute(
        delete(t.client_patient).where(
            p.tenant == bindparam("of_tenant"),
            p.client_id == bindparam("of_client"),
            p.patient_id == bindparam("taken"),
        ),
        taken,
    )
    connection.execute(
        update(t.client)
        .where(c.tenant == user.tenant, c.client_id.in_({one["of_client"] for one in taken}))
        .values(version=c.version + 1)
    )


def _put_patients(connection: Connection, user: User) -> None:
    if user.patients:
        connection.execute(
            insert(t.user_patient),
            [
                {"tenant": user.tenant, "user_id": user.user_id, "patient_id": patient}
                for patient in sorted(user.patients)
            ],
        )


def _values(user: User) -> dict[str, Any]:
    values = {name: value for name, value in vars(user).items() if name != "patients"}
    values["profile"] = json.dumps(user.profile)
    return values


def _user(row: Row[Any], patients: Iterable[str]) -> User:
    values = dict(row._mapping)
    del values["created_at"]
    values["profile"] = json.loads(row.profile)
    return User(patients=frozenset(patients), **values)
