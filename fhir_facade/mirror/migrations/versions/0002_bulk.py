"""The tables of the export engine."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "export_job",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("client_id", sa.String(), nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("group_id", sa.String(), nullable=False),
        sa.Column("request_url", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("since_revision", sa.BigInteger()),
        sa.Column("transaction_us", sa.BigInteger(), nullable=False),
        sa.Column("types", sa.Text(), nullable=False),
        sa.Column("left_out", sa.Text(), nullable=False),
        sa.Column("reach", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("served_us", sa.BigInteger(), nullable=False),
        sa.Column("finished_us", sa.BigInteger()),
        sa.Column("expires_us", sa.BigInteger()),
        sa.Column("failure", sa.Text()),
        sa.Column("cleaned", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_export_job_state", "export_job", ["state"])
    op.create_index("ix_export_job_client", "export_job", ["tenant", "client_id", "state"])
    op.create_table(
        "export_part",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("id_from", sa.String()),
        sa.Column("id_to", sa.String()),
        sa.Column("planned_rows", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("lease_until_us", sa.BigInteger(), nullable=False),
        sa.Column("done_rows", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String()),
        sa.Column("lines", sa.BigInteger()),
        sa.Column("size", sa.BigInteger()),
        sa.Column("sha256", sa.String()),
        sa.Column("number", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("job_id", "n"),
    )
    op.create_index("ix_export_part_number", "export_part", ["job_id", "number"])


def downgrade() -> None:
    op.drop_table("export_part")
    op.drop_table("export_job")
