"""Passwords, by argon2id at OWASP's smaller setting (19 MiB, two passes): about 25 ms a check."""

from __future__ import annotations

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_NOBODY = _HASHER.hash(secrets.token_hex())


def hash_password(password: str) -> str:
    """The encoded hash, with its own salt and parameters."""
    return _HASHER.hash(password)


def check_password(stored: str | None, password: str) -> bool:
    """Whether the password fits; takes the same time when there is no account (`stored` None),
    or it has no password (''), which none fits."""
    try:
        return _HASHER.verify(stored or _NOBODY, password) and bool(stored)
    except (VerificationError, InvalidHashError):
        return False
