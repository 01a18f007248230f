"""Logins at external providers: those under way, and whose account an identity opens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from smart_auth.store import tables as t
from smart_auth.store.clients import AlreadyExists
from smart_auth.store.database import Database


@dataclass(frozen=True)
class FederatedIdentity:
    """An account at an external provider (issuer and subject) that opens a user's account here;
    `linked_at` in epoch seconds."""

    issuer: str
    subject: str
    user_id: str
    linked_at: int


class FederationStore:
    """Logins under way, and identities, of all tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self,
        tenant: str,
        state_hash: str,
        *,
        provider: str,
        browser_hash: str,
        wrapped: str,
        now: int,
        expires_at: int,
    ) -> None:
        """Keep a login that goes to a provider; `wrapped` is already encrypted."""
        with self._database.write() as connection:
            connection.execute(
                insert(t.federated_login).values(
                    tenant=tenant,
                    state_hash=state_hash,
                    provider=provider,
                    browser_hash=browser_hash,
                    wrapped=wrapped,
                    created_at=now,
                    expires_at=expires_at,
                )
            )

    def redeem(
        self, tenant: str, state_hash: str, *, provider: str, browser_hash: str, now: int
    ) -> str | None:
        """What was wrapped, once; None when it was used, has expired, or belongs to another
        provider or browser (and then it stays good there)."""
        c = t.federated_login.c
        with self._database.write() as connection:
            found: str | None = connection.execute(
                update(t.federated_login)
                .where(
                    c.tenant == tenant,
                    c.state_hash == state_hash,
                    c.provider == provider,
                    c.browser_hash == browser_hash,
                    c.used_at.is_(None),
                    c.expires_at > now,
                )
                .values(used_at=now)
                .returning(c.wrapped)
            ).scalar()
            return found

    def user_of(self, tenant: str, issuer: str, subject: str) -> str | None:
        """The user id an identity is linked to."""
        c = t.federated_identity.c
        with self._database.read() as connection:
            found: str | None = connection.execute(
                select(c.user_id).where(
                    c.tenant == tenant, c.issuer == issuer, c.subject == subject
                )
            ).scalar()
            return found

    def identities(self, tenant: str, user_id: str | None = None) -> Sequence[FederatedIdentity]:
        """All links of a tenant, or those of one user, by issuer and subject."""
        c = t.federated_identity.c
        query = select(c.issuer, c.subject, c.user_id, c.linked_at).where(c.tenant == tenant)
        if user_id is not None:
            query = query.where(c.user_id == user_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(c.issuer, c.subject)).all()
        return [FederatedIdentity(*row) for row in rows]

    def link(self, tenant: str, identity: FederatedIdentity) -> None:
        """Link an identity. Raises `AlreadyExists` when it is linked already, to whomever, and
        LookupError for an unknown user."""
        user = t.user_account.c
        with self._database.write() as connection:
            known = connection.execute(
                select(user.user_id)
                .where(user.tenant == tenant, user.user_id == identity.user_id)
                .with_for_update()
            ).first()
            if known is None:
                raise LookupError("No such user")
            try:
                connection.execute(
                    insert(t.federated_identity).values(tenant=tenant, **vars(identity))
                )
            except IntegrityError:
                raise AlreadyExists("This identity is linked already") from None

    def link_first(self, tenant: str, identity: FederatedIdentity) -> bool:
        """Link an identity to a user who has none of this issuer; False when the user has one, or
        the identity is linked: of two first logins one wins, whichever workers see them."""
        c, user = t.federated_identity.c, t.user_account.c
        try:
            with self._database.write() as connection:
                # The user's row is the lock: PostgreSQL would let both look before either writes.
                connection.execute(
                    select(user.user_id)
                    .where(user.tenant == tenant, user.user_id == identity.user_id)
                    .with_for_update()
                )
                has_one = connection.execute(
                    select(c.subject).where(
                        c.tenant == tenant,
                        c.issuer == identity.issuer,
                        c.user_id == identity.user_id,
                    )
                ).first()
                if has_one is not None:
                    return False
                connection.execute(
                    insert(t.federated_identity).values(tenant=tenant, **vars(identity))
                )
        except IntegrityError:
            return False
        return True

    def unlink(self, tenant: str, issuer: str, subject: str) -> bool:
        """Forget a link; False when there was none."""
        c = t.federated_identity.c
        with self._database.write() as connection:
            removed = connection.execute(
                delete(t.federated_identity).where(
                    c.tenant == tenant, c.issuer == issuer, c.subject == subject
                )
            )
            return removed.rowcount == 1
