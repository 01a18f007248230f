"""What has to happen though nobody asks for it: memberships that begin or end with the time, and
dropping what is older than each tenant keeps."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING

from fhir_facade import clock, telemetry
from fhir_facade.bulk.store import JobStore
from fhir_facade.mirror.leases import LeaseStore
from fhir_facade.mirror.retention import drop_old

if TYPE_CHECKING:
    from fhir_facade.app import Facade

EVERY_SECONDS = 900.0
"""The lease on dropping is held this long, so all processes together do it once in that time."""
GROUPS_SECONDS = 15.0
"""How often each process looks whether a member's period began or ended."""
DAY_US = 86_400_000_000


def drop_all_old(facade: Facade) -> dict[str, int]:
    """Apply every tenant's `history_days`; versions dropped by tenant. What an unfinished export
    or a page link may still read is kept."""
    jobs = JobStore(facade.database)
    return {
        slug: drop_old(
            facade.database, slug, tenant.history_days * DAY_US, jobs.oldest_revision(slug)
        )
        for slug, tenant in facade.settings.tenants.items()
    }


def refresh_groups(facade: Facade) -> int:
    """Bring groups up to date whose members' periods began or ended; how many tenants had some."""
    tenants = facade.settings.tenants
    return sum(facade.groups.refresh_due(slug) is not None for slug in tenants)


def keep_house(facade: Facade, stop: threading.Event) -> threading.Thread:
    """Do both in a thread of this process until `stop`; dropping whenever nobody else has the
    lease."""
    leases = LeaseStore(facade.database)
    owner = secrets.token_hex(8)
    log = telemetry.log("housekeeping")

    def drop() -> None:
        if leases.acquire("housekeeping", owner, EVERY_SECONDS):
            dropped = drop_all_old(facade)
            if any(dropped.values()):
                log.info("housekeeping.dropped", versions=sum(dropped.values()))

    def run() -> None:
        drop_at = clock.monotonic()
        while not stop.is_set():
            try:
                if refresh_groups(facade):
                    log.info("housekeeping.groups_refreshed")
                if clock.monotonic() >= drop_at:
                    drop_at = clock.monotonic() + EVERY_SECONDS
                    drop()
            except Exception as error:
                # The database may be away for a while; the thread must outlive that.
                log.error("housekeeping.failed", error=type(error).__name__)
            stop.wait(GROUPS_SECONDS)

    thread = threading.Thread(target=run, name="housekeeping", daemon=True)
    thread.start()
    return thread
