"""What apps were given, and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smart_auth.records.clients import Client
from smart_auth.records.launches import LaunchContext

GrantKind = Literal["launch", "backend"]


@dataclass(frozen=True)
class Grant:
    """What one consent or one backend request bought: the family of its tokens. `methods` is how
    its user logged in (see `Session`), '' when that is not known."""

    grant_id: str
    kind: GrantKind
    client_id: str
    user_id: str | None
    session_hash: str | None
    scope: str
    context: LaunchContext
    auth_time: int | None
    created_at: int
    expires_at: int
    last_used_at: int
    revoked_at: int | None = None
    revoked_why: str | None = None
    methods: str = ""


@dataclass(frozen=True)
class Ended:
    """What one act ended: how many sessions, and which grants."""

    sessions: int
    grants: tuple[Grant, ...]


@dataclass(frozen=True)
class RefreshToken:
    """A refresh token with its family; `parent_hash` is of the one it was exchanged for."""

    token_hash: str
    grant: Grant
    expires_at: int
    rotated_at: int | None
    parent_hash: str | None = None

    def check_client(self, client: Client) -> bool:
        """Whether the token was issued to this client."""
        return self.grant.client_id == client.client_id

    def get_scope(self) -> str:
        """The scope of the family."""
        return self.grant.scope


@dataclass(frozen=True)
class ConsentRecord:
    """One decision of a user about an app."""

    user_id: str
    client_id: str
    decision: Literal["granted", "denied"]
    asked_scope: str
    granted_scope: str
    patient_id: str | None
    decided_at: int
