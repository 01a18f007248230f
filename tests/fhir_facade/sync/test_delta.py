"""What changes upstream between runs, and what does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_facade.fhir import json
from fhir_facade.sync.job import QubsJob, Stores
from fhir_facade.sync.runner import remap, sync_once
from fhir_facade.upstream.errors import CallFacts, NarrowerQueryNeeded
from fhir_facade.upstream.pulled import Page
from fhir_facade.upstream.qubs import QubsClient
from fhir_facade.upstream.qubs_words import OPERATIONAL, TELE_REPORTING
from tests.support.qubs import Running
from tests.support.syncing import (
    content,
    ended_views,
    fast_client,
    fresh_mirror,
    job_for,
    keys_of,
    patient_of,
    resource,
    revision,
    run_full,
)

Content = dict[tuple[str, str], str]


def test_a_run_without_changes_publishes_nothing(
    undisturbed: Content, both: Stores, job: QubsJob, client: QubsClient
) -> None:
    first = run_full(both, job, client)
    assert first.ok
    assert content(both) == undisturbed
    before = revision(both)
    second = run_full(both, job, client)
    assert second.changed == second.created == second.updated == second.deleted == 0
    assert second.unchanged > 0
    assert revision(both) == before


def test_a_client_of_one_site_sweeps_what_it_may(
    undisturbed: Content, stores: Stores, emu: Running
) -> None:
    job = job_for(emu.url, client_id="sandbox-site")
    with fast_client(job) as client:
        report = run_full(stores, job, client)
    assert report.ok
    assert report.sweep_complete
    found = content(stores)
    assert 0 < len(found) < len(undisturbed)
    # A person named in the grids of several sites is told by those in reach alone.
    told = {key: value for key, value in found.items() if key[0] != "Practitioner"}
    assert told.items() <= undisturbed.items()


def test_an_unlinked_appointment_is_linked_when_a_comment_names_the_patient(
    stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    first = run_full(stores, job, client)
    assert first.unlinked is not None
    assert first.unlinked > 0
    key = next(k for k in keys_of(stores) if patient_of(stores, k) is None)
    emu.control.add(
        "comment",
        "acme",
        None,
        appointmentId=key,
        patientId="220001",
        commentText="see patient",
    )
    second = run_full(stores, job, client)
    assert second.unlinked == first.unlinked - 1
    assert patient_of(stores, key) == "Patient/qubs-220001"


def test_the_end_of_the_pending_view_keeps_appointment_and_link(
    stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run_full(stores, job, client)
    pending = keys_of(stores, TELE_REPORTING)
    linked = {key: patient_of(stores, key) for key in pending}
    assert None not in linked.values()
    for key in pending:
        emu.control.change("appointment", "acme", key, status="FINALISED")
    report = run_full(stores, job, client)
    assert report.pending_ended == len(pending)
    run_full(stores, job, client)
    for key in pending:
        appointment = resource(stores, "Appointment", key)
        assert appointment is not None
        assert appointment["status"] == "fulfilled"
        assert patient_of(stores, key) == linked[key]


def test_an_ended_pending_record_does_not_hold_an_old_link(
    stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run_full(stores, job, client)
    key = next(
        k
        for k in keys_of(stores, TELE_REPORTING)
        if json.loads(stores.records.body("acme", "qubs", OPERATIONAL, k) or b"{}").get("patientId")
    )
    old = patient_of(stores, key)
    new = "220002" if old != "Patient/qubs-220002" else "220003"
    emu.control.change("appointment", "acme", key, status="FINALISED")
    run_full(stores, job, client)
    assert patient_of(stores, key) == old
    emu.control.change("appointment", "acme", key, patientId=new)
    run_full(stores, job, client)
    assert patient_of(stores, key) == f"Patient/qubs-{new}"


def test_a_change_of_a_site_maps_its_appointments_again(
    stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run_full(stores, job, client)
    emu.control.change("site", "acme", "Central Clinic", timeZone="Pacific/Auckland")
    report = run_full(stores, job, client)
    assert report.changed == 1
    assert report.updated > 10


@pytest.mark.parametrize("seed", [1, 3])
def test_after_any_edits_the_mirror_equals_a_new_one(
    tmp_path: Path, stores: Stores, job: QubsJob, client: QubsClient, emu: Running, seed: int
) -> None:
    run_full(stores, job, client)
    emu.control.edit_at_random("acme", seed, 12)
    for _ in range(2):
        run_full(stores, job, client)
    with fresh_mirror(f"sqlite:///{tmp_path}/new.sqlite") as new:
        for _ in range(2):
            run_full(new, job, client)
        expected = {k: v for k, v in content(new).items() if v != "deleted"}
    found = {k: v for k, v in content(stores).items() if v != "deleted"}
    # The older mirror remembers what a new one cannot ask for: the last pending record of an
    # appointment, and patients whom nothing names any more but QUBS still knows.
    ended = {f"qubs-{key}" for key in ended_views(stores)}
    other = {key for key, _ in found.items() ^ expected.items() if key[1] not in ended}
    assert {kind for kind, _ in other} <= {"Patient"}
    assert not other & expected.keys()


def test_a_hot_round_sees_open_changes_within_few_calls(
    stores: Stores, client: QubsClient, emu: Running
) -> None:
    small = job_for(emu.url, calls_per_hour=3000)
    run_full(stores, small, client)
    emu.control.add(
        "appointment",
        "acme",
        "A777777",
        scheduledSite="Central Clinic",
        status="ARRIVED",
        patientId="220005",
    )
    emu.control.clear_calls()
    report = sync_once(stores, small, client=client)
    assert not report.full
    assert report.ok
    assert patient_of(stores, "A777777") == "Patient/qubs-220005"
    assert report.calls < 240
    assert emu.control.calls()["total"] <= report.calls + 2


def test_rounds_complete_a_sweep_bit_by_bit(
    undisturbed: Content, stores: Stores, client: QubsClient, emu: Running
) -> None:
    run_full(stores, job_for(emu.url), client)
    key = keys_of(stores)[0]
    emu.control.remove("appointment", "acme", key)
    small = job_for(emu.url, calls_per_hour=20_000, sync_interval_seconds=20)
    rounds = complete = 0
    while complete < 2 and rounds < 40:
        report = sync_once(stores, small, client=client)
        assert report.ok
        assert not report.full
        rounds, complete = rounds + 1, complete + report.sweep_complete
    assert complete == 2
    assert content(stores)["Appointment", f"qubs-{key}"] == "deleted"


def test_a_spent_budget_ends_the_run_and_the_next_goes_on(
    undisturbed: Content, stores: Stores, client: QubsClient, emu: Running
) -> None:
    calls = 0
    for spent in range(1, 9):
        # Each allowance stands for one more hour.
        job = job_for(emu.url, calls_per_hour=80 * spent)
        report = sync_once(stores, job, client=client)
        calls += report.calls
        assert report.ok
        if not report.budget_spent:
            break
        assert report.calls <= 80
    assert report.sweep_complete
    assert spent > 2
    assert content(stores) == undisturbed


def test_remapping_needs_no_upstream(
    undisturbed: Content, both: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run_full(both, job, client)
    before = revision(both)
    emu.control.clear_calls()
    report = remap(both, job)
    assert report.kept_resources == len(undisturbed)
    assert emu.control.calls()["total"] == 0
    assert content(both) == undisturbed
    assert revision(both) == before


def test_a_list_that_is_too_long_is_read_by_days_and_sites(
    undisturbed: Content,
    stores: Stores,
    job: QubsJob,
    client: QubsClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = client.operational
    asked: list[tuple[bool, bool]] = []

    def operational(*, day: Any = None, site: str | None = None) -> Iterator[Page]:
        asked.append((day is not None, site is not None))
        if site is None:
            raise NarrowerQueryNeeded(CallFacts("integrations_listappointments_operational"))
        yield from whole(day=day, site=site)

    monkeypatch.setattr(client, "operational", operational)
    few = job_for(job.settings.base_url, history_days=20, future_days=10)
    report = run_full(stores, few, client)
    assert report.sweep_complete
    assert content(stores) == undisturbed
    assert asked.count((False, False)) == 1
    assert asked.count((True, True)) == 4 * asked.count((True, False))


def test_billing_fields_are_dropped_unless_the_tenant_keeps_them(
    tmp_path: Path, stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run_full(stores, job, client)
    bodies = [stores.records.body("acme", "qubs", OPERATIONAL, k) for k in keys_of(stores)]
    assert not any(b"billing" in (body or b"") for body in bodies)
    keeping = job_for(emu.url, billing=True)
    with fresh_mirror(f"sqlite:///{tmp_path}/keeping.sqlite") as other:
        with fast_client(keeping) as own:
            run_full(other, keeping, own)
        bodies = [other.records.body("acme", "qubs", OPERATIONAL, k) for k in keys_of(other)]
        assert any(b"billingStatus" in (body or b"") for body in bodies)
