"""Building the facade for a command, and closing it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fhir_facade.errors import NotFound

if TYPE_CHECKING:
    from fhir_facade.app import Facade


@contextmanager
def facade(*, check: bool = True) -> Iterator[Facade]:
    """All parts, wired from the environment. Raises SettingsError; with `check`, also when tables
    are not current.
    """
    from fhir_facade.app import build
    from fhir_facade.settings import load

    parts = build(load(), check=check)
    try:
        yield parts
    finally:
        parts.close()


def known_tenant(parts: Facade, tenant: str | None) -> str:
    """The tenant a command speaks of: the one named, or the only one there is."""
    names = list(parts.settings.tenants)
    if tenant is None and len(names) == 1:
        return names[0]
    if tenant is None:
        raise NotFound(f"Name a tenant with --tenant: one of {', '.join(names)}.")
    if tenant not in names:
        raise NotFound(f"There is no tenant of that name; there is {', '.join(names)}.")
    return tenant
