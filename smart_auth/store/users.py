"""People who can log in, and the patients they are assigned."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from smart_auth import clock
from smart_auth.records import User
from smart_auth.store import tables as t
from smart_auth.store.clients import AlreadyExists
from smart_auth.store.database import Database


class UserStore:
    """Every change raises the user's version in the same transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, tenant: str, user_id: str) -> User | None:
        """By id."""
        return self._one(tenant, t.user_account.c.user_id == user_id)

    def by_username(self, tenant: str, username: str) -> User | None:
        """By the name typed at login (exact)."""
        return self._one(tenant, t.user_account.c.username == username)

    def list(self, tenant: str) -> Sequence[User]:
        """All users of the tenant, by user name."""
        c = t.user_account.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(t.user_account).where(c.tenant == tenant).order_by(c.username)
            ).all()
            return [_user(row, _patients(connection, tenant, row.user_id)) for row in rows]

    def add(self, user: User) -> None:
        """Create; raises `AlreadyExists` when the user name is taken."""
        try:
            with self._database.write() as connection:
                connection.execute(
                    insert(t.user_account).values(**_values(user), created_at=clock.now())
                )
                _put_patients(connection, user)
        except IntegrityError:
            raise AlreadyExists("A user of this name is already there") from None

    def replace(self, user: User) -> bool:
        """Overwrite an existing user and its patients; False when there is none."""
        c = t.user_account.c
        values = {k: v for k, v in _values(user).items() if k != "version"}
        with self._database.write() as connection:
            changed = connection.execute(
                update(t.user_account)
                .where(c.tenant == user.tenant, c.user_id == user.user_id)
                .values(**values, version=c.version + 1)
            )
            if changed.rowcount == 0:
                return False
            connection.execute(
                delete(t.user_patient).where(
                    t.user_patient.c.tenant == user.tenant,
                    t.user_patient.c.user_id == user.user_id,
                )
            )
            _put_patients(connection, user)
        return True

    def _one(self, tenant: str, condition: ColumnElement[bool]) -> User | None:
        with self._database.read() as connection:
            row = connection.execute(
                select(t.user_account).where(t.user_account.c.tenant == tenant, condition)
            ).first()
            return None if row is None else _user(row, _patients(connection, tenant, row.user_id))


def _patients(connection: Connection, tenant: str, user_id: str) -> Iterable[str]:
    c = t.user_patient.c
    return connection.execute(
        select(c.patient_id).where(c.tenant == tenant, c.user_id == user_id)
    ).scalars()


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
