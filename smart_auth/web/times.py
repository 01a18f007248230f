"""Instants as the people of a tenant read them."""

from __future__ import annotations

from datetime import datetime

from smart_auth.ports import TenantInfo

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


def day(tenant: TenantInfo, seconds: int) -> str:
    """The tenant's local date of an instant (epoch seconds): `5 March 2026`."""
    local = datetime.fromtimestamp(seconds, tenant.zone)
    return f"{local.day} {_MONTHS[local.month - 1]} {local.year}"


def moment(tenant: TenantInfo, seconds: int) -> str:
    """The tenant's local time with its zone: `5 March 2026, 14:05 CET`."""
    local = datetime.fromtimestamp(seconds, tenant.zone)
    zone = local.tzname() or ""
    if not zone.isalpha():
        zone = f"UTC{local.isoformat()[-6:]}"
    return f"{day(tenant, seconds)}, {local:%H:%M} {zone}"
