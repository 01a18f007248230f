"""The attachments of a QUBS appointment, read from its stored list; documents are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_facade.fhir.ids import resource_id
from fhir_facade.resources import qubs_fields as fields
from fhir_facade.resources.context import (
    SOURCE,
    MappingWarning,
    QubsContext,
    Records,
    unknown,
)
from fhir_facade.upstream.qubs_words import ATTACHMENTS, HAS_CONTENT

MOST: Final = 90
"""Attachments of one appointment that are published, the latest first: all that one appointment
becomes must fit into one publishing transaction, each attachment with its Binary."""

UNKNOWN_TYPE: Final = "application/octet-stream"
CONTENT_TYPES: Final[Mapping[str, str]] = {
    "bmp": "image/bmp",
    "dcm": "application/dicom",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "gif": "image/gif",
    "htm": "text/html",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "mp4": "video/mp4",
    "pdf": "application/pdf",
    "png": "image/png",
    "rtf": "application/rtf",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "txt": "text/plain",
    "xml": "application/xml",
}
"""The media type that the ending of a file name stands for: QUBS tells no other."""
_REPORT = "report"


@dataclass(frozen=True, slots=True)
class Attachment:
    """One attachment. `id` is that of its DocumentReference and its Binary.

    `code` is the category as the tables spell it, `type_code` the LOINC code of it; None where the
    tables do not know the category. `added` and `changed` are FHIR instants. Without content there
    is nothing to be fetched (yet).
    """

    guid: str
    id: str
    category: str | None
    code: str | None
    type_code: str | None
    file_name: str | None
    content_type: str
    added: str | None
    changed: str | None
    has_content: bool

    @property
    def is_report(self) -> bool:
        """Whether it is the appointment's report, or a part of it."""
        return (self.category or "").casefold() == _REPORT

    def form(self, context: QubsContext) -> dict[str, Any]:
        """The FHIR Attachment (R4 datatypes.html#Attachment); the content is at the Binary."""
        found: dict[str, Any] = {"contentType": self.content_type}
        if self.has_content:
            found["url"] = f"{context.fhir_base}/Binary/{self.id}"
        if self.file_name:
            found["title"] = self.file_name
        if created := self.changed or self.added:
            found["creation"] = created
        return found


def attachment_id(appointment: str, guid: str) -> str:
    """The id of what is made of one attachment: GUIDs are unique within an appointment for sure."""
    return resource_id(SOURCE, appointment, guid)


def read_attachments(
    key: str, own: Records, context: QubsContext
) -> tuple[tuple[Attachment, ...], list[MappingWarning]]:
    """The attachments of appointment `key`, by id, and what was served under a default.

    Rows without a GUID are left out: they could not be fetched.
    """
    found: dict[str, Attachment] = {}
    warnings: list[MappingWarning] = []
    for row in own.get((ATTACHMENTS, key), ()):
        guid = fields.text(row, fields.GUID) if isinstance(row, dict) else None
        if guid is not None:
            one = _read(key, guid, row, context, warnings)
            found[one.id] = one
    latest = sorted(found.values(), key=lambda one: (one.changed or one.added or "", one.id))
    if len(latest) > MOST:
        warnings.append(MappingWarning("too-many-attachments"))
    return tuple(sorted(latest[-MOST:], key=lambda one: one.id)), warnings


def guid_of(appointment: str, rows: Any, resource_id_: str) -> str | None:
    """The GUID of the attachment of which the resource of this id was made; None when the stored
    list does not have it (any more)."""
    for row in rows if isinstance(rows, list) else ():
        guid = fields.text(row, fields.GUID) if isinstance(row, dict) else None
        if guid is not None and attachment_id(appointment, guid) == resource_id_:
            return guid
    return None


def _read(
    key: str,
    guid: str,
    row: Mapping[str, Any],
    context: QubsContext,
    warnings: list[MappingWarning],
) -> Attachment:
    category = fields.text(row, fields.CATEGORY)
    code, type_code = None, None
    if category is not None:
        table = context.tables.attachment_category
        code = table.spelled(category)
        type_code, known = table.lookup(category)
        if not known:
            warnings.append(unknown("unknown-attachment-category", category))
    file_name = fields.text(row, fields.FILE_NAME)
    return Attachment(
        guid=guid,
        id=attachment_id(key, guid),
        category=category,
        code=code,
        type_code=type_code,
        file_name=file_name,
        content_type=_content_type(file_name),
        added=_instant(row, fields.ADDED, warnings),
        changed=_instant(row, fields.LAST_MODIFIED, warnings),
        has_content=row.get(HAS_CONTENT) is True,
    )


def _content_type(file_name: str | None) -> str:
    ending = (file_name or "").rpartition(".")[2].casefold()
    return CONTENT_TYPES.get(ending, UNKNOWN_TYPE)


def _instant(
    row: Mapping[str, Any], names: fields.Names, warnings: list[MappingWarning]
) -> str | None:
    value = fields.text(row, names)
    if value is None:
        return None
    moment = fields.instant(value)
    if moment is None:
        warnings.append(MappingWarning("unreadable-date-time"))
    return moment
