"""Absence is not deletion: what goes, when, and what stays."""

from __future__ import annotations

from fhir_facade.fhir import json
from fhir_facade.mirror.records import PulledRecord
from fhir_facade.resources.subject import Subject
from fhir_facade.sync.job import QubsJob, Stores
from fhir_facade.upstream.qubs import QubsClient
from fhir_facade.upstream.qubs_words import ATTACHMENTS, COMMENTS, TELE_REPORTING
from tests.support.qubs import Running
from tests.support.syncing import (
    content,
    keys_of,
    patient_of,
    run_full,
)

Content = dict[tuple[str, str], str]


def test_appointments_go_after_two_sweeps_and_come_back(
    undisturbed: Content, both: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run_full(both, job, client)
    gone = [k for k in keys_of(both) if ("DiagnosticReport", f"qubs-{k}") in undisturbed][:2]
    for key in gone:
        emu.control.remove("appointment", "acme", key)
    first = run_full(both, job, client)
    assert (first.candidates, first.missing, first.removed) == (2, 2, 0)
    assert content(both) == undisturbed
    second = run_full(both, job, client)
    assert (second.candidates, second.removed) == (2, 2)
    found = content(both)
    deleted = {name for name, digest in found.items() if digest == "deleted"}
    assert len(deleted) == second.deleted
    assert {name.removeprefix("qubs-").partition(".")[0] for _, name in deleted} == set(gone)
    assert {kind for kind, _ in deleted} >= {"DocumentReference", "Binary"}
    for key in gone:
        assert found["Appointment", f"qubs-{key}"] == "deleted"
        assert found["DiagnosticReport", f"qubs-{key}"] == "deleted"
        assert both.records.body("acme", "qubs", COMMENTS, key) is None
        assert both.records.body("acme", "qubs", ATTACHMENTS, key) is None
    third = run_full(both, job, client)
    assert third.candidates == 0
    emu.control.reset()
    run_full(both, job, client)
    assert content(both) == undisturbed


def test_an_appointment_known_from_the_worklist_alone_goes_after_two_sweeps(
    undisturbed: Content, stores: Stores, job: QubsJob, client: QubsClient
) -> None:
    body = {"appointmentId": "A5", "domain": "acme", "status": "PENDING REPORTING"}
    known = PulledRecord(TELE_REPORTING, "A5", json.dumps(body), (Subject("appointment", "A5"),))
    stores.records.store("acme", "qubs", [known], pulled_us=1, sweep=1)
    run_full(stores, job, client)
    assert content(stores)["Appointment", "qubs-A5"] != "deleted"
    run_full(stores, job, client)
    found = content(stores)
    assert found.pop(("Appointment", "qubs-A5")) == "deleted"
    assert found.pop(("DiagnosticReport", "qubs-A5")) == "deleted"
    assert found == undisturbed


def test_a_sweep_that_misses_too_much_deletes_nothing(
    undisturbed: Content, stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run_full(stores, job, client)
    for key in keys_of(stores)[:12]:
        emu.control.remove("appointment", "acme", key)
    for _ in range(3):
        report = run_full(stores, job, client)
        assert report.absence_stopped
        assert report.removed == 0
    assert content(stores) == undisturbed


def test_by_id_answers_decide_over_absence(
    undisturbed: Content, stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run_full(stores, job, client)
    key = keys_of(stores)[0]
    emu.control.remove("appointment", "acme", key)
    by_id = "integrations_getappointment_operational"
    for status in (403, 500):
        fault = emu.control.add_fault("status", status=status, operation=by_id)
        for _ in range(2):
            assert run_full(stores, job, client).removed == 0
        emu.control.remove_fault(fault)
    assert content(stores) == undisturbed


def test_a_patient_goes_by_its_own_read_only_and_comes_back(
    undisturbed: Content, both: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run_full(both, job, client)
    linked = next(k for k in keys_of(both) if patient_of(both, k))
    patient = str(patient_of(both, linked)).removeprefix("Patient/qubs-")
    emu.control.remove("patient", "acme", patient)
    assert run_full(both, job, client).removed == 0
    assert content(both) == undisturbed
    assert run_full(both, job, client).removed == 1
    assert content(both)["Patient", f"qubs-{patient}"] == "deleted"
    assert patient_of(both, linked) is None
    run_full(both, job, client)
    assert content(both)["Patient", f"qubs-{patient}"] == "deleted"
    emu.control.reset()
    run_full(both, job, client)
    assert content(both) == undisturbed


def test_patients_do_not_go_when_many_are_missing(
    undisturbed: Content, stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run_full(stores, job, client)
    emu.control.add_fault("status", status=404, operation="integrations_getpatient_summary")
    for _ in range(3):
        report = run_full(stores, job, client)
        assert report.absence_stopped
        assert report.removed == 0
    assert content(stores) == undisturbed
