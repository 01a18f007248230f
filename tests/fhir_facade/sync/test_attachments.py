"""Attachments from the upstream's lists to documents, and away again."""

from __future__ import annotations

import pytest

from fhir_facade.fhir import json
from fhir_facade.resources.qubs_attachments import attachment_id
from fhir_facade.sync.job import QubsJob, Stores
from fhir_facade.sync.runner import sync_once
from fhir_facade.upstream.qubs import QubsClient
from fhir_facade.upstream.qubs_words import ATTACHMENTS
from tests.support.qubs import Running
from tests.support.syncing import content, keys_of, patient_of, resource, run_full

LIST = "integrations_listappointmentattachments"


def linked(stores: Stores) -> str:
    """An appointment whose patient is known."""
    return next(key for key in keys_of(stores) if patient_of(stores, key))


def lists_called(emu: Running) -> int:
    return int(emu.control.calls()["operations"].get(LIST, 0))


def test_an_attachment_comes_changes_and_goes_with_its_resources(
    both: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run_full(both, job, client)
    before = content(both)
    key = linked(both)
    guid = "5d6f0000-0000-4000-8000-00000000abcd"
    name = attachment_id(key, guid).removeprefix("qubs-")
    emu.control.add(
        "attachment", "acme", guid, appointmentId=key, fileName="scan.png", category="Worksheet"
    )
    run_full(both, job, client)
    document = resource(both, "DocumentReference", name)
    assert document is not None
    assert document["content"][0]["attachment"]["contentType"] == "image/png"
    assert resource(both, "Binary", name) is not None
    emu.control.change("attachment", "acme", guid, appointmentId=key, fileName="scan.pdf")
    run_full(both, job, client)
    binary = resource(both, "Binary", name)
    assert binary is not None
    assert (binary["contentType"], binary["meta"]["versionId"]) == ("application/pdf", "2")
    emu.control.remove("attachment", "acme", guid, appointmentId=key)
    run_full(both, job, client)
    gone = {kind: "deleted" for kind in ("DocumentReference", "Binary")}
    after = content(both)
    assert {kind: after.pop((kind, f"qubs-{name}")) for kind in gone} == gone
    assert after == before


def test_content_that_comes_later_makes_the_binary(
    stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    run_full(stores, job, client)
    key = linked(stores)
    guid = "5d6f0000-0000-4000-8000-00000000beef"
    name = attachment_id(key, guid).removeprefix("qubs-")
    emu.control.add(
        "attachment", "acme", guid, appointmentId=key, fileName="late.pdf", stored=False
    )
    run_full(stores, job, client)
    empty = resource(stores, "DocumentReference", name)
    assert empty is not None
    assert "url" not in empty["content"][0]["attachment"]
    assert resource(stores, "Binary", name) is None
    emu.control.change("attachment", "acme", guid, appointmentId=key, stored=True)
    run_full(stores, job, client)
    assert resource(stores, "Binary", name) is not None


@pytest.mark.parametrize(("kind", "more"), [("status", {"status": 500}), ("malformed", {})])
def test_a_list_that_cannot_be_read_takes_no_document_away(
    stores: Stores, job: QubsJob, client: QubsClient, emu: Running, kind: str, more: dict[str, int]
) -> None:
    run_full(stores, job, client)
    before = content(stores)
    fault = emu.control.add_fault(kind, operation=LIST, every=1, **more)
    sync_once(stores, job, full=True, client=client)
    assert content(stores) == before
    emu.control.remove_fault(fault)
    assert run_full(stores, job, client).ok
    assert content(stores) == before
    assert stores.quarantine.count("acme", "qubs") == 0


def test_addresses_never_reach_the_store(stores: Stores, job: QubsJob, client: QubsClient) -> None:
    run_full(stores, job, client)
    keys = keys_of(stores, ATTACHMENTS)
    rows = [
        row
        for key in keys
        for row in json.loads(stores.records.body("acme", "qubs", ATTACHMENTS, key) or b"[]")
    ]
    assert {row["hasContent"] for row in rows} >= {True}
    known = {"guid", "category", "fileName", "addedDateTime", "lastModifiedDateTime", "hasContent"}
    assert set().union(*rows) <= known


def test_a_full_run_asks_for_each_list_once(
    stores: Stores, job: QubsJob, client: QubsClient, emu: Running
) -> None:
    emu.control.clear_calls()
    run_full(stores, job, client)
    assert lists_called(emu) == len(keys_of(stores))
