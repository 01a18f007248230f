"""What every table has in common."""

from __future__ import annotations

from sqlalchemy import Column, MetaData, String

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)


def tenant() -> Column[str]:
    """The first column of every key."""
    return Column("tenant", String(64), primary_key=True)
