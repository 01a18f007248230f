"""The order in which a QUBS domain is pulled.

Hot, every round: sites, open statuses, the near days, the worklist; comments and attachments of
what changed, of the worklist and of the near days; patients that are new. Cold, as the budget
allows: the closed statuses, the whole list, all other comments, attachments and patients, until the
sweep is complete and absence can be judged. A full run does all of it at once, and the first run of
a source is always full.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from fhir_facade.sync.absence import settle_absence
from fhir_facade.sync.lists import (
    CLOSED,
    OPEN,
    WHOLE,
    Lists,
    day_unit,
    listed_completely,
    status_unit,
)
from fhir_facade.sync.patients import settle_patients
from fhir_facade.sync.pull import Run
from fhir_facade.sync.sublists import (
    pull_attachments,
    pull_comments,
    pull_new_patients,
    sweep_attachments,
    sweep_comments,
    sweep_patients,
)
from fhir_facade.upstream.errors import BudgetSpent

_CURSOR = "hot-comments"


class QubsPlan:
    """One round. `map_backlog` is called where much may be waiting to be mapped."""

    def __init__(self, run: Run, map_backlog: Callable[[], None]) -> None:
        self._run = run
        self._map_backlog = map_backlog
        self._lists = Lists(run)

    def full(self) -> None:
        """Pull everything and complete the sweep."""
        self._run.sweep.begin_full(self._run.today())
        self._hot_lists()
        self._map_backlog()
        if not self._complete():
            # Lists that failed in passing are tried once more.
            self._complete()

    def round(self, allowance: int) -> None:
        """One hot round, and as much of the cold tier as `allowance` calls do."""
        run = self._run
        before = run.budget.calls
        run.report.sweep = run.sweep.number
        self._hot_lists()
        self._hot_sublists(allowance // 4)
        pull_new_patients(run)
        run.budget.cap(allowance - (run.budget.calls - before))
        try:
            self._complete()
        except BudgetSpent:
            if run.budget.left() == 0:
                raise
        finally:
            run.budget.cap(None)

    def _hot_lists(self) -> None:
        self._run.client.check_access()
        self._lists.read_sites()
        for status in OPEN:
            self._lists.read_status(status, resume=False)
        self._lists.read_near_days()
        self._lists.read_pending()

    def _hot_sublists(self, rest: int) -> None:
        """Comments and attachments of what changed, then those of the worklist and the near days,
        in turn, by `rest` calls."""
        run = self._run
        dirty = run.stores.records.dirty(*run.where, run.job.options.backlog, ["appointment"])
        changed = [entry.subject.key for entry in dirty]
        pull_comments(run, changed)
        pull_attachments(run, changed)
        hot = sorted(((self._lists.pending or frozenset()) | self._lists.near) - set(changed))
        after = run.stores.state.get(*run.where, _CURSOR) or ""
        turn = [key for key in hot if key > after] + [key for key in hot if key <= after]
        if chosen := turn[: rest // 2]:
            pull_comments(run, chosen)
            pull_attachments(run, chosen)
            run.stores.state.set(*run.where, _CURSOR, chosen[-1])

    def _complete(self) -> bool:
        """Go on with the sweep to its end, as far as the budget allows; whether it got there."""
        run, lists = self._run, self._lists
        run.report.sweep = run.sweep.number
        for status in chain(OPEN, CLOSED):
            if not run.sweep.settled(status_unit(status)):
                lists.read_status(status, resume=True)
                self._map_backlog()
        self._whole_list()
        self._map_backlog()
        sweep_comments(run)
        self._map_backlog()
        sweep_attachments(run)
        self._map_backlog()
        sweep_patients(run)
        settle_patients(run)
        if listed_completely(run) and lists.sites is not None:
            settle_absence(run, lists)
            run.ingest.forget_rows(run.sweep.started_us)
        elif not self._all_settled():
            return False
        run.report.sweep_complete = True
        run.sweep.finish(run.today())
        return True

    def _whole_list(self) -> None:
        run, lists = self._run, self._lists
        if run.sweep.settled(WHOLE):
            return
        if run.sweep.state_of(WHOLE) is None and lists.read_whole():
            return
        if run.sweep.state_of(WHOLE) is None:
            return
        settings = run.job.settings
        for day in run.sweep.days(settings.history_days, settings.future_days):
            if not run.sweep.settled(day_unit(day)):
                lists.read_day(day)

    def _all_settled(self) -> bool:
        """Whether every list was read or refused: a refused one must not hold up the sweep."""
        sweep, settings = self._run.sweep, self._run.job.settings
        if not all(sweep.settled(status_unit(status)) for status in chain(OPEN, CLOSED)):
            return False
        if self._lists.sites is None:
            return False
        days = sweep.days(settings.history_days, settings.future_days)
        return sweep.settled(WHOLE) or all(sweep.settled(day_unit(day)) for day in days)
