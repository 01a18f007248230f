"""Absence is not deletion (design section 2).

A record that a complete sweep has not seen is a candidate. Its by-id read decides: 200 brings it
back, 404 counts, 403 and faults keep it. After 404 in two sweeps it is removed, and with it what
belongs to it. When candidates exceed a share of all, nothing is removed: then it is the sweep that
is in doubt. A site that is missing as a whole is loss of access, and its appointments are no
candidates.
"""

from __future__ import annotations

from fhir_facade.sync.lists import Lists
from fhir_facade.sync.pull import Run
from fhir_facade.upstream.pulled import Pulled
from fhir_facade.upstream.qubs_words import ATTACHMENTS, COMMENTS, OPERATIONAL, TELE_REPORTING


def settle_absence(run: Run, lists: Lists) -> None:
    """Judge what a complete sweep has not seen. Only to be called when all lists were read to their
    end.
    """
    candidates = _candidates(run, lists)
    if candidates is None:
        run.report.absence_stopped = True
        return
    _ask(run, OPERATIONAL, candidates)
    if lists.pending is None:
        return
    # Known from the worklist alone, and no longer on it.
    ended = [
        key
        for key in run.stores.worklist.orphans(*run.where, TELE_REPORTING, OPERATIONAL)
        if key not in lists.pending
    ]
    _ask(run, TELE_REPORTING, ended)


def _candidates(run: Run, lists: Lists) -> list[str] | None:
    """Appointments to be asked for by id; None, as soon as it is clear, when they are too many."""
    lost = lists.lost_sites()
    total = run.stores.records.counts(*run.where).get(OPERATIONAL, 0)
    options = run.job.options
    most = max(options.absent_floor, int(total * options.absent_share))
    found: list[str] = []
    for row in run.stores.records.unseen(*run.where, OPERATIONAL, run.sweep.number):
        if row.scope in lost:
            run.report.out_of_reach += 1
            continue
        found.append(row.key)
        run.report.candidates = len(found)
        if len(found) > most:
            return None
    return found


def _ask(run: Run, view: str, keys: list[str]) -> None:
    """Read appointments by id; a 404 counts on the record of `view`, and the second one removes."""
    done = 0
    for chunk in run.fetch_all("appointments by id", OPERATIONAL, keys, run.client.appointment):
        gone = [fetched.key for fetched in chunk if fetched.outcome == "missing"]
        for fetched in chunk:
            if isinstance(fetched.value, Pulled):
                run.ingest.record(fetched.value)
            elif fetched.outcome == "denied":
                run.report.out_of_reach += 1
        run.flush()
        for key in gone:
            run.check()
            _missing(run, view, key)
        done += len(chunk)
        run.tell("absence", done, len(keys))


def _missing(run: Run, view: str, key: str) -> None:
    records = run.stores.records
    run.report.missing += 1
    if records.mark_missing(*run.where, view, key, run.sweep.number) < 2:
        return
    # The view that decided goes last: a kill in between finds the appointment again.
    others = (v for v in (TELE_REPORTING, OPERATIONAL) if v != view)
    for part in (ATTACHMENTS, COMMENTS, *others, view):
        records.remove(*run.where, part, key)
    run.report.removed += 1
