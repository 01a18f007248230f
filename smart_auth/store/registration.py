"""Initial access tokens, and the apps that register with them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.exc import IntegrityError

from smart_auth.records import Client, InitialAccessToken
from smart_auth.store import tables as t
from smart_auth.store.clients import AlreadyExists, insert_client
from smart_auth.store.database import Database


class RegistrationStore:
    """Dynamic registration. Tokens are found by the hash of their value."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_token(self, tenant: str, token_hash: str, token: InitialAccessToken) -> None:
        """Keep a new token."""
        with self._database.write() as connection:
            connection.execute(
                insert(t.initial_access_token).values(
                    tenant=tenant, token_hash=token_hash, **vars(token)
                )
            )

    def tokens(self, tenant: str) -> Sequence[InitialAccessToken]:
        """All that are kept, newest first: used up, revoked and lately expired ones too."""
        c = t.initial_access_token.c
        columns = (c[name] for name in InitialAccessToken.__dataclass_fields__)
        with self._database.read() as connection:
            rows = connection.execute(
                select(*columns).where(c.tenant == tenant).order_by(c.created_at.desc(), c.token_id)
            ).all()
        return [InitialAccessToken(*row) for row in rows]

    def token_is_good(self, tenant: str, token_hash: str, now: int) -> bool:
        """Whether a registration with this token would be let in."""
        c = t.initial_access_token.c
        with self._database.read() as connection:
            row = connection.execute(
                select(c.token_id).where(*_good(tenant, token_hash, now))
            ).first()
        return row is not None

    def revoke_token(self, tenant: str, token_id: str, now: int) -> bool:
        """End a token; False when it is unknown or had ended."""
        c = t.initial_access_token.c
        with self._database.write() as connection:
            ended = connection.execute(
                update(t.initial_access_token)
                .where(c.tenant == tenant, c.token_id == token_id, c.revoked_at.is_(None))
                .values(revoked_at=now)
            )
            return ended.rowcount == 1

    def register(self, client: Client, token_hash: str | None, now: int) -> bool:
        """Keep a new app and count its token down, all or nothing.

        `token_hash` None: registration is open. False when the token is not good any more; raises
        `AlreadyExists`.
        """
        c = t.initial_access_token.c
        try:
            with self._database.write() as connection:
                if token_hash is not None:
                    used = connection.execute(
                        update(t.initial_access_token)
                        .where(*_good(client.tenant, token_hash, now))
                        .values(uses_left=c.uses_left - 1)
                    )
                    if used.rowcount != 1:
                        return False
                insert_client(connection, client)
        except IntegrityError:
            raise AlreadyExists(f"Client {client.client_id} is already registered") from None
        return True


def _good(tenant: str, token_hash: str, now: int) -> tuple[ColumnElement[bool], ...]:
    c = t.initial_access_token.c
    return (
        c.tenant == tenant,
        c.token_hash == token_hash,
        c.revoked_at.is_(None),
        c.expires_at > now,
        c.uses_left.is_(None) | (c.uses_left > 0),
    )
