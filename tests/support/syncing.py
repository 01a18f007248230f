"""A mirror and a QUBS job for tests of the sync."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select

from fhir_facade.fhir import json
from fhir_facade.mirror import migrate, versions
from fhir_facade.mirror.database import open_database
from fhir_facade.mirror.tables import resource_version
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.settings import QubsSource, TenantSettings
from fhir_facade.sync.job import QubsJob, Stores, SyncOptions, open_stores, qubs_job
from fhir_facade.sync.report import Report
from fhir_facade.sync.runner import sync_once
from fhir_facade.upstream.backoff import Retries
from fhir_facade.upstream.qubs import QubsClient, open_qubs
from fhir_facade.upstream.qubs_words import OPERATIONAL, TELE_REPORTING
from fhir_facade.upstream.transport import Timeouts
from tests.support.qubs import CLIENT_ID, CLIENT_SECRET

FAST = Retries(attempts=4, first=0.01, longest=0.05, obey=3.0)


@contextmanager
def fresh_mirror(url: str) -> Iterator[Stores]:
    """A migrated mirror at `url`, closed at the end."""
    migrate.upgrade(url)
    with mirror_at(url) as stores:
        yield stores


@contextmanager
def mirror_at(url: str) -> Iterator[Stores]:
    """The mirror at `url`, whose tables are there, closed at the end."""
    database = open_database(url)
    try:
        yield open_stores(database, REGISTRY)
    finally:
        database.close()


def job_for(
    url: str,
    *,
    tenant: str = "acme",
    domain: str = "acme",
    client_id: str = CLIENT_ID,
    options: SyncOptions | None = None,
    **more: Any,
) -> QubsJob:
    """A job against the emulator at `url`; `more` are settings of the source."""
    source = QubsSource.model_validate(
        {
            "domain": domain,
            "client_id": client_id,
            "client_secret": CLIENT_SECRET,
            "base_url": url,
            "token_url": f"{url}/oauth2/token",
            "calls_per_hour": 1_000_000,
            **more,
        }
    )
    settings = TenantSettings(name="Acme Imaging", timezone="Australia/Sydney", qubs=source)
    return qubs_job(tenant, settings, f"http://127.0.0.1:8000/fhir/{tenant}", options)


@contextmanager
def fast_client(job: QubsJob) -> Iterator[QubsClient]:
    """A client of the job that does not wait long."""
    client = open_qubs(job.settings, timeouts=Timeouts(2, 5, 10), retries=FAST)
    try:
        yield client
    finally:
        client.close()


def content(stores: Stores, tenant: str = "acme") -> dict[tuple[str, str], str]:
    """(type, id) → content hash of what is current, tombstones as `deleted`; no Provenance."""
    columns = resource_version.c
    query = (
        select(columns.type, columns.id, columns.content_hash, columns.deleted)
        .where(columns.tenant == tenant, columns.to_revision == 2**62)
        .where(columns.type != "Provenance")
    )
    with stores.database.read() as conn:
        return {
            (kind, name): "deleted" if deleted else bytes(digest).hex()
            for kind, name, digest, deleted in conn.execute(query)
        }


def run_full(stores: Stores, job: QubsJob, client: QubsClient) -> Report:
    return sync_once(stores, job, full=True, client=client)


def revision(stores: Stores) -> int:
    with stores.database.read() as conn:
        return versions.current_revision(conn, "acme")[0]


def resource(stores: Stores, type_: str, key: str) -> dict[str, Any] | None:
    with stores.database.read() as conn:
        row = versions.read(conn, "acme", type_, f"qubs-{key}")
    return None if row is None or row.body is None else json.loads(row.body)


def patient_of(stores: Stores, key: str) -> str | None:
    appointment = resource(stores, "Appointment", key)
    assert appointment is not None
    actors = [p.get("actor", {}).get("reference", "") for p in appointment["participant"]]
    return next((a for a in actors if a.startswith("Patient/")), None)


def ended_views(stores: Stores) -> list[str]:
    rows = stores.records.unseen("acme", "qubs", TELE_REPORTING, 1 << 40)
    return [row.key for row in rows if row.missing_sweeps]


def keys_of(stores: Stores, view: str = OPERATIONAL) -> list[str]:
    return sorted(stores.worklist.present("acme", "qubs", view))
