"""Faults of the upstream during a sync: nothing is lost, nothing is made up, the rest goes on."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_facade.sync.doctor import check_access, source_status
from fhir_facade.sync.job import QubsJob, Stores
from fhir_facade.sync.report import Report
from fhir_facade.sync.runner import sync_once
from fhir_facade.upstream.qubs import QubsClient
from tests.support.qubs import Running
from tests.support.syncing import content, fast_client, job_for

Content = dict[tuple[str, str], str]

IN_PASSING: list[dict[str, Any]] = [
    {"kind": "status", "status": 429, "probability": 0.15},
    {"kind": "status", "status": 429, "retry_after": "1", "count": 3, "after": 20},
    {"kind": "status", "status": 429, "retry_after": "date:2", "count": 2, "after": 20},
    {"kind": "status", "status": 500, "probability": 0.2},
    {"kind": "status", "status": 503, "probability": 0.2},
    {"kind": "html_error", "status": 502, "probability": 0.2},
    {"kind": "slow", "delay_ms": 60, "probability": 0.2},
    {"kind": "drop", "probability": 0.15},
    {"kind": "drop_after", "probability": 0.15},
    {"kind": "drop_mid_body", "probability": 0.15},
    {"kind": "short_pages", "rows": 3},
    {"kind": "empty_pages", "count": 12},
    {"kind": "repeat_rows", "rows": 3},
    {"kind": "shuffle_rows"},
    {"kind": "unstable_order", "rows": 3},
    {"kind": "expired_token", "count": 1, "after": 10},
    {"kind": "expired_token", "probability": 0.03},
    {"kind": "absent", "form": "missing"},
    {"kind": "absent", "form": "null"},
    {"kind": "absent", "form": "empty"},
]


def run(stores: Stores, job: QubsJob, client: QubsClient) -> Report:
    return sync_once(stores, job, full=True, client=client)


@pytest.mark.parametrize("fault", IN_PASSING, ids=lambda f: "-".join(map(str, f.values())))
def test_a_fault_in_passing_leaves_no_trace(
    undisturbed: Content,
    stores: Stores,
    job: QubsJob,
    client: QubsClient,
    emu: Running,
    fault: dict[str, Any],
) -> None:
    emu.control.add_fault(**fault)
    first = run(stores, job, client)
    assert emu.control.faults()[0]["fired"] > 0
    assert first.deleted == first.removed == 0
    emu.control.clear_faults()
    if not first.sweep_complete:
        assert first.faults or first.error
        assert run(stores, job, client).sweep_complete
    if first.faults:
        run(stores, job, client)
    assert content(stores) == undisturbed


def test_an_upstream_that_is_down_is_reported_and_the_mirror_stays(
    undisturbed: Content, stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run(stores, job, client)
    emu.control.add_fault("status", status=503, path_prefix="/integrations")
    report = run(stores, job, client)
    assert not report.ok
    assert not report.sweep_complete
    assert report.error == "The upstream does not answer."
    assert content(stores) == undisturbed
    status = source_status(stores, job)
    assert status.failing == "The upstream does not answer."
    emu.control.clear_faults()
    assert run(stores, job, client).ok
    assert source_status(stores, job).failing is None


def test_one_view_that_fails_keeps_its_last_records(
    undisturbed: Content, stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run(stores, job, client)
    for operation in (
        "integrations_listpendingreportingappointments",
        "integrations_getsitesettings_summary",
        "integrations_listappointmentsbystatus_operational",
    ):
        emu.control.add_fault("status", status=400, operation=operation)
    for _ in range(3):
        report = run(stores, job, client)
        assert report.ok
        assert not report.sweep_complete
    assert report.faults["integrations_listpendingreportingappointments"]
    assert content(stores) == undisturbed


def test_unknown_statuses_and_sites_are_served_and_counted(
    undisturbed: Content, stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    operation = "integrations_listappointments_operational"
    emu.control.add_fault("unknown_status", operation=operation, every=7)
    emu.control.add_fault("unknown_site", operation=operation, every=11)
    run(stores, job, client)
    assert content(stores).keys() >= {k for k in undisturbed if k[0] == "Appointment"}
    codes = source_status(stores, job).unknown_codes
    assert "AWAITING TRANSPORT" in codes["unknown-status"]
    assert "Closed Annex" in codes["unknown-site"]
    emu.control.clear_faults()
    run(stores, job, client)
    assert {k: v for k, v in content(stores).items() if v != "deleted"} == undisturbed


def test_malformed_rows_are_quarantined_and_the_rest_goes_on(
    undisturbed: Content, stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    emu.control.add_fault("malformed", every=6)
    report = run(stores, job, client)
    assert report.ok
    assert report.quarantined > 10
    held = stores.quarantine.list(job.tenant, job.source)
    assert any("not an object" in entry.reason for entry in held)
    assert any("no usable appointmentId" in entry.reason for entry in held)
    assert any("not text" in entry.reason for entry in held)
    found = content(stores)
    whole = [key for key in undisturbed if found.get(key) == undisturbed[key]]
    assert len(whole) > len(undisturbed) / 3
    assert found.keys() <= undisturbed.keys()
    emu.control.clear_faults()
    run(stores, job, client)
    assert content(stores) == undisturbed
    assert stores.quarantine.list(job.tenant, job.source) == []


def test_an_answer_that_is_no_record_is_quarantined_under_its_key(
    undisturbed: Content, stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run(stores, job, client)
    for operation in ("integrations_getpatient_summary", "integrations_listappointmentcomments"):
        emu.control.add_fault("html_error", status=200, operation=operation, count=1)
    report = run(stores, job, client)
    assert report.ok
    held = stores.quarantine.list(job.tenant, job.source)
    assert not held or {entry.kind for entry in held} <= {"patients", "comments"}
    assert report.quarantined == 2
    assert content(stores) == undisturbed
    run(stores, job, client)
    assert stores.quarantine.list(job.tenant, job.source) == []


def test_a_record_that_turns_malformed_keeps_what_was_served(
    undisturbed: Content, stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run(stores, job, client)
    emu.control.add_fault("malformed", every=1)
    for _ in range(2):
        run(stores, job, client)
    found = content(stores)
    assert found.keys() == undisturbed.keys()
    assert "deleted" not in found.values()


@pytest.mark.parametrize("status", [403, 404])
def test_a_withdrawn_site_is_loss_of_access_not_deletion(
    undisturbed: Content,
    stores: Stores,
    job: QubsJob,
    client: QubsClient,
    emu: Running,
    status: int,
) -> None:
    run(stores, job, client)
    emu.control.withdraw_site("acme", "Central Clinic", status)
    for _ in range(3):
        report = run(stores, job, client)
        assert report.sweep_complete
        assert report.removed == 0
    assert report.out_of_reach > 0
    assert content(stores) == undisturbed
    assert "site Central Clinic" in source_status(stores, job).lost_access
    emu.control.restore_site("acme", "Central Clinic")
    run(stores, job, client)
    assert source_status(stores, job).lost_access == {}


def test_a_view_that_is_not_granted_is_reported_and_does_not_hold_up_the_sweep(
    undisturbed: Content, stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run(stores, job, client)
    emu.control.add_fault("status", status=403, path_prefix="/integrations/v1/acme/reporting")
    emu.control.add_fault("status", status=403, path_prefix="/integrations/v1/acme/patients")
    for _ in range(2):
        assert run(stores, job, client).sweep_complete
    assert set(source_status(stores, job).lost_access) == {"worklist", "patients"}
    assert content(stores) == undisturbed


def test_only_the_tenant_whose_domain_is_not_allowed_stops(stores: Stores, emu: Running) -> None:
    wrong = job_for(emu.url, tenant="wrong", domain="acme", client_id="sandbox-zenith")
    right = job_for(emu.url, tenant="right", domain="zenith", client_id="sandbox-zenith")
    with fast_client(wrong) as client:
        report = sync_once(stores, wrong, client=client)
    assert report.error is not None
    assert "'acme'" in report.error
    assert "'acme'" in (check_access(wrong) or "")
    with fast_client(right) as client:
        assert sync_once(stores, right, client=client).ok
    assert check_access(right) is None
    assert {kind for kind, _ in content(stores, "right")} >= {"Patient", "Appointment"}
    assert {kind for kind, _ in content(stores, "wrong")} == {"Organization"}


def test_wrong_credentials_are_named(stores: Stores, emu: Running) -> None:
    job = job_for(emu.url, client_id="nobody")
    with fast_client(job) as client:
        report = sync_once(stores, job, client=client)
    assert report.error is not None
    assert "credentials" in report.error
