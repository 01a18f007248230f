"""The connection that `Database.read` gives, for rooms that hand it on without naming SQLAlchemy."""

from sqlalchemy import Connection

__all__ = ["Connection"]
