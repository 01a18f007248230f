"""What is pulled one call a key, several at once: comments and attachments of appointments, and the
patients they lead to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fhir_facade.mirror.worklist import ANY_SWEEP
from fhir_facade.sync import patients
from fhir_facade.sync.job import Stage
from fhir_facade.sync.pull import Fetched, Run
from fhir_facade.sync.sweep import DONE
from fhir_facade.upstream.pulled import Pulled
from fhir_facade.upstream.qubs_rows import ArrayRecord
from fhir_facade.upstream.qubs_words import ATTACHMENTS, COMMENTS, PATIENTS

_AFTER = "after:"
_AGAIN = "again:"


def pull_comments(run: Run, keys: Iterable[str], *, unit: str | None = None) -> None:
    """Pull the comments of these appointments. `unit` is where the sweep notes how far it is."""
    _pull_arrays(run, COMMENTS, run.client.comments, keys, unit)


def pull_attachments(run: Run, keys: Iterable[str], *, unit: str | None = None) -> None:
    """Pull the lists of attachments of these appointments, as `pull_comments`."""
    _pull_arrays(run, ATTACHMENTS, run.client.attachments, keys, unit)


def pull_patients(run: Run, keys: Iterable[str], *, unit: str | None = None) -> None:
    """Pull these patients, and note those that QUBS does not know (see `patients.py`)."""
    for chunk in run.fetch_all("patients", PATIENTS, keys, run.client.patient):
        for fetched in chunk:
            if fetched.value is not None:
                run.ingest.record(fetched.value)
        run.flush()
        patients.note_found(run, [f.key for f in chunk if f.outcome == "done"])
        patients.note_missing(run, [f.key for f in chunk if f.outcome == "missing"])
        _note(run, unit, chunk)
        run.tell("patients", run.ingest.counts[PATIENTS])


def pull_new_patients(run: Run) -> None:
    """Pull the patients that records name and that were never asked for."""
    asked = patients.known_missing(run)
    worklist = run.stores.worklist
    keys = worklist.unpulled(*run.where, "patient", PATIENTS, ANY_SWEEP)
    pull_patients(run, (key for key in keys if key not in asked))


def sweep_comments(run: Run) -> None:
    """Pull the comments that this sweep has not seen; what fails is tried once more at the end."""
    _sweep(run, "comments", "appointment", COMMENTS)


def sweep_attachments(run: Run) -> None:
    """Pull the lists of attachments that this sweep has not seen, as `sweep_comments`."""
    _sweep(run, "attachments", "appointment", ATTACHMENTS)


def sweep_patients(run: Run) -> None:
    """Pull the patients that this sweep has not seen; what fails is tried once more at the end."""
    _sweep(run, "patients", "patient", PATIENTS)


def _sweep(run: Run, unit: str, kind: str, view: str) -> None:
    pull = _PULLS[view]
    while not run.sweep.settled(unit):
        state = run.sweep.state_of(unit) or _AFTER
        again = state.startswith(_AGAIN)
        after = state.removeprefix(_AGAIN if again else _AFTER)
        worklist = run.stores.worklist
        keys = worklist.unpulled(*run.where, kind, view, run.sweep.number, after=after)
        pull(run, keys, unit=unit)
        run.sweep.mark(unit, DONE if again else _AGAIN)


def _note(
    run: Run, unit: str | None, chunk: list[Fetched[ArrayRecord]] | list[Fetched[Pulled]]
) -> None:
    if unit is not None and chunk:
        state = run.sweep.state_of(unit) or _AFTER
        run.sweep.mark(unit, (_AGAIN if state.startswith(_AGAIN) else _AFTER) + chunk[-1].key)


def _pull_arrays(
    run: Run,
    view: str,
    fetch: Callable[[str], ArrayRecord],
    keys: Iterable[str],
    unit: str | None,
) -> None:
    for chunk in run.fetch_all(view, view, keys, fetch):
        for fetched in chunk:
            if fetched.value is not None:
                run.ingest.array(fetched.value)
        run.flush()
        run.tell(_STAGES[view], run.ingest.counts[view])
        _note(run, unit, chunk)


_STAGES: dict[str, Stage] = {COMMENTS: "comments", ATTACHMENTS: "attachments"}
_PULLS = {COMMENTS: pull_comments, ATTACHMENTS: pull_attachments, PATIENTS: pull_patients}
