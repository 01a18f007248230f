"""The plan of a job: its parts, in the order in which the manifest will number their files."""

from __future__ import annotations

from collections.abc import Callable

from fhir_facade.bulk.model import BulkParts, Job, PartKind, PlannedPart
from fhir_facade.bulk.slices import slices_of


def plan(parts: BulkParts, job: Job, beat: Callable[[int], None]) -> list[PlannedPart]:
    """Slices of every type in the order of `job.types`, then deletions, then what was left out.

    `beat` is called between steps and may raise to stop the work.
    """
    planned: list[PlannedPart] = []
    for name in job.types:
        slices = slices_of(parts.db, job.tenant, name, job.revision, parts.settings.part_rows)
        for one in slices:
            planned.append(one)
            beat(0)
    if job.since_revision is not None:
        planned.append(PlannedPart(PartKind.DELETED, "Bundle"))
    if job.left_out:
        planned.append(PlannedPart(PartKind.ERROR, "OperationOutcome", rows=len(job.left_out)))
    return planned
