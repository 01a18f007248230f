"""What the server signs with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class SigningKey:
    """A key pair of a tenant; the private part is wrapped."""

    kid: str
    alg: Literal["ES256", "RS256"]
    public_jwk: str
    private_wrapped: str = field(repr=False)
    created_at: int
    retired_at: int | None
    remove_at: int | None
