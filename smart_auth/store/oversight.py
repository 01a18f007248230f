"""What an administrator looks through: people, grants and sessions of a tenant, page by page."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, func, select, tuple_, update

from smart_auth.records import Grant, Role, Service, Session
from smart_auth.store import tables as t
from smart_auth.store.database import Database
from smart_auth.store.grants import end_grants, grant_of

_u, _s, _g = t.user_account.c, t.session.c, t.access_grant.c


@dataclass(frozen=True)
class UserLine:
    """A user in a list; `patients` is how many are assigned."""

    user_id: str
    username: str
    name: str
    role: Role
    service: Service | None
    active: bool
    whole_tenant: bool
    patients: int


@dataclass(frozen=True)
class Counts:
    """How many there are now, of those that are in force."""

    users: int
    apps: int
    sessions: int
    grants: int


class OversightStore:
    """Reads, and ends many grants at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self, tenant: str, now: int) -> Counts:
        """Active users and apps, live sessions and grants."""
        c = t.client.c
        with self._database.read() as connection:
            return Counts(
                users=_count(connection, t.user_account, _u.tenant == tenant, _u.active),
                apps=_count(connection, t.client, c.tenant == tenant, c.active),
                sessions=_count(connection, t.session, *_live_session(tenant, now)),
                grants=_count(connection, t.access_grant, *_live_grant(tenant, now)),
            )

    def users(
        self, tenant: str, *, text: str = "", role: str = "", after: str = "", limit: int
    ) -> Sequence[UserLine]:
        """Users by user name, behind `after` (a user name); `text` is part of the user name or of
        the person's name."""
        where: list[ColumnElement[bool]] = [_u.tenant == tenant, _u.username > after]
        if role:
            where.append(_u.role == role)
        for word in text.split():
            named = func.lower(_u.name).contains(word.lower(), autoescape=True)
            where.append(func.lower(_u.username).contains(word.lower(), autoescape=True) | named)
        return self._lines(tenant, where, limit)

    def developers_without_patients(self, tenant: str, limit: int) -> Sequence[UserLine]:
        """Active developers whom nobody assigned a patient yet, by user name."""
        p = t.user_patient.c
        none = ~select(p.patient_id).where(p.tenant == tenant, p.user_id == _u.user_id).exists()
        where = [_u.tenant == tenant, _u.role == "developer", _u.active, ~_u.whole_tenant, none]
        return self._lines(tenant, where, limit)

    def names(self, tenant: str, user_ids: Collection[str | None]) -> dict[str, str]:
        """User names by id, of deleted users too; unknown ids are left out."""
        wanted, f = {one for one in user_ids if one}, t.former_user.c
        now = select(_u.user_id, _u.username).where(_u.tenant == tenant, _u.user_id.in_(wanted))
        before = select(f.user_id, f.username).where(f.tenant == tenant, f.user_id.in_(wanted))
        with self._database.read() as connection:
            there = {user_id: username for user_id, username in connection.execute(now)}
            gone = {user_id: f"{name} (deleted)" for user_id, name in connection.execute(before)}
        return gone | there

    def last_used(self, tenant: str) -> dict[str, int]:
        """When each app last got a token, by its id; apps without grants are left out."""
        query = (
            select(_g.client_id, func.max(_g.last_used_at))
            .where(_g.tenant == tenant)
            .group_by(_g.client_id)
        )
        with self._database.read() as connection:
            return {client_id: at for client_id, at in connection.execute(query)}

    def grants(
        self,
        tenant: str,
        now: int,
        *,
        user_id: str | None = None,
        client_id: str | None = None,
        patient: str | None = None,
        after: tuple[int, str] | None = None,
        limit: int,
    ) -> Sequence[Grant]:
        """Grants in force, newest first, behind `after` (`created_at`, `grant_id`); of a user, an
        app or the patient of their launch."""
        where = list(_live_grant(tenant, now))
        if user_id is not None:
            where.append(_g.user_id == user_id)
        if client_id is not None:
            where.append(_g.client_id == client_id)
        if patient is not None:
            # As `contexts.dump_context` writes it; ids hold nothing that JSON escapes.
            where.append(_g.context.contains(f'"patient":"{patient}"', autoescape=True))
        if after is not None:
            where.append(tuple_(_g.created_at, _g.grant_id) < after)
        query = (
            select(t.access_grant)
            .where(*where)
            .order_by(_g.created_at.desc(), _g.grant_id.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            return [grant_of(row) for row in connection.execute(query)]

    def end_grants(
        self,
        tenant: str,
        now: int,
        why: str,
        *,
        user_id: str | None = None,
        client_id: str | None = None,
    ) -> Sequence[Grant]:
        """End all grants of a user, of an app, or of a user with an app; which they were. Codes
        that were not redeemed yet buy none any more.

        Raises ValueError when neither is named.
        """
        if user_id is None and client_id is None:
            raise ValueError("Grants of whom?")
        c = t.authorization_code.c
        where = [_g.tenant == tenant]
        codes = [c.tenant == tenant, c.used_at.is_(None), c.expires_at > now]
        if user_id is not None:
            where.append(_g.user_id == user_id)
            codes.append(c.user_id == user_id)
        if client_id is not None:
            where.append(_g.client_id == client_id)
            codes.append(c.client_id == client_id)
        with self._database.write() as connection:
            connection.execute(update(t.authorization_code).where(*codes).values(expires_at=now))
            return end_grants(connection, where, why, now)

    def sessions(
        self,
        tenant: str,
        now: int,
        *,
        user_id: str | None = None,
        after: tuple[int, str] | None = None,
        limit: int,
    ) -> Sequence[Session]:
        """Live sessions, newest first, behind `after` (`auth_time`, `session_hash`)."""
        where = list(_live_session(tenant, now))
        if user_id is not None:
            where.append(_s.user_id == user_id)
        if after is not None:
            where.append(tuple_(_s.auth_time, _s.session_hash) < after)
        columns = (
            _s.session_hash, _s.user_id, _s.origin, _s.auth_time, _s.expires_at, _s.methods,
        )  # fmt: skip
        query = (
            select(*columns)
            .where(*where)
            .order_by(_s.auth_time.desc(), _s.session_hash.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            return [Session(*row) for row in connection.execute(query)]

    def _lines(
        self, tenant: str, where: Iterable[ColumnElement[bool]], limit: int
    ) -> Sequence[UserLine]:
        p = t.user_patient.c
        assigned = (
            select(func.count())
            .where(p.tenant == tenant, p.user_id == _u.user_id)
            .scalar_subquery()
        )
        query = (
            select(
                _u.user_id, _u.username, _u.name, _u.role, _u.service, _u.active,
                _u.whole_tenant, assigned,
            )
            .where(*where)
            .order_by(_u.username)
            .limit(limit)
        )  # fmt: skip
        with self._database.read() as connection:
            return [UserLine(*row) for row in connection.execute(query)]


def _live_session(tenant: str, now: int) -> tuple[ColumnElement[bool], ...]:
    return (_s.tenant == tenant, _s.ended_at.is_(None), _s.expires_at > now)


def _live_grant(tenant: str, now: int) -> tuple[ColumnElement[bool], ...]:
    return (_g.tenant == tenant, _g.revoked_at.is_(None), _g.expires_at > now)


def _count(connection: Connection, table: Table, *where: ColumnElement[bool]) -> int:
    return connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()
