"""Codes, grants and refresh tokens. Every state change is a compare-and-set in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from smart_auth import keyring
from smart_auth.records import AuthorizationCode, ConsentRecord, Grant, RefreshToken
from smart_auth.store import tables as t
from smart_auth.store.contexts import dump_context, load_context
from smart_auth.store.database import Database

Rotation = Literal["rotated", "sibling", "reused"]


class GrantStore:
    """Families of tokens and the codes that buy them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_code(
        self, tenant: str, code: AuthorizationCode, consent: ConsentRecord, launch_hash: str | None
    ) -> bool:
        """Keep a code with the consent behind it, and use up its launch, all or nothing.

        False, and nothing kept, when the launch has been used already.
        """
        with self._database.write() as connection:
            if launch_hash is not None and not _use_launch(
                connection, tenant, launch_hash, consent.decided_at
            ):
                return False
            values = vars(code) | {"context": dump_context(code.context)}
            connection.execute(insert(t.authorization_code).values(tenant=tenant, **values))
            _add_consent(connection, tenant, consent)
        return True

    def add_denial(self, tenant: str, consent: ConsentRecord) -> None:
        """Keep a refusal in the consent history."""
        with self._database.write() as connection:
            _add_consent(connection, tenant, consent)

    def code(self, tenant: str, code_hash: str) -> AuthorizationCode | None:
        """The code, used or not."""
        c = t.authorization_code.c
        with self._database.read() as connection:
            row = connection.execute(
                select(t.authorization_code).where(c.tenant == tenant, c.code_hash == code_hash)
            ).first()
        if row is None:
            return None
        values = dict(row._mapping) | {"context": load_context(row.context)}
        del values["tenant"]
        return AuthorizationCode(**values)

    def redeem(
        self, tenant: str, code_hash: str, grant: Grant, refresh: RefreshToken | None, now: int
    ) -> bool:
        """Turn a code into a grant; False, and nothing kept, when the code was used before, or has
        expired."""
        c = t.authorization_code.c
        with self._database.write() as connection:
            won = connection.execute(
                update(t.authorization_code)
                .where(
                    c.tenant == tenant,
                    c.code_hash == code_hash,
                    c.used_at.is_(None),
                    c.expires_at > now,
                )
                .values(used_at=now, grant_id=grant.grant_id)
            )
            if won.rowcount != 1:
                return False
            _add_grant(connection, tenant, grant)
            if refresh is not None:
                _add_refresh(connection, tenant, refresh, now)
        return True

    def add(self, tenant: str, grant: Grant) -> None:
        """Keep a grant that needed no code (backend services)."""
        with self._database.write() as connection:
            _add_grant(connection, tenant, grant)

    def get(self, tenant: str, grant_id: str) -> Grant | None:
        """The grant, revoked or not."""
        c = t.access_grant.c
        with self._database.read() as connection:
            row = connection.execute(
                select(t.access_grant).where(c.tenant == tenant, c.grant_id == grant_id)
            ).first()
        return None if row is None else grant_of(row)

    def refresh_token(self, tenant: str, token_hash: str) -> RefreshToken | None:
        """The refresh token with its family, rotated or not."""
        c, g = t.refresh_token.c, t.access_grant.c
        with self._database.read() as connection:
            row = connection.execute(
                select(
                    c.token_hash,
                    c.expires_at.label("token_expires_at"),
                    c.rotated_at,
                    c.parent_hash,
                    t.access_grant,
                )
                .join_from(
                    t.refresh_token,
                    t.access_grant,
                    (g.tenant == c.tenant) & (g.grant_id == c.grant_id),
                )
                .where(c.tenant == tenant, c.token_hash == token_hash)
            ).first()
        if row is None:
            return None
        return RefreshToken(
            row.token_hash, grant_of(row), row.token_expires_at, row.rotated_at, row.parent_hash
        )

    def rotate(
        self, tenant: str, old: RefreshToken, new: RefreshToken, now: int, grace: int
    ) -> Rotation:
        """Exchange a refresh token for a new one of the same family.

        "sibling": the old one was rotated less than `grace` seconds ago, and what it gave was never
        used: an answer may have been lost, and another token is given. "reused": it was rotated
        longer ago, or its own token or a sibling of it has been used since. Then two hold tokens of
        the family: nothing is given and the family is revoked (RFC 9700 section 4.14.2).
        """
        g = t.access_grant.c
        with self._database.write() as connection:
            # The family's row first: it serialises rotations and revocation of one family.
            standing = connection.execute(
                update(t.access_grant)
                .where(g.tenant == tenant, g.grant_id == old.grant.grant_id, g.revoked_at.is_(None))
                .values(last_used_at=now, expires_at=new.expires_at)
            ).rowcount
            if standing != 1:
                return "reused"
            first = _mark_rotated(connection, tenant, old.token_hash, now)
            again = not first and not _within_grace(connection, tenant, old.token_hash, now - grace)
            if again or _two_hold_it(connection, tenant, old):
                _revoke(connection, tenant, old.grant.grant_id, "refresh token reused", now)
                return "reused"
            _add_refresh(connection, tenant, replace(new, parent_hash=old.token_hash), now)
        return "rotated" if first else "sibling"

    def revoke(self, tenant: str, grant_id: str, why: str, now: int) -> bool:
        """End a grant; every token of it stops at once. False when it had ended."""
        with self._database.write() as connection:
            return _revoke(connection, tenant, grant_id, why, now)

    def live(
        self, tenant: str, now: int, *, user_id: str | None = None, client_id: str | None = None
    ) -> Sequence[Grant]:
        """Grants in force, newest first, of a user or of a client."""
        c = t.access_grant.c
        query = select(t.access_grant).where(
            c.tenant == tenant, c.revoked_at.is_(None), c.expires_at > now
        )
        if user_id is not None:
            query = query.where(c.user_id == user_id)
        if client_id is not None:
            query = query.where(c.client_id == client_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(c.created_at.desc(), c.grant_id)).all()
        return [grant_of(row) for row in rows]

    def consents(self, tenant: str, user_id: str) -> Sequence[ConsentRecord]:
        """What the user decided, newest first."""
        c = t.consent.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(
                    c.user_id, c.client_id, c.decision, c.asked_scope, c.granted_scope,
                    c.patient_id, c.decided_at,
                )
                .where(c.tenant == tenant, c.user_id == user_id)
                .order_by(c.decided_at.desc(), c.consent_id)
            ).all()  # fmt: skip
        return [ConsentRecord(*row) for row in rows]


