"""The lists of QUBS: sites with what belongs to them, appointments by status, by day and as a
whole, the worklist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta

from fhir_facade.resources.subject import Subject
from fhir_facade.sync.pull import Outcome, Run
from fhir_facade.sync.sweep import DENIED, DONE
from fhir_facade.upstream.errors import NarrowerQueryNeeded
from fhir_facade.upstream.pulled import Page
from fhir_facade.upstream.qubs_words import SITES, STATUSES, TELE_REPORTING

CLOSED = ("FINALISED", "APPPOINTMENT CANCELLED", "DID NOT ATTEND")
"""Statuses in which nothing is expected to change: the cold tier. All others are open."""
OPEN = tuple(status for status in STATUSES if status not in CLOSED)
WHOLE = "list"


def status_unit(status: str) -> str:
    """The sweep's unit of a status."""
    return f"status:{status}"


def day_unit(day: date) -> str:
    """The sweep's unit of a day."""
    return f"day:{day.isoformat()}"


class Lists:
    """The list steps of one run. Keeps which sites and which pending appointments were listed."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.sites: tuple[str, ...] | None = None
        """The sites as listed in this run; None when the list could not be read."""
        self.pending: frozenset[str] | None = None
        """Appointments on the worklist; None until all of it was read."""
        self.near: set[str] = set()
        """Appointments of yesterday, today and tomorrow."""
        self._rows = 0

    def lost_sites(self) -> frozenset[str]:
        """Sites that are stored but not listed any more; all when the list could not be read."""
        stored = frozenset(self._run.stores.worklist.present(*self._run.where, SITES))
        return stored - frozenset(self.sites or ())

    def read_sites(self) -> None:
        """Pull the sites, and the settings, exam codes and skill grid of each."""
        run = self._run
        listed = run.attempt("sites", run.client.sites)
        if listed.value is None:
            return
        run.ingest.page(listed.value)
        self.sites = tuple(record.key for record in listed.value.records)
        for done, site in enumerate(self.sites, 1):
            self._read_site(site)
            run.tell("sites", done, len(self.sites))
        run.flush()
        run.report.reached.update(f"site {site}" for site in self.sites)
        run.report.gone.update(f"site {site}" for site in self.lost_sites())

    def _read_site(self, site: str) -> None:
        run, client = self._run, self._run.client
        label = f"site {site}"
        settings = run.attempt(label, lambda: client.site_settings(site))
        if settings.value is not None:
            run.ingest.record(settings.value)
        exams = run.attempt(label, lambda: client.exam_codes(site))
        if exams.value is not None:
            run.ingest.array(exams.value)
        skills = run.attempt(label, lambda: client.staff_skills(site))
        if skills.value is not None:
            run.ingest.record(skills.value)

    def read_status(self, status: str, *, resume: bool) -> None:
        """Pull one status. With `resume`, each page is a resting place for later rounds."""
        run, unit = self._run, status_unit(status)
        begun = run.sweep.state_of(unit)
        start = begun if resume and begun not in (None, DONE, DENIED) else None
        pages = lambda: run.client.operational_by_status(status, start=start)  # noqa: E731
        outcome = self._read(unit, f"status {status}", pages, resume=resume)
        self._settle(unit, outcome)

    def read_near_days(self) -> None:
        """Pull the hot days, whatever the status of their appointments."""
        today = self._run.today()
        options = self._run.job.options
        for offset in range(-options.hot_days_before, options.hot_days_after + 1):
            self.read_day(today + timedelta(days=offset), near=abs(offset) <= 1)

    def read_day(self, day: date, *, near: bool = False) -> None:
        """Pull one day, site by site when it is too long or not granted as a whole."""
        run, unit = self._run, day_unit(day)
        keep = self.near if near else None
        try:
            outcome = self._read(unit, "days", lambda: run.client.operational(day=day), keys=keep)
        except NarrowerQueryNeeded:
            outcome = "denied"
        if outcome == "denied":
            outcomes = [self._read_site_day(day, site, keep) for site in self.sites or ()]
            outcome = "done" if outcomes and set(outcomes) == {"done"} else "failed"
        self._settle(unit, outcome)

    def _read_site_day(self, day: date, site: str, keys: set[str] | None) -> Outcome:
        run = self._run
        try:
            return self._read(
                day_unit(day),
                f"site {site}",
                lambda: run.client.operational(day=day, site=site),
                keys=keys,
            )
        except NarrowerQueryNeeded:
            # A site with over 10,500 appointments a day; the lists by status have them all.
            return "done"

    def read_whole(self) -> bool:
        """Pull the whole list, for statuses nobody knows and appointments without a date.

        False when it is longer than offset paging reaches: then the days must do.
        """
        run = self._run
        try:
            outcome = self._read(WHOLE, "whole list", lambda: run.client.operational())
        except NarrowerQueryNeeded:
            run.flush()
            run.sweep.mark(WHOLE, "days")
            return False
        self._settle(WHOLE, outcome)
        return True

    def read_pending(self) -> None:
        """Pull the worklist, and end the pending view of what is no longer on it."""
        run = self._run
        listed: set[str] = set()
        outcome = self._read("pending", "worklist", lambda: run.client.pending(), keys=listed)
        if outcome == "done":
            self.pending = frozenset(listed)
            self._end_pending(self.pending)
        self._settle("pending", outcome)

    def _end_pending(self, pending: frozenset[str]) -> None:
        """Only the pending view ends: its record stays, as the last word on what it alone knows."""
        run = self._run
        worklist = run.stores.worklist
        ended = [k for k in worklist.present(*run.where, TELE_REPORTING) if k not in pending]
        for key in ended:
            run.check()
            run.stores.records.mark_missing(*run.where, TELE_REPORTING, key, run.sweep.number)
        if ended:
            run.report.pending_ended += len(ended)
            # What is held of a superseded link is settled when the appointment is mapped.
            run.stores.records.mark_dirty(*run.where, [Subject("appointment", k) for k in ended])

    def _read(
        self,
        unit: str,
        label: str,
        pages: Callable[[], Iterator[Page]],
        *,
        keys: set[str] | None = None,
        resume: bool = False,
    ) -> Outcome:
        """Pull a list to its end; its rows are stored when this returns."""
        run = self._run

        def read() -> None:
            for page in pages():
                run.check()
                run.ingest.page(page)
                self._rows += len(page.records)
                run.tell("appointments", self._rows)
                if keys is not None:
                    keys.update(record.key for record in page.records)
                if resume and page.next_token is not None:
                    run.flush()
                    run.sweep.mark(unit, page.next_token)

        try:
            outcome = run.attempt(label, read).outcome
        finally:
            run.flush()
        return outcome

    def _settle(self, unit: str, outcome: Outcome) -> None:
        if outcome == "done":
            self._run.sweep.mark(unit, DONE)
        elif outcome == "denied":
            self._run.sweep.mark(unit, DENIED)


def listed_completely(run: Run) -> bool:
    """Whether this sweep has seen every list of appointments to its end, so that absence means
    something.
    """
    sweep, settings = run.sweep, run.job.settings
    if any(sweep.state_of(status_unit(status)) != DONE for status in STATUSES):
        return False
    if sweep.state_of(WHOLE) == DONE:
        return True
    days = sweep.days(settings.history_days, settings.future_days)
    return all(sweep.state_of(day_unit(day)) == DONE for day in days)
