"""The settings that the authorization server takes: who may register, how people log in, how long
tokens live and how often each endpoint may be asked.

They are part of `fhir_facade.settings.Settings`; a limit that is not set is that of the mode.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import NoDecode

Role = Literal["practitioner", "patient", "admin", "developer"]
PerMinute = Annotated[int | None, Field(default=None, ge=1)]


class AuthorizationSettings(BaseModel):
    """Fields of `Settings` that become `smart_auth.settings.AuthSettings`."""

    app_approval: Literal["automatic", "required"] | None = None
    """Whether an app of a developer waits for the provider; unset: required outside demo mode."""
    developer_sign_up: bool = True
    """Whether developers may make accounts of their own."""
    require_second_factor: Annotated[frozenset[Role], NoDecode] = frozenset()
    """Comma list of roles whose people need a PIN or a one-time code besides the password."""
    access_token_minutes: int = Field(60, ge=1, le=720)
    """How long an access token of a launch is good; that of a backend is good for 5 minutes."""
    refresh_token_days: int = Field(90, ge=1, le=3660)
    """How long an app with offline access may be silent before it needs its user again."""
    session_hours: int = Field(8, ge=1, le=168)
    """How long a login in a browser lasts, and online access with it."""
    logins_per_minute: PerMinute
    token_requests_per_minute: PerMinute
    authorizations_per_minute: PerMinute
    introspections_per_minute: PerMinute
    registrations_per_minute: PerMinute
    launches_per_minute: PerMinute
    sign_ups_per_minute: PerMinute
    """These seven: requests of one address."""
    portal_changes_per_minute: PerMinute
    """Changes of one developer in the portal."""

    @field_validator("require_second_factor", mode="before")
    @classmethod
    def _roles(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        roles = frozenset(role for part in value.split(",") if (role := part.strip()))
        if not roles <= frozenset(get_args(Role)):
            raise ValueError("must be a comma list of " + ", ".join(get_args(Role)))
        return roles

    def given_limits(self) -> dict[str, int]:
        """The limits that are set, by their names."""
        return {
            name: value
            for name in AuthorizationSettings.model_fields
            if name.endswith("_per_minute") and (value := getattr(self, name)) is not None
        }
