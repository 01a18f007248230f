"""The read operations of the QUBS Integrations API v1, in QUBS's own words.

One method an operation. Lists are generators of pages; single records are `Pulled`. A row that
lacks its id, or is no object, comes out as `MalformedRow` and never stops a list. Every method
raises the UpstreamError family.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from fhir_facade.settings import QubsSource
from fhir_facade.upstream import paging
from fhir_facade.upstream.backoff import Retries
from fhir_facade.upstream.errors import CallFacts, NotFoundUpstream
from fhir_facade.upstream.http import Answer, UpstreamClient
from fhir_facade.upstream.oauth import ClientCredentials, Credentials
from fhir_facade.upstream.pulled import Page, Pulled
from fhir_facade.upstream.qubs_rows import (
    ArrayRecord,
    array_of,
    array_record,
    page_of,
    row_key,
    single,
)
from fhir_facade.upstream.qubs_words import (
    ATTACHMENTS,
    BILLING,
    COMMENTS,
    EXAM_CODES,
    OPERATIONAL,
    PATIENTS,
    REFERRER,
    REFERRER_OPERATIONAL,
    SITE_SETTINGS,
    SITES,
    STAFF_SKILLS,
    TELE_REPORTING,
)
from fhir_facade.upstream.transport import Timeouts


class QubsClient:
    """One domain of QUBS. Thread-safe; several clients may share the token source.

    `http` speaks to the host in `base_url`; this class knows the paths below
    `/integrations/v1/{domain}`.
    """

    def __init__(self, http: UpstreamClient, domain: str, auth: ClientCredentials) -> None:
        self.http = http
        self.domain = domain
        self._auth = auth
        self._settings_tail: tuple[str, ...] | None = None

    def check_access(self) -> None:
        """Raise AccessDenied, naming the domain, when the token may not read it; the token's errors
        otherwise.
        """
        self._auth.check_access(self.domain)

    def close(self) -> None:
        """Close the connections of the client and of its token source."""
        self.http.close()
        self._auth.close()

    # Sites

    def sites(self) -> Page:
        """All active sites, key `siteName`."""
        operation = "integrations_listsites"
        answer = self._get(operation, "sites")
        page = page_of(SITES, "siteName", array_of(operation, answer), answer.correlation_id)
        once = {record.key: record for record in reversed(page.records)}
        return Page(tuple(once[key] for key in sorted(once)), page.malformed)

    def site_settings(self, site: str) -> Pulled:
        """Settings of a site, by either of the two paths that the documents allow."""
        operation = "integrations_getsitesettings_summary"
        tails: tuple[tuple[str, ...], ...] = (("settings",), ())
        if self._settings_tail is not None:
            tails = (self._settings_tail,)
        for tail in tails:
            try:
                answer = self._get(operation, "sites", site, *tail)
            except NotFoundUpstream:
                if tail == tails[-1]:
                    raise
                continue
            record = single(operation, SITE_SETTINGS, site, "siteName", answer)
            self._settings_tail = tail
            return record
        raise NotFoundUpstream(CallFacts(operation))

    def exam_codes(self, site: str) -> ArrayRecord:
        """All exam codes of a site, as one record."""
        operation = "integrations_listexamcodes"
        answer = self._get(operation, "sites", site, "exam-codes")
        return array_record(operation, EXAM_CODES, site, "examCodeId", answer)

    def staff_skills(self, site: str) -> Pulled:
        """The skill grid of a site."""
        operation = "integrations_getstaffskills"
        answer = self._get(operation, "sites", site, "staff-skills")
        return single(operation, STAFF_SKILLS, site, None, answer)

    # Appointments

    def operational(self, *, day: date | None = None, site: str | None = None) -> Iterator[Page]:
        """The operational view by day and site, both optional; offset paging.

        Raises NarrowerQueryNeeded after the first 10,500 rows when there are more.
        """
        return self._offset(
            "integrations_listappointments_operational",
            OPERATIONAL,
            ("appointments", "operational"),
            _filters(day, site),
        )

    def operational_by_status(self, status: str, *, start: str | None = None) -> Iterator[Page]:
        """The operational view of one status; cursor paging, from token `start` when given."""
        return self._cursor(
            "integrations_listappointmentsbystatus_operational",
            OPERATIONAL,
            ("appointments", "operational", "by-status", status),
            start,
        )

    def appointment(self, appointment_id: str) -> Pulled:
        """The operational view of one appointment."""
        operation = "integrations_getappointment_operational"
        answer = self._get(operation, "appointments", "operational", appointment_id)
        return single(operation, OPERATIONAL, appointment_id, "appointmentId", answer)

    def referrer(self, *, day: date | None = None, site: str | None = None) -> Iterator[Page]:
        """The summary view that a referrer's grant filters; offset paging."""
        return self._offset(
            "integrations_listappointments_referrer",
            REFERRER,
            ("appointments", "referrer"),
            _filters(day, site),
        )

    def referrer_by_status(self, status: str, *, start: str | None = None) -> Iterator[Page]:
        """The referrer's summary view of one status; cursor paging."""
        return self._cursor(
            "integrations_listappointmentsbystatus_referrer",
            REFERRER,
            ("appointments", "referrer", "by-status", status),
            start,
        )

    def referrer_operational(
        self, *, day: date | None = None, site: str | None = None
    ) -> Iterator[Page]:
        """The operational view that a referrer's grant filters; offset paging."""
        return self._offset(
            "integrations_listappointments_referreroperational",
            REFERRER_OPERATIONAL,
            ("appointments", "referrer", "operational"),
            _filters(day, site),
        )

    def referrer_operational_by_status(
        self, status: str, *, start: str | None = None
    ) -> Iterator[Page]:
        """The referrer's operational view of one status; cursor paging."""
        return self._cursor(
            "integrations_listappointmentsbystatus_referreroperational",
            REFERRER_OPERATIONAL,
            ("appointments", "referrer", "operational", "by-status", status),
            start,
        )

    def billing(self, appointment_id: str) -> Pulled:
        """The billing view (grant `appointments:read_billing`)."""
        operation = "integrations_getappointment_billing"
        answer = self._get(operation, "appointments", appointment_id, "billing")
        return single(operation, BILLING, appointment_id, "appointmentId", answer)

    # Sub-lists of an appointment; `pending` reads them below /reporting, where 404 also means "not
    # pending"

    def attachments(self, appointment_id: str, *, pending: bool = False) -> ArrayRecord:
        """Attachments with fresh presigned addresses: use them at once, never store or log the
        record.
        """
        operation = _named("list", "attachments", pending)
        answer = self._get(operation, *_below(appointment_id, pending), "attachments")
        return array_record(operation, ATTACHMENTS, appointment_id, "guid", answer, keyed=True)

    def attachment(self, appointment_id: str, guid: str, *, pending: bool = False) -> Pulled:
        """One attachment with a fresh presigned address; key is its GUID."""
        operation = _named("get", "attachment", pending)
        answer = self._get(operation, *_below(appointment_id, pending), "attachments", guid)
        return single(operation, ATTACHMENTS, guid, "guid", answer)

    def comments(self, appointment_id: str, *, pending: bool = False) -> ArrayRecord:
        """Comments of an appointment and of its patient, as one record."""
        operation = _named("list", "comments", pending)
        answer = self._get(operation, *_below(appointment_id, pending), "comments")
        return array_record(operation, COMMENTS, appointment_id, "guid", answer)

    def comment(self, appointment_id: str, guid: str, *, pending: bool = False) -> Pulled:
        """One comment; key is its GUID."""
        operation = _named("get", "comment", pending)
        answer = self._get(operation, *_below(appointment_id, pending), "comments", guid)
        return single(operation, COMMENTS, guid, "guid", answer)

    # Tele-reporting and patients

    def pending(self, *, start: str | None = None) -> Iterator[Page]:
        """The tele-reporting worklist; cursor paging."""
        return self._cursor(
            "integrations_listpendingreportingappointments",
            TELE_REPORTING,
            ("reporting", "appointments", "pending"),
            start,
        )

    def pending_appointment(self, appointment_id: str) -> Pulled:
        """One worklist item; NotFoundUpstream when it is unknown or no longer pending."""
        operation = "integrations_getpendingreportingappointment"
        answer = self._get(operation, "reporting", "appointments", appointment_id)
        return single(operation, TELE_REPORTING, appointment_id, "appointmentId", answer)

    def patient(self, patient_id: str) -> Pulled:
        """The summary of one patient."""
        operation = "integrations_getpatient_summary"
        answer = self._get(operation, "patients", patient_id)
        return single(operation, PATIENTS, patient_id, "patientId", answer)

    # How the lists are read

    def _get(self, operation: str, *path: str, **params: str) -> Answer:
        return self.http.get(operation, ("integrations", "v1", self.domain, *path), params)

    def _cursor(
        self, operation: str, view: str, path: tuple[str, ...], start: str | None
    ) -> Iterator[Page]:
        def fetch(token: str | None) -> Answer:
            more = {} if token is None else {"nextToken": token}
            return self._get(operation, *path, pageSize=str(paging.MAX_TAKE), **more)

        for page in paging.cursor_pages(operation, fetch, _appointment_key, start=start):
            yield page_of(view, "appointmentId", page.rows, page.correlation_id, page.next_token)

    def _offset(
        self, operation: str, view: str, path: tuple[str, ...], filters: Mapping[str, str]
    ) -> Iterator[Page]:
        def fetch(skip: int, take: int) -> Answer:
            return self._get(operation, *path, skip=str(skip), take=str(take), **filters)

        for page in paging.offset_pages(operation, fetch, _appointment_key):
            yield page_of(view, "appointmentId", page.rows, page.correlation_id)


def open_qubs(
    source: QubsSource,
    *,
    stop: threading.Event | None = None,
    timeouts: Timeouts | None = None,
    retries: Retries | None = None,
) -> QubsClient:
    """The client of one configured domain, to be closed by the caller. `stop` ends its waits."""
    auth = ClientCredentials(
        Credentials(source.token_url, source.client_id, source.secret()), retries=retries, stop=stop
    )
    http = UpstreamClient(source.base_url, auth, timeouts=timeouts, retries=retries, stop=stop)
    return QubsClient(http, source.domain, auth)


def _appointment_key(row: Any) -> str | None:
    return row_key(row, "appointmentId")


def _filters(day: date | None, site: str | None) -> dict[str, str]:
    chosen = {} if day is None else {"appointmentDate": day.isoformat()}
    return chosen if site is None else {**chosen, "scheduledSite": site}


def _below(appointment_id: str, pending: bool) -> tuple[str, ...]:
    head = ("reporting", "appointments") if pending else ("appointments",)
    return (*head, appointment_id)


def _named(verb: str, noun: str, pending: bool) -> str:
    return f"integrations_{verb}{'pendingreporting' if pending else ''}appointment{noun}"
