"""What a list asks for."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """Filters of a list; None means "any". At most one of ``status`` and ``date`` is given.

    ``providers`` and ``allowed`` (sites) come from the caller's grants, never from parameters.
    """

    status: str | None = None
    date: dt.date | None = None
    site: str | None = None
    providers: frozenset[str] | None = None
    allowed: frozenset[str] | None = None

    @property
    def narrow(self) -> bool:
        """Whether single records must be looked at."""
        return not (self.site is None and self.providers is None and self.allowed is None)
