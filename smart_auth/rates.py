"""How many requests one address may make of each endpoint in a minute, counted for all workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from smart_auth import clock
from smart_auth.core import Core
from smart_auth.ports import TenantInfo
from smart_auth.refusals import refusal
from smart_auth.settings import Limits
from smart_auth.store.limits import WINDOW

Endpoint = Literal["authorize", "token", "introspect", "revoke", "register", "launch"]

TOO_MANY = "Too many requests from this address"

_MOST: dict[Endpoint, Callable[[Limits], int]] = {
    "authorize": lambda limits: limits.authorizations_per_minute,
    "token": lambda limits: limits.token_requests_per_minute,
    "introspect": lambda limits: limits.introspections_per_minute,
    "revoke": lambda limits: limits.token_requests_per_minute,
    "register": lambda limits: limits.registrations_per_minute,
    "launch": lambda limits: limits.launches_per_minute,
}


def wait(
    core: Core,
    tenant: TenantInfo,
    endpoint: Endpoint,
    address: str,
    named: Callable[[], str | None] = lambda: None,
) -> int:
    """Count a request; seconds to wait when it is one too many, else 0.

    `named` gives the client_id in the request, if any: the first request too many of a minute goes
    into the trace of that client, the rest of them cost one counter each.
    """
    now = clock.now()
    most = _MOST[endpoint](core.settings.effective_limits)
    count = core.store.limits.count(tenant.slug, f"{endpoint}/{address}", now)
    if count <= most:
        return 0
    if count == most + 1:
        _trace(core, tenant, endpoint, named(), most)
    return WINDOW - now % WINDOW


def _trace(
    core: Core, tenant: TenantInfo, endpoint: Endpoint, named: str | None, most: int
) -> None:
    client = None if named is None else core.store.clients.get(tenant.slug, named)
    core.audit(
        tenant.slug,
        endpoint,
        "refused",
        client_id=None if client is None else client.client_id,
        reason=TOO_MANY,
        refusal=refusal(
            "temporarily_unavailable",
            TOO_MANY,
            "rate",
            expected=f"at most {most} requests a minute",
            received="more",
        ),
    )
