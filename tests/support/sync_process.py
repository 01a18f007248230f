"""One full sync as its own process: `-m tests.support.sync_process DATABASE EMULATOR LEASE`."""

from __future__ import annotations

import subprocess
import sys
import time

from fhir_facade.mirror.database import open_database
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.sync.errors import SyncBusy
from fhir_facade.sync.job import SyncOptions, open_stores
from fhir_facade.sync.runner import sync_once
from tests.support.qubs import ROOT
from tests.support.syncing import fast_client, job_for


def start(database_url: str, emulator_url: str, *, lease: float = 20.0) -> subprocess.Popen[str]:
    """Start the process; it prints `started` once it holds the lease, and `done` at the end."""
    command = [sys.executable, "-m", __name__, database_url, emulator_url, str(lease)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def finished(process: subprocess.Popen[str]) -> bool:
    """Wait for the end of a process; whether it did a complete run."""
    with process:
        assert process.stdout is not None
        lines = process.stdout.read().split("\n")
    return "started" in lines and "done" in lines


def main(database_url: str, emulator_url: str, lease: str) -> None:
    """Sync once as a whole, waiting while another process holds the source."""
    database = open_database(database_url)
    job = job_for(emulator_url, options=SyncOptions(lease_seconds=float(lease), batch=20))
    told = False

    def tell(_: object) -> None:
        nonlocal told
        if not told:
            told = True
            print("started", flush=True)

    with fast_client(job) as client:
        while True:
            try:
                report = sync_once(
                    open_stores(database, REGISTRY), job, full=True, client=client, progress=tell
                )
                break
            except SyncBusy:
                time.sleep(0.1)
    database.close()
    print("done" if report.ok and report.sweep_complete else "failed", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
