"""Patients that QUBS does not know any more. They are in no list: only `/patients/{id}` tells.

A 404 is noted once a sweep on a marker record. After two sweeps the patient counts as gone: the
summary is removed, the Patient becomes a tombstone and its appointments are unlinked, until a by-id
read finds it again. When a sweep misses too many patients at once, none goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fhir_facade import clock
from fhir_facade.mirror.records import PulledRecord
from fhir_facade.resources.subject import Subject
from fhir_facade.sync.job import QubsJob, Stores
from fhir_facade.sync.pull import Run
from fhir_facade.upstream.qubs_words import PATIENTS

MISSING = "patients-missing"
"""View of the markers that count 404s."""
GONE = "patients-gone"
"""View of the markers of patients that are gone."""


def gone_patients(job: QubsJob, stores: Stores) -> frozenset[str]:
    """Patients whose Patient is a tombstone, whatever other records say of them."""
    return frozenset(stores.worklist.present(job.tenant, job.source, GONE))


def known_missing(run: Run) -> frozenset[str]:
    """Patients whose last by-id read answered 404."""
    counted = run.stores.worklist.missing_in(*run.where, MISSING, run.sweep.number)
    return frozenset(key for key, _ in counted) | gone_patients(run.job, run.stores)


def note_missing(run: Run, keys: Sequence[str]) -> None:
    """Count a 404 for each of these patients, once a sweep."""
    records = run.stores.records
    for key in keys:
        run.check()
        if records.body(*run.where, MISSING, key) is None:
            _put(run, MISSING, key)
        records.mark_missing(*run.where, MISSING, key, run.sweep.number)
        run.report.missing += 1


def note_found(run: Run, keys: Sequence[str]) -> None:
    """Forget what was counted against these patients; one that was gone is linked again."""
    records = run.stores.records
    gone = gone_patients(run.job, run.stores).intersection(keys)
    for key in gone:
        records.remove(*run.where, GONE, key)
        _remap(run, key)
    for key in _marked(run).intersection(keys):
        records.remove(*run.where, MISSING, key)


def settle_patients(run: Run) -> None:
    """Let those go that answered 404 in two sweeps, unless too many are missing in this one."""
    worklist, records = run.stores.worklist, run.stores.records
    missing = worklist.missing_in(*run.where, MISSING, run.sweep.number)
    gone = gone_patients(run.job, run.stores)
    fresh = [(key, count) for key, count in missing if key not in gone]
    total = worklist.count_subjects(*run.where, "patient")
    options = run.job.options
    if len(fresh) > max(options.absent_floor, int(total * options.absent_share)):
        run.report.absence_stopped = True
        return
    for key, count in fresh:
        if count >= 2:
            run.check()
            records.remove(*run.where, PATIENTS, key)
            _remap(run, key)
            _put(run, GONE, key)
            run.report.removed += 1


def _marked(run: Run) -> frozenset[str]:
    unseen = run.stores.records.unseen(*run.where, MISSING, run.sweep.number + 1)
    return frozenset(row.key for row in unseen)


def _put(run: Run, view: str, key: str) -> None:
    marker = PulledRecord(view, key, b"{}", ())
    run.stores.records.store(*run.where, [marker], pulled_us=clock.now_us(), sweep=run.sweep.number)


def _remap(run: Run, key: str) -> None:
    """Have the patient and all appointments that name it mapped again."""
    named = run.stores.worklist.beside(*run.where, "patient", key, "appointment")
    subjects: Iterable[Subject] = (Subject("appointment", name) for name in named)
    run.stores.records.mark_dirty(*run.where, [Subject("patient", key), *subjects])
