"""Presigned links take and give real bytes, once and for a while."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from sandbox.qubs.files import MAX_UPLOAD
from tests.support.qubs import QubsCaller, Running

PDF = {"Content-Type": "application/pdf"}


def _slot(
    caller: QubsCaller, pending: str, content_type: str | None = "application/pdf"
) -> dict[str, Any]:
    body = {"items": [{"fileName": "r é.pdf", "contentType": content_type}]}
    path = f"/reporting/appointments/{pending}/report/attachments"
    slot: dict[str, Any] = caller.api("acme", path, "POST", json=body).json()["items"][0]
    return slot


def _attachment(caller: QubsCaller, pending: str, guid: str, **parameters: Any) -> dict[str, Any]:
    path = f"/appointments/{pending}/attachments/{guid}"
    found: dict[str, Any] = caller.api("acme", path, params=parameters).json()
    return found


def _any_attachment(caller: QubsCaller, **parameters: Any) -> dict[str, Any]:
    for row in caller.api("acme", "/appointments/operational").json():
        path = f"/appointments/{row['appointmentId']}/attachments"
        for item in caller.api("acme", path, params=parameters).json():
            if item.get("url"):
                found: dict[str, Any] = item
                return found
    raise AssertionError("no attachment has content")


def _refused(response: requests.Response, status: int) -> None:
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("application/xml")


def test_uploaded_bytes_come_back(emulator: Running, caller: QubsCaller, pending: str) -> None:
    slot = _slot(caller, pending)
    before = _attachment(caller, pending, slot["guid"])
    assert (before["category"], before.get("url")) == ("report", None)
    content = bytes(range(256)) * 40
    assert requests.put(slot["uploadUrl"], content, headers=PDF, timeout=30).status_code == 200
    after = _attachment(caller, pending, slot["guid"], disposition="attachment")
    got = requests.get(after["url"], timeout=30)
    assert got.content == content
    assert got.headers["Content-Type"] == "application/pdf"
    assert got.headers["Content-Disposition"] == "attachment; filename*=UTF-8''r%20%C3%A9.pdf"
    part = requests.get(after["url"], headers={"Range": "bytes=10-19"}, timeout=30)
    assert (part.status_code, part.content) == (206, content[10:20])
    head = requests.head(after["url"], timeout=30)
    assert (head.headers["Content-Length"], head.content) == (str(len(content)), b"")


def test_one_put_a_link(emulator: Running, caller: QubsCaller, pending: str) -> None:
    slot = _slot(caller, pending)
    assert requests.put(slot["uploadUrl"], b"one", headers=PDF, timeout=30).status_code == 200
    _refused(requests.put(slot["uploadUrl"], b"two", headers=PDF, timeout=30), 403)
    link = _attachment(caller, pending, slot["guid"])["url"]
    assert requests.get(link, timeout=30).content == b"one"


def test_a_failed_put_leaves_the_link_usable(
    emulator: Running, caller: QubsCaller, pending: str
) -> None:
    url = _slot(caller, pending)["uploadUrl"]
    other = {"Content-Type": "application/dicom"}
    _refused(requests.put(url, b"x", headers=other, timeout=30), 403)
    _refused(requests.put(url, b"x" * (MAX_UPLOAD + 1), headers=PDF, timeout=30), 400)
    _refused(requests.put(url, b"", headers=PDF, timeout=30), 400)
    _refused(requests.put(url, iter([b"x"]), headers=PDF, timeout=30), 411)
    authorized = PDF | {"Authorization": "Bearer x"}
    _refused(requests.put(url, b"x", headers=authorized, timeout=30), 400)
    assert requests.put(url, b"x" * MAX_UPLOAD, headers=PDF, timeout=30).status_code == 200


def test_without_a_declared_type_any_is_taken(
    emulator: Running, caller: QubsCaller, pending: str
) -> None:
    slot = _slot(caller, pending, None)
    assert requests.put(slot["uploadUrl"], b"x", timeout=30).status_code == 200
    link = _attachment(caller, pending, slot["guid"])["url"]
    assert requests.get(link, timeout=30).headers["Content-Type"] == "application/octet-stream"


def test_upload_links_expire_after_15_minutes(
    emulator: Running, caller: QubsCaller, pending: str
) -> None:
    url = _slot(caller, pending)["uploadUrl"]
    emulator.control.advance_clock(901)
    _refused(requests.put(url, b"x", headers=PDF, timeout=30), 403)


@pytest.mark.parametrize(
    ("asked", "given"), [(None, 900), (1, 60), (-5, 60), (120, 120), (999_999, 3600)]
)
def test_download_links_live_as_asked_within_bounds(
    emulator: Running, caller: QubsCaller, asked: int | None, given: int
) -> None:
    item = _any_attachment(caller, **({} if asked is None else {"urlTtlSeconds": asked}))
    emulator.control.advance_clock(given - 3)
    assert requests.get(item["url"], timeout=30).content.startswith(b"%PDF-")
    emulator.control.advance_clock(4)
    _refused(requests.get(item["url"], timeout=30), 403)


def test_a_changed_link_is_refused(emulator: Running, caller: QubsCaller) -> None:
    url = _any_attachment(caller)["url"]
    assert "Bearer" not in url
    assert parse_qs(urlsplit(url).query)["disposition"] == ["inline"]
    bare = url.partition("?")[0]
    later = url.replace("expires=1", "expires=2")
    other = url.replace("inline", "attachment")
    for changed in (bare, later, other, url[:-1], url.replace("/acme/", "/zenith/")):
        _refused(requests.get(changed, timeout=30), 403)
    _refused(requests.get(url, headers={"Authorization": "Bearer x"}, timeout=30), 400)


def test_generated_files_are_the_same_each_time(emulator: Running, caller: QubsCaller) -> None:
    first, second = _any_attachment(caller), _any_attachment(caller)
    assert first["guid"] == second["guid"]
    contents = {requests.get(item["url"], timeout=30).content for item in (first, second)}
    assert len(contents) == 1
