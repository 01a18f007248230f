"""Everything the authorization server remembers, on SQLite or PostgreSQL."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError as StoreFailure

from smart_auth.store.clients import AlreadyExists, ClientStore, FetchedKeys
from smart_auth.store.database import Database
from smart_auth.store.factors import FactorStore
from smart_auth.store.federation import FederatedIdentity, FederationStore
from smart_auth.store.grants import GrantStore, family_member
from smart_auth.store.keys import KeyStore
from smart_auth.store.limits import LimitStore
from smart_auth.store.logins import LaunchStore, PendingStore, SessionStore
from smart_auth.store.oversight import OversightStore
from smart_auth.store.registration import RegistrationStore
from smart_auth.store.standing import Standing, StandingLookup
from smart_auth.store.tickets import TicketStore
from smart_auth.store.users import LastAdmin, UserStore

__all__ = [
    "AlreadyExists",
    "AuthStore",
    "FederatedIdentity",
    "FetchedKeys",
    "LastAdmin",
    "Standing",
    "StoreFailure",
    "family_member",
    "open_store",
]


class AuthStore:
    """The stores of one database, by what they hold. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clients = ClientStore(database)
        self.users = UserStore(database)
        self.factors = FactorStore(database)
        self.federation = FederationStore(database)
        self.sessions = SessionStore(database)
        self.launches = LaunchStore(database)
        self.pending = PendingStore(database)
        self.grants = GrantStore(database)
        self.keys = KeyStore(database)
        self.limits = LimitStore(database)
        self.registration = RegistrationStore(database)
        self.tickets = TicketStore(database)
        self.oversight = OversightStore(database)
        self.standing = StandingLookup(database)

    def close(self) -> None:
        """Close every connection."""
        self.standing.close()
        self.database.close()


def open_store(url: str) -> AuthStore:
    """Open the auth database at a SQLAlchemy URL (`sqlite:///…` or `postgresql://…`).

    The tables must be there: see `smart_auth.migrate`.
    """
    return AuthStore(Database(url))
