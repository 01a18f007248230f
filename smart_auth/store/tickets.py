"""A host EHR's word that a user is logged in there, good for one opening of one address."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import insert, select, update

from smart_auth.records import LoginTicket
from smart_auth.store import tables as t
from smart_auth.store.database import Database


class TicketStore:
    """Login tickets, found by the hash of their value."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, tenant: str, ticket_hash: str, ticket: LoginTicket) -> None:
        """Keep a new ticket."""
        with self._database.write() as connection:
            connection.execute(
                insert(t.login_ticket).values(
                    tenant=tenant, ticket_hash=ticket_hash, **asdict(ticket)
                )
            )

    def use(self, tenant: str, ticket_hash: str, now: int) -> LoginTicket | None:
        """The ticket, once, whichever worker asks first; None when it is unknown, used or late."""
        c = t.login_ticket.c
        with self._database.write() as connection:
            won = connection.execute(
                update(t.login_ticket)
                .where(
                    c.tenant == tenant,
                    c.ticket_hash == ticket_hash,
                    c.used_at.is_(None),
                    c.expires_at > now,
                )
                .values(used_at=now)
            )
            if won.rowcount != 1:
                return None
            row = connection.execute(
                select(c.user_id, c.made_by, c.wrapped, c.created_at, c.expires_at).where(
                    c.tenant == tenant, c.ticket_hash == ticket_hash
                )
            ).one()
        return LoginTicket(*row)
