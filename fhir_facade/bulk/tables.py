"""The tables of the export engine, beside the mirror's in the same database. Migration 0002 builds
exactly these.

The truth about an export is here and nowhere else; an engine only says which part to look at. Every
change of state is a compare-and-set on (state, attempt).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

metadata = MetaData()

export_job = Table(
    "export_job",
    metadata,
    Column("id", String, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("client_id", String, nullable=False),
    Column("level", String, nullable=False),
    Column("group_id", String, nullable=False),
    Column("request_url", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("since_revision", BigInteger),
    Column("transaction_us", BigInteger, nullable=False),
    Column("types", Text, nullable=False),
    Column("left_out", Text, nullable=False),
    Column("reach", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("served_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger),
    Column("expires_us", BigInteger),
    Column("failure", Text),
    Column("cleaned", Boolean, nullable=False),
    Index("ix_export_job_state", "state"),
    Index("ix_export_job_client", "tenant", "client_id", "state"),
)
"""`types`, `left_out` and `reach` are JSON. `served_us` is when a part of it was last claimed: the
fair order. `cleaned` is set when the files of a job that ended without them are gone."""

export_part = Table(
    "export_part",
    metadata,
    Column("job_id", String, nullable=False),
    Column("n", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("type", String, nullable=False),
    Column("id_from", String),
    Column("id_to", String),
    Column("planned_rows", BigInteger, nullable=False),
    Column("state", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("lease_until_us", BigInteger, nullable=False),
    Column("done_rows", BigInteger, nullable=False),
    Column("key", String),
    Column("lines", BigInteger),
    Column("size", BigInteger),
    Column("sha256", String),
    Column("number", Integer),
    Column("error", Text),
    PrimaryKeyConstraint("job_id", "n"),
    Index("ix_export_part_number", "job_id", "number"),
)
"""A part may be claimed when it is not done and `lease_until_us` has passed: that is the lease of a
running part and the pause of one that failed. `number` is set when the job completes, for parts
that wrote anything.
"""
