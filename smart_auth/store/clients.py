"""Registered apps, their groups and their fetched key sets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from smart_auth import clock
from smart_auth.records import Client, Ended
from smart_auth.store import tables as t
from smart_auth.store.database import Database
from smart_auth.store.grants import end_grants


class AlreadyExists(ValueError):
    """A client, user or key of this name is already there."""


@dataclass(frozen=True)
class FetchedKeys:
    """A key set as last fetched from a client's JWKS URL; times in epoch seconds."""

    url: str
    body: str
    fetched_at: int
    fresh_until: int


class ClientStore:
    """Every change raises the client's version in the same transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, tenant: str, client_id: str) -> Client | None:
        """The client, or None. A text with NUL, which PostgreSQL does not take, is nobody's id."""
        if "\0" in client_id:
            return None
        with self._database.read() as connection:
            row = connection.execute(
                select(t.client).where(
                    t.client.c.tenant == tenant, t.client.c.client_id == client_id
                )
            ).first()
            return None if row is None else _client(connection, row)

    def list(self, tenant: str) -> Sequence[Client]:
        """All clients of the tenant, by id."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(t.client).where(t.client.c.tenant == tenant).order_by(t.client.c.client_id)
            ).all()
            return [_client(connection, row) for row in rows]

    def owned(self, tenant: str, owner: str) -> Sequence[Client]:
        """The apps of a developer, oldest first."""
        c = t.client.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(t.client)
                .where(c.tenant == tenant, c.owner == owner)
                .order_by(c.created_at, c.client_id)
            ).all()
            return [_client(connection, row) for row in rows]

    def add(self, client: Client) -> None:
        """Register; raises `AlreadyExists`."""
        try:
            with self._database.write() as connection:
                insert_client(connection, client)
        except IntegrityError:
            raise AlreadyExists(f"Client {client.client_id} is already registered") from None

    def replace(self, client: Client, *, as_of: int | None = None) -> bool:
        """Overwrite an existing client and its groups; False when there is none.

        With `as_of` only while the stored version is this one: False when it was changed since.
        """
        c = t.client.c
        values = {k: v for k, v in _values(client).items() if k not in ("version", "created_at")}
        statement = update(t.client).where(
            c.tenant == client.tenant, c.client_id == client.client_id
        )
        if as_of is not None:
            statement = statement.where(c.version == as_of)
        with self._database.write() as connection:
            changed = connection.execute(statement.values(**values, version=c.version + 1))
            if changed.rowcount == 0:
                return False
            for table in (t.client_group, t.client_patient):
                connection.execute(
                    delete(table).where(
                        table.c.tenant == client.tenant, table.c.client_id == client.client_id
                    )
                )
            _put_lists(connection, client)
        return True

    def pick_patients(
        self, client: Client, patients: frozenset[str] | None
    ) -> Literal["done", "changed", "not assigned"]:
        """Give a developer's app this list of patients (None: no list).

        Those new in it must be the owner's at this moment, however busy the provider is with them;
        `client` must be as it is stored.
        """
        new = (patients or frozenset()) - (client.patients or frozenset())
        c = t.client.c
        with self._database.write() as connection:
            if not new <= _assigned(connection, client.tenant, client.owner, new):
                return "not assigned"
            changed = connection.execute(
                update(t.client)
                .where(
                    c.tenant == client.tenant,
                    c.client_id == client.client_id,
                    c.version == client.version,
                )
                .values(patients_limited=patients is not None, version=c.version + 1)
            )
            if changed.rowcount == 0:
                return "changed"
            p = t.client_patient.c
            connection.execute(
                delete(t.client_patient).where(
                    p.tenant == client.tenant, p.client_id == client.client_id
                )
            )
            _put_patients(connection, replace(client, patients=patients))
        return "done"

    def delete(self, tenant: str, client_id: str) -> Ended | None:
        """Remove the client; its tokens stop at once, its grants end, and what was under way to one
        is gone, so that a later client of the same id inherits nothing. Its name stays for logs.
        None when there is no such client."""
        c, g = t.client.c, t.access_grant.c
        with self._database.write() as connection:
            for table in (t.pending_authorization, t.launch, t.authorization_code):
                connection.execute(
                    delete(table).where(table.c.tenant == tenant, table.c.client_id == client_id)
                )
            of_it = (g.tenant == tenant, g.client_id == client_id)
            ended = end_grants(connection, of_it, "app deleted", clock.now())
            name = connection.execute(
                delete(t.client)
                .where(c.tenant == tenant, c.client_id == client_id)
                .returning(c.name)
            ).scalar()
            if name is None:
                return None
            _keep_name(connection, tenant, client_id, name)
            return Ended(0, ended)

    def former_name(self, tenant: str, client_id: str) -> str | None:
        """What a deleted client was called."""
        f = t.former_client.c
        with self._database.read() as connection:
            return connection.execute(
                select(f.name).where(f.tenant == tenant, f.client_id == client_id)
            ).scalar()

    def fetched_keys(self, tenant: str, client_id: str) -> FetchedKeys | None:
        """The key set last fetched for the client."""
        c = t.client_jwks.c
        with self._database.read() as connection:
            row = connection.execute(
                select(c.url, c.body, c.fetched_at, c.fresh_until).where(
                    c.tenant == tenant, c.client_id == client_id
                )
            ).first()
        return None if row is None else FetchedKeys(*row)

    def keep_fetched_keys(self, tenant: str, client_id: str, keys: FetchedKeys) -> None:
        """Replace the fetched key set."""
        c = t.client_jwks.c
        with self._database.write() as connection:
            connection.execute(
                delete(t.client_jwks).where(c.tenant == tenant, c.client_id == client_id)
            )
            connection.execute(
                insert(t.client_jwks).values(tenant=tenant, client_id=client_id, **vars(keys))
            )


def insert_client(connection: Connection, client: Client) -> None:
    """Register, as part of a transaction. Raises SQLAlchemy's IntegrityError."""
    connection.execute(insert(t.client).values(_values(client)))
    _put_lists(connection, client)


