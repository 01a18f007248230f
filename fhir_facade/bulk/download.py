"""Files of a complete export: who may have one, and where it lies (Bulk Data Access 2.0, "File
Request").

The file is handed to the web server as a path, never as a stream of lines.
"""

from __future__ import annotations

import re

from fhir_facade.bulk.compress import GZIP_SUFFIX
from fhir_facade.bulk.model import BulkParts, ExportPrincipal, JobState, ServedFile
from fhir_facade.bulk.parameters import NDJSON
from fhir_facade.bulk.scope import covers_file
from fhir_facade.bulk.status import find_job
from fhir_facade.bulk.store import JobStore
from fhir_facade.errors import Forbidden, NotFound

_NAME = re.compile(r"([1-9][0-9]{0,8})\.([A-Za-z]{1,64})\.ndjson", re.ASCII)


def served_file(
    parts: BulkParts,
    tenant: str,
    principal: ExportPrincipal,
    job_id: str,
    name: str,
    *,
    gzip: bool = False,
) -> ServedFile:
    """A file by the last segment of its URL. `gzip` says that the client accepts the compressed
    copy; it gets one if there is one.

    Raises NotFound when the job is not the client's or has no such file (any more), Forbidden when
    the token's scopes do not cover what the file holds.
    """
    store = JobStore(parts.db)
    job = find_job(store, tenant, principal, job_id)
    match = _NAME.fullmatch(name)
    file = None
    if job.state is JobState.COMPLETE and match is not None:
        file = store.file(job.id, int(match[1]))
    if file is None or file.name != name:
        raise NotFound(
            "The export has no such file.", diagnostics="The manifest lists the files it has."
        )
    if not covers_file(principal, job, file):
        raise Forbidden(
            "The scopes of the token do not cover this file.",
            diagnostics="Ask for a token with the scopes that the export was started with.",
        )
    return _locate(parts, file.key, file.sha256, job.finished_us or 0, gzip=gzip)


def _locate(parts: BulkParts, key: str, sha256: str, modified_us: int, *, gzip: bool) -> ServedFile:
    packed = parts.files.path(key + GZIP_SUFFIX) if gzip else None
    path = packed or parts.files.path(key)
    if path is None:
        raise NotFound("The file is gone.", diagnostics="Start a new export.")
    return ServedFile(
        path=str(path),
        etag=f"{sha256}-gzip" if packed else sha256,
        size=path.stat().st_size,
        modified_us=modified_us,
        media_type=NDJSON,
        encoding="gzip" if packed else None,
    )
