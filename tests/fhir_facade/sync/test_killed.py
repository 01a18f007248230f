"""Processes that die, and processes that meet."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest

from fhir_facade.mirror.leases import LeaseStore
from fhir_facade.sync.errors import LeaseLost, SyncBusy
from fhir_facade.sync.job import Progress, QubsJob, Stores, SyncOptions
from fhir_facade.sync.lease import HeldLease
from fhir_facade.sync.runner import run_all, sync_once
from fhir_facade.upstream.qubs import QubsClient
from tests.support import sync_process
from tests.support.qubs import Running
from tests.support.syncing import content, fresh_mirror, job_for

Content = dict[tuple[str, str], str]


def test_killed_at_any_point_a_sync_ends_in_the_same_state(
    undisturbed: Content, database_url: str, emu: Running
) -> None:
    when = random.Random(20261121)
    with fresh_mirror(database_url) as stores:
        for _ in range(4):
            process = sync_process.start(database_url, emu.url, lease=1)
            assert process.stdout is not None
            with process:
                assert process.stdout.readline() == "started\n"
                time.sleep(when.uniform(0, 1.2))
                process.kill()
            assert process.returncode in (-9, 0)
        assert sync_process.finished(sync_process.start(database_url, emu.url, lease=20))
        assert content(stores) == undisturbed
        assert stores.records.dirty_count("acme", "qubs") == 0


def test_two_processes_take_turns(undisturbed: Content, database_url: str, emu: Running) -> None:
    with fresh_mirror(database_url) as stores:
        both = [sync_process.start(database_url, emu.url) for _ in range(2)]
        assert [sync_process.finished(process) for process in both] == [True, True]
        assert content(stores) == undisturbed


def test_a_second_run_is_refused_while_the_first_goes_on(
    stores: Stores, job: QubsJob, client: QubsClient
) -> None:
    with HeldLease(stores.leases, job.lease, 5.0), pytest.raises(SyncBusy):
        sync_once(stores, job, client=client)
    assert sync_once(stores, job, client=client).ok


def test_a_lease_is_kept_as_long_as_the_work_lasts(stores: Stores) -> None:
    with HeldLease(stores.leases, "sync:x:qubs", 1.0) as lease:
        for _ in range(5):
            time.sleep(0.3)
            lease.check()
            assert not stores.leases.acquire("sync:x:qubs", "another", 1.0)
    assert stores.leases.acquire("sync:x:qubs", "another", 1.0)


def test_whoever_lost_the_lease_writes_no_more(
    stores: Stores, emu: Running, client: QubsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_for(emu.url, options=SyncOptions(lease_seconds=0.4))
    monkeypatch.setattr(LeaseStore, "renew", lambda *_: False)
    emu.control.add_fault("slow", delay_ms=400, count=3)
    with pytest.raises(LeaseLost):
        sync_once(stores, job, client=client)
    assert content(stores) == {}


def test_a_run_that_is_told_to_stop_stops_and_the_next_goes_on(
    undisturbed: Content, stores: Stores, job: QubsJob, client: QubsClient
) -> None:
    stop = threading.Event()
    seen: list[Progress] = []

    def tell(progress: Progress) -> None:
        seen.append(progress)
        if progress.stage == "comments":
            stop.set()

    report = sync_once(stores, job, client=client, stop=stop, progress=tell)
    assert report.error == "The sync was told to stop."
    assert report.calls < 100
    assert stores.records.dirty_count("acme", "qubs") > 0
    assert sync_once(stores, job, client=client).sweep_complete
    assert content(stores) == undisturbed
    assert {progress.tenant for progress in seen} == {"acme"}


def test_loops_of_several_tenants_end_when_told(tmp_path: Path, emu: Running) -> None:
    jobs = [
        job_for(emu.url, sync_interval_seconds=1),
        job_for(emu.url, tenant="zenith", domain="zenith", sync_interval_seconds=1),
        job_for(emu.url, tenant="broken", client_id="nobody", sync_interval_seconds=1),
    ]
    stop = threading.Event()
    with fresh_mirror(f"sqlite:///{tmp_path}/mirror.sqlite") as stores:
        loops = threading.Thread(target=run_all, args=(stores, jobs, stop))
        loops.start()
        deadline = time.monotonic() + 60
        try:
            while time.monotonic() < deadline:
                reports = [stores.state.get(j.tenant, "qubs", "report") for j in jobs]
                if all(reports):
                    break
                time.sleep(0.1)
        finally:
            stop.set()
            loops.join(30)
        assert not loops.is_alive()
        assert [report["ok"] for report in reports] == [True, True, False]
        assert content(stores, "acme")
        assert content(stores, "zenith")