def _keep_name(connection: Connection, tenant: str, client_id: str, name: str) -> None:
    """The name of the client deleted last under this id."""
    f, key = t.former_client.c, {"tenant": tenant, "client_id": client_id}
    connection.execute(delete(t.former_client).where(f.tenant == tenant, f.client_id == client_id))
    connection.execute(insert(t.former_client).values(**key, name=name, deleted_at=clock.now()))


def _put_lists(connection: Connection, client: Client) -> None:
    key = {"tenant": client.tenant, "client_id": client.client_id}
    if client.groups:
        rows = [key | {"group_id": group} for group in sorted(client.groups)]
        connection.execute(insert(t.client_group), rows)
    _put_patients(connection, client)


def _put_patients(connection: Connection, client: Client) -> None:
    if client.patients:
        key = {"tenant": client.tenant, "client_id": client.client_id}
        rows = [key | {"patient_id": patient} for patient in sorted(client.patients)]
        connection.execute(insert(t.client_patient), rows)


def _assigned(
    connection: Connection, tenant: str, user_id: str | None, wanted: frozenset[str]
) -> frozenset[str]:
    """Those of the patients that are the user's, who stays as they are until this transaction
    ends."""
    u, p = t.user_account.c, t.user_patient.c
    whole_tenant = connection.execute(
        select(u.whole_tenant).where(u.tenant == tenant, u.user_id == user_id).with_for_update()
    ).scalar()
    if whole_tenant:
        return wanted
    own = select(p.patient_id).where(p.tenant == tenant, p.user_id == user_id)
    return frozenset(connection.execute(own).scalars()) & wanted


def _values(client: Client) -> dict[str, Any]:
    values = {k: v for k, v in vars(client).items() if k not in ("groups", "patients")}
    values["redirect_uris"] = json.dumps(client.redirect_uris)
    values["grant_types"] = json.dumps(client.grant_types)
    values["details"] = json.dumps(client.details)
    values["patients_limited"] = client.patients is not None
    return values


def _client(connection: Connection, row: Row[Any]) -> Client:
    values = dict(row._mapping)
    limited = values.pop("patients_limited")
    values["redirect_uris"] = tuple(json.loads(row.redirect_uris))
    values["grant_types"] = tuple(json.loads(row.grant_types))
    values["details"] = json.loads(row.details)
    g, p = t.client_group.c, t.client_patient.c
    groups = select(g.group_id).where(g.tenant == row.tenant, g.client_id == row.client_id)
    patients = select(p.patient_id).where(p.tenant == row.tenant, p.client_id == row.client_id)
    return Client(
        groups=frozenset(connection.execute(groups).scalars()),
        patients=frozenset(connection.execute(patients).scalars()) if limited else None,
        **values,
    )
