"""Request bodies of the three POSTs, checked; what is wrong is told per field in a 400."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

import orjson

from sandbox.qubs.problems import Problem, bad_request
from sandbox.qubs.records import utc_text

MAX_REPORT_BYTES = 2_097_152
MAX_FILES = 20
COMMENT_TYPES = ("AC", "AA", "PC", "PA")
CONTENT_TYPES = ("application/pdf", "application/dicom")
_INSTANT = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?\d*(Z|[+-]\d{2}:\d{2})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class NewComment:
    """A checked comment; ``written`` is UTC text or None."""

    text: str
    type: str
    alert: bool
    written: str | None


@dataclass(frozen=True, slots=True)
class NewFile:
    """One file to be uploaded."""

    file_name: str
    content_type: str | None


@dataclass(frozen=True, slots=True)
class NewReport:
    """A checked report; ``text`` is exactly as sent, ``status`` lower case."""

    text: str
    status: str
    reported_at: str | None
    clinician: dict[str, Any] | None


def parsed(mimetype: str, content: bytes) -> dict[str, Any]:
    """The JSON object of a request; raises Problem 400."""
    if mimetype != "application/json" and not mimetype.endswith("+json"):
        raise Problem(400, "The body must be application/json.")
    try:
        payload = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise Problem(400, "The body is not valid JSON.") from None
    if not isinstance(payload, dict):
        raise Problem(400, "The body must be a JSON object.")
    return payload


def comment(payload: dict[str, Any]) -> NewComment:
    """A CreateCommentRequest; raises Problem 400."""
    text = payload.get("commentText")
    if not isinstance(text, str) or not text.strip():
        raise bad_request("commentText", "commentText is required and must not be blank.")
    alert = payload.get("isAlert")
    if alert is not None and not isinstance(alert, bool):
        raise bad_request("isAlert", "isAlert must be true, false or null.")
    kind = payload.get("commentType")
    if kind is None:
        kind = "AA" if alert else "AC"
    if kind not in COMMENT_TYPES:
        raise bad_request("commentType", "commentType must be AC, AA, PC or PA.")
    return NewComment(
        text,
        kind,
        kind in ("AA", "PA") if alert is None else alert,
        _instant(payload, "commentDateTime"),
    )


def upload_items(payload: dict[str, Any]) -> list[NewFile]:
    """A CreateReportAttachmentsRequest; raises Problem 400."""
    items = payload.get("items")
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_FILES:
        raise bad_request("items", f"items must hold 1 to {MAX_FILES} files.")
    return [_file(item, f"items[{number}]") for number, item in enumerate(items)]


def _file(item: Any, place: str) -> NewFile:
    if not isinstance(item, dict):
        raise bad_request(place, f"{place} must be an object.")
    name, content_type = item.get("fileName"), item.get("contentType")
    if not isinstance(name, str) or not name.strip() or len(name) > 255:
        raise bad_request(f"{place}.fileName", "fileName must be 1 to 255 characters.")
    if content_type is not None and content_type not in CONTENT_TYPES:
        raise bad_request(
            f"{place}.contentType", "contentType must be application/pdf or application/dicom."
        )
    return NewFile(name, content_type)


def report(payload: dict[str, Any]) -> NewReport:
    """A SubmitReportRequest; raises Problem 400."""
    text = payload.get("reportText")
    if not isinstance(text, str) or not text:
        raise bad_request("reportText", "reportText is required.")
    if len(text.encode()) > MAX_REPORT_BYTES:
        raise bad_request("reportText", f"reportText exceeds {MAX_REPORT_BYTES} bytes as UTF-8.")
    status = payload.get("reportStatus")
    if not isinstance(status, str) or status.lower() not in ("preliminary", "final"):
        raise bad_request("reportStatus", "reportStatus must be preliminary or final.")
    clinician = payload.get("interpretingClinician")
    if clinician is not None and not isinstance(clinician, dict):
        raise bad_request("interpretingClinician", "interpretingClinician must be an object.")
    return NewReport(text, status.lower(), _instant(payload, "reportedAtUtc"), clinician)


def _instant(payload: dict[str, Any], name: str) -> str | None:
    value = payload.get(name)
    if value is None:
        return None
    try:
        if not isinstance(value, str) or not _INSTANT.fullmatch(value):
            raise ValueError(name)
        return utc_text(dt.datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        raise bad_request(name, f"{name} must be a date-time with a zone.") from None
