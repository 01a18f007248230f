"""Deleting a user: what goes, what ends, and what is kept of the name."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from smart_auth.records import Ended, FormerUser, User
from smart_auth.store import tables as t
from smart_auth.store.grants import end_grants

_UNDER_WAY = (
    t.pending_authorization,
    t.launch,
    t.authorization_code,
    t.login_ticket,
)


def delete_user(connection: Connection, user: User, now: int) -> Ended | None:
    """Remove the user with factors, identities and assigned patients, end sessions and grants, and
    keep who it was; None when there is no such user. The apps of a developer stay, without one."""
    u, s, g, c = t.user_account.c, t.session.c, t.access_grant.c, t.client.c
    tenant, user_id = user.tenant, user.user_id
    row = connection.execute(
        delete(t.user_account)
        .where(u.tenant == tenant, u.user_id == user_id)
        .returning(u.user_id, u.username, u.name, u.role)
    ).first()
    if row is None:
        return None
    connection.execute(
        insert(t.former_user).values(tenant=tenant, deleted_at=now, **dict(row._mapping))
    )
    for table in _UNDER_WAY:
        connection.execute(
            delete(table).where(table.c.tenant == tenant, table.c.user_id == user_id)
        )
    connection.execute(
        update(t.client)
        .where(c.tenant == tenant, c.owner == user_id)
        .values(owner=None, version=c.version + 1)
    )
    sessions = connection.execute(
        update(t.session)
        .where(s.tenant == tenant, s.user_id == user_id, s.ended_at.is_(None), s.expires_at > now)
        .values(ended_at=now)
    ).rowcount
    of_user = (g.tenant == tenant, g.user_id == user_id)
    return Ended(sessions, end_grants(connection, of_user, "user deleted", now))


def former_user(connection: Connection, tenant: str, name: str) -> FormerUser | None:
    """By id or by user name."""
    f = t.former_user.c
    row = connection.execute(
        select(f.user_id, f.username, f.name, f.role, f.deleted_at).where(
            f.tenant == tenant, (f.user_id == name) | (f.username == name)
        )
    ).first()
    return None if row is None else FormerUser(*row)
