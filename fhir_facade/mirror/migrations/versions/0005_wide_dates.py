"""An index of dates wider than a day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_WIDE = sa.text("lo_us < hi_us - 93600000000")


def upgrade() -> None:
    op.create_index(
        "ix_index_date_wide",
        "index_date",
        [
            "tenant",
            "type",
            "param",
            "lo_us",
            "hi_us",
            "to_revision",
            "from_revision",
            "version_pk",
        ],
        sqlite_where=_WIDE,
        postgresql_where=_WIDE,
    )


def downgrade() -> None:
    op.drop_index("ix_index_date_wide", "index_date")
