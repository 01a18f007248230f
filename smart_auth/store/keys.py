"""Signing keys at rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from smart_auth.records import SigningKey
from smart_auth.store import tables as t
from smart_auth.store.database import Database


class KeyStore:
    """The key pairs of each tenant; retired ones stay until they are removed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, tenant: str, now: int) -> Sequence[SigningKey]:
        """Keys whose signatures still count, newest first."""
        c = t.signing_key.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(t.signing_key)
                .where(c.tenant == tenant, (c.remove_at.is_(None)) | (c.remove_at > now))
                .order_by(c.created_at.desc(), c.kid)
            ).all()
        return [_key(row) for row in rows]

    def add_if_none(self, tenant: str, keys: Sequence[SigningKey]) -> bool:
        """Keep the first keys of a tenant; False when another process was first."""
        c = t.signing_key.c
        with self._database.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(tenant))))
            if connection.execute(select(c.kid).where(c.tenant == tenant).limit(1)).first():
                return False
            _add(connection, tenant, keys)
        return True

    def rotate(self, tenant: str, keys: Sequence[SigningKey], now: int, remove_at: int) -> None:
        """Make these the signing keys; the older ones verify until `remove_at`."""
        c = t.signing_key.c
        with self._database.write() as connection:
            connection.execute(
                update(t.signing_key)
                .where(c.tenant == tenant, c.retired_at.is_(None))
                .values(retired_at=now, remove_at=remove_at)
            )
            connection.execute(delete(t.signing_key).where(c.tenant == tenant, c.remove_at < now))
            _add(connection, tenant, keys)


def _add(connection: Connection, tenant: str, keys: Sequence[SigningKey]) -> None:
    connection.execute(insert(t.signing_key), [{"tenant": tenant, **vars(key)} for key in keys])


def _key(row: Row[Any]) -> SigningKey:
    values = dict(row._mapping)
    del values["tenant"]
    return SigningKey(**values)
