"""The manifest of a complete export (Bulk Data Access 2.0, "Response - Complete Status")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_facade.bulk.model import ExportFile, Job, PartKind
from fhir_facade.fhir.dates import format_instant
from fhir_facade.fhir.systems import EXPORT_FILE_SHA256, EXPORT_FILE_SIZE


def manifest_of(job: Job, files: Sequence[ExportFile], base: str) -> dict[str, Any]:
    """The manifest as JSON. Every file carries its size in bytes and its SHA-256 (hex) as
    extensions.

    `transactionTime` is the instant of the job's revision: all that was published up to it is in
    the export, nothing after it. `base` is the tenant's FHIR base without trailing slash.
    """

    def section(kind: PartKind) -> list[dict[str, Any]]:
        return [_item(job, file, base) for file in files if file.kind is kind]

    return {
        "transactionTime": format_instant(job.transaction_us),
        "request": job.request_url,
        # Files are served by this server, under the rule of `scope.covers_file`.
        "requiresAccessToken": True,
        "output": section(PartKind.OUTPUT),
        "deleted": section(PartKind.DELETED),
        "error": section(PartKind.ERROR),
    }


def _item(job: Job, file: ExportFile, base: str) -> dict[str, Any]:
    return {
        "type": file.type,
        "url": f"{base}/bulkfiles/{job.id}/{file.name}",
        "count": file.count,
        "extension": {EXPORT_FILE_SIZE: file.size, EXPORT_FILE_SHA256: file.sha256},
    }
