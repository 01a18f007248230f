"""What the store gives back: frozen records, with the rules that need only their own fields."""

from smart_auth.records.clients import AuthMethod, Client, InitialAccessToken
from smart_auth.records.grants import ConsentRecord, Ended, Grant, GrantKind, RefreshToken
from smart_auth.records.keys import SigningKey
from smart_auth.records.launches import (
    AuthorizationCode,
    Launch,
    LaunchContext,
    PendingAuthorization,
)
from smart_auth.records.people import (
    FactorKind,
    FormerUser,
    LoginTicket,
    Role,
    SecondFactor,
    Service,
    Session,
    User,
)

__all__ = [
    "AuthMethod",
    "AuthorizationCode",
    "Client",
    "ConsentRecord",
    "Ended",
    "FactorKind",
    "FormerUser",
    "Grant",
    "GrantKind",
    "InitialAccessToken",
    "Launch",
    "LaunchContext",
    "LoginTicket",
    "PendingAuthorization",
    "RefreshToken",
    "Role",
    "SecondFactor",
    "Service",
    "Session",
    "SigningKey",
    "User",
]