def _use_launch(connection: Connection, tenant: str, launch_hash: str, now: int) -> bool:
    c = t.launch.c
    used = connection.execute(
        update(t.launch)
        .where(c.tenant == tenant, c.launch_hash == launch_hash, c.used_at.is_(None))
        .values(used_at=now)
    )
    return used.rowcount == 1


def _add_consent(connection: Connection, tenant: str, consent: ConsentRecord) -> None:
    connection.execute(
        insert(t.consent).values(
            tenant=tenant, consent_id=keyring.random_token(22), **vars(consent)
        )
    )


def _add_grant(connection: Connection, tenant: str, grant: Grant) -> None:
    values = vars(grant) | {"context": dump_context(grant.context)}
    connection.execute(insert(t.access_grant).values(tenant=tenant, **values))


def _add_refresh(connection: Connection, tenant: str, token: RefreshToken, now: int) -> None:
    connection.execute(
        insert(t.refresh_token).values(
            tenant=tenant,
            token_hash=token.token_hash,
            grant_id=token.grant.grant_id,
            created_at=now,
            expires_at=token.expires_at,
            parent_hash=token.parent_hash,
        )
    )


def _mark_rotated(connection: Connection, tenant: str, token_hash: str, now: int) -> bool:
    """False when it was before."""
    c = t.refresh_token.c
    marked = connection.execute(
        update(t.refresh_token)
        .where(c.tenant == tenant, c.token_hash == token_hash, c.rotated_at.is_(None))
        .values(rotated_at=now)
    )
    return marked.rowcount == 1


def _two_hold_it(connection: Connection, tenant: str, old: RefreshToken) -> bool:
    """Whether a token that came of this one, or a sibling of it, has been used: its holder got an
    answer, and is not the one who asks now."""
    c = t.refresh_token.c
    parents = [one for one in (old.token_hash, old.parent_hash) if one is not None]
    used = select(c.token_hash).where(
        c.tenant == tenant,
        c.parent_hash.in_(parents),
        c.token_hash != old.token_hash,
        c.rotated_at.is_not(None),
    )
    return connection.execute(used.limit(1)).first() is not None


def _within_grace(connection: Connection, tenant: str, token_hash: str, since: int) -> bool:
    c = t.refresh_token.c
    rotated_at = connection.execute(
        select(c.rotated_at).where(c.tenant == tenant, c.token_hash == token_hash)
    ).scalar_one()
    return rotated_at is not None and rotated_at >= since


def end_grants(
    connection: Connection, which: Sequence[ColumnElement[bool]], why: str, now: int
) -> tuple[Grant, ...]:
    """End the grants in force that meet all conditions, as part of a transaction; which they
    were."""
    c = t.access_grant.c
    ended = connection.execute(
        update(t.access_grant)
        .where(*which, c.revoked_at.is_(None), c.expires_at > now)
        .values(revoked_at=now, revoked_why=why)
        .returning(t.access_grant)
    )
    return tuple(grant_of(row) for row in ended)


def _revoke(connection: Connection, tenant: str, grant_id: str, why: str, now: int) -> bool:
    c = t.access_grant.c
    ended = connection.execute(
        update(t.access_grant)
        .where(c.tenant == tenant, c.grant_id == grant_id, c.revoked_at.is_(None))
        .values(revoked_at=now, revoked_why=why)
    )
    return ended.rowcount == 1


def grant_of(row: Row[Any]) -> Grant:
    """The grant a row of the table is."""
    values = {name: row._mapping[name] for name in Grant.__dataclass_fields__ if name != "context"}
    return Grant(context=load_context(row.context), **values)


def family_member(grant: Grant, token: str, expires_at: int) -> RefreshToken:
    """A new refresh token of a grant, as it is stored."""
    return RefreshToken(
        keyring.hash_token(token), replace(grant, expires_at=expires_at), expires_at, None
    )
