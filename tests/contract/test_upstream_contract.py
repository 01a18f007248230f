"""Every upstream client against the shared suite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest

from fhir_facade.settings import QubsSource
from fhir_facade.upstream.backoff import Retries
from fhir_facade.upstream.errors import AccessDenied, NotFoundUpstream
from fhir_facade.upstream.qubs import QubsClient, open_qubs
from fhir_facade.upstream.qubs_words import STATUSES
from fhir_facade.upstream.transport import Timeouts
from tests.contract.upstream_suite import Adapter, Read, UpstreamSuite, records_of
from tests.support.qubs import CLIENT_ID, CLIENT_SECRET, Running, emulator_process

RETRIES = Retries(attempts=4, first=0.01, longest=0.03, obey=2.0)
SITE = "Ōrākei Radiology"


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with emulator_process("--appointments", "150", "--patients", "40") as emulator:
        yield emulator


@contextmanager
def open_client(
    url: str,
    *,
    client_id: str = CLIENT_ID,
    secret: str = CLIENT_SECRET,
    budget: Any = None,
    on_call: Any = None,
    stop: Any = None,
) -> Iterator[QubsClient]:
    source = QubsSource.model_validate(
        {
            "domain": "acme",
            "client_id": client_id,
            "client_secret": secret,
            "base_url": url,
            "token_url": f"{url}/oauth2/token",
        }
    )
    client = open_qubs(source, stop=stop, timeouts=Timeouts(2, 5, 10), retries=RETRIES)
    client.http.budget, client.http.on_call = budget, on_call
    try:
        yield client
    finally:
        client.close()


class TestQUBS(UpstreamSuite):
    @pytest.fixture
    def adapter(self, running: Running) -> Adapter:
        running.control.reset()
        with open_client(running.url) as client:
            pending = records_of(client.pending())[0]
            named = next(p for p in pending if isinstance(p.body, dict) and p.body["patientId"])
            assert isinstance(named.body, dict)
            key, patient = named.key, str(named.body["patientId"])
            commented = self._with(client.comments, pending, "comment")
            attached = self._with(client.attachments, pending, "attachment")
        comment, attachment = commented[1], attached[1]
        by_status = "operational_by_status"
        return Adapter(
            open=lambda **more: open_client(running.url, **more),
            reads=(
                Read("sites", lambda c: c.sites(), "sites", paged=True),
                Read("site_settings", lambda c: c.site_settings(SITE), "site-settings"),
                Read("exam_codes", lambda c: c.exam_codes(SITE), "exam-codes"),
                Read("staff_skills", lambda c: c.staff_skills(SITE), "staff-skills"),
                Read("operational", lambda c: c.operational(), "operational", paged=True),
                Read(
                    by_status,
                    lambda c: c.operational_by_status("FINALISED"),
                    "operational",
                    paged=True,
                ),
                Read("appointment", lambda c: c.appointment(key), "operational"),
                Read("referrer", lambda c: c.referrer(), "referrer", paged=True),
                Read(
                    "referrer_by_status",
                    lambda c: c.referrer_by_status("FINALISED"),
                    "referrer",
                    paged=True,
                ),
                Read(
                    "referrer_operational",
                    lambda c: c.referrer_operational(),
                    "referrer-operational",
                    paged=True,
                ),
                Read(
                    "referrer_operational_by_status",
                    lambda c: c.referrer_operational_by_status("FINALISED"),
                    "referrer-operational",
                    paged=True,
                ),
                Read("billing", lambda c: c.billing(key), "billing"),
                Read("pending", lambda c: c.pending(), "tele-reporting", paged=True),
                Read("pending_appointment", lambda c: c.pending_appointment(key), "tele-reporting"),
                Read("patient", lambda c: c.patient(patient), "patients"),
                Read("comments", lambda c: c.comments(key), "comments"),
                Read("comments_pending", lambda c: c.comments(key, pending=True), "comments"),
                Read("comment", lambda c: c.comment(commented[0], comment), "comments"),
                Read(
                    "comment_pending",
                    lambda c: c.comment(commented[0], comment, pending=True),
                    "comments",
                ),
                Read(
                    "attachment",
                    lambda c: c.attachment(attached[0], attachment, pending=True),
                    "attachments",
                ),
            ),
            control=running.control,
            unknown=lambda c: c.appointment("A000000X"),
            forbidden={"client_id": "sandbox-zenith"},
            wrong_secret={"secret": "wrong"},
            secrets=frozenset({key, patient, CLIENT_SECRET, running.url, "Radiology", "eyJ"}),
        )

    @staticmethod
    def _with(listing: Any, pending: list[Any], what: str) -> tuple[str, str]:
        for item in pending:
            body = listing(item.key, pending=True).record.body
            if body:
                return item.key, body[0]["guid"]
        raise AssertionError(f"no pending appointment has a {what}")

    def test_presigned_addresses_stay_out_of_representations(self, adapter: Adapter) -> None:
        with adapter.open() as client:
            pending = records_of(client.pending())[0]
            listed = [client.attachments(item.key).record for item in pending]
        bodies = [row for record in listed for row in record.body]
        assert any(row.get("url") for row in bodies)
        assert not any("http" in repr(record) for record in listed)

    def test_all_statuses_together_are_the_whole_list(self, adapter: Adapter) -> None:
        with adapter.open() as client:
            whole = {record.key for record in records_of(client.operational())[0]}
            by_status: list[str] = []
            for status in STATUSES:
                rows = records_of(client.operational_by_status(status))[0]
                assert {row.body["status"] for row in rows} <= {status}  # type: ignore[call-overload]
                by_status += [row.key for row in rows]
        assert sorted(by_status) == sorted(whole)

    def test_filters_by_day_and_site_are_sent(self, adapter: Adapter) -> None:
        with adapter.open() as client:
            whole = [r.body for r in records_of(client.operational())[0]]
            dated = next(b for b in whole if isinstance(b, dict) and b.get("appointmentDate"))
            day, site = date.fromisoformat(dated["appointmentDate"]), dated["scheduledSite"]
            found = [r.body for r in records_of(client.operational(day=day, site=site))[0]]
        assert dated in found
        for body in found:
            assert isinstance(body, dict)
            assert (body["appointmentDate"], body["scheduledSite"]) == (day.isoformat(), site)

    def test_the_other_reading_of_the_settings_path_is_tried(self, adapter: Adapter) -> None:
        operation = "integrations_getsitesettings_summary"
        adapter.control.add_fault("status", status=404, operation=operation)
        with adapter.open() as client:
            assert client.site_settings(SITE).body["timeZone"] == "Pacific/Auckland"
            with pytest.raises(NotFoundUpstream):
                client.site_settings("Nowhere")

    def test_refresh_tokens_are_used_when_issued(self, running: Running, adapter: Adapter) -> None:
        running.control.change_settings(refresh_tokens=True)
        with adapter.open() as client:
            assert records_of(client.sites())[0]
            running.control.advance_clock(3700)
            assert records_of(client.sites())[0]

    def test_a_client_without_the_grant_reads_no_billing(
        self, running: Running, adapter: Adapter
    ) -> None:
        read = next(read for read in adapter.reads if read.name == "billing")
        with (
            open_client(running.url, client_id="sandbox-acme") as client,
            pytest.raises(AccessDenied),
        ):
            read.call(client)
