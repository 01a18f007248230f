"""The connection that `Database.read` gives, for rooms that may not name SQLAlchemy."""

from sqlalchemy import Connection

__all__ = ["Connection"]
