"""What the server keeps of itself: keys and counters."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

from smart_auth.store.tables.base import metadata, tenant

signing_key = Table(
    "signing_key",
    metadata,
    tenant(),
    Column("kid", String(64), primary_key=True),
    Column("alg", String(16), nullable=False),
    Column("public_jwk", Text, nullable=False),
    Column("private_wrapped", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("retired_at", BigInteger),
    Column("remove_at", BigInteger),
)
"""A retired key signs nothing more and stays in the JWKS until `remove_at`."""

attempt = Table(
    "attempt",
    metadata,
    tenant(),
    Column("bucket", String(255), primary_key=True),
    Column("minute", BigInteger, primary_key=True),
    Column("attempts", Integer, nullable=False),
)

login_failure = Table(
    "login_failure",
    metadata,
    tenant(),
    Column("subject", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("blocked_until", BigInteger, nullable=False),
)
"""`subject` is a hash of user name and address, so that the table holds neither."""
