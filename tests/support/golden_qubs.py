"""The golden files of the QUBS mapping: records in, FHIR out.

`python -m tests.support.golden_qubs` writes the FHIR files anew; read the difference before you
commit it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fhir_facade.fhir import json
from fhir_facade.resources.provenance import Origin, provenance_for
from fhir_facade.resources.qubs import SubjectRecords, links_of, map_subject
from fhir_facade.resources.subject import Subject
from tests.support.qubs_records import CONTEXT

FOLDER = Path(__file__).parents[1] / "golden" / "qubs"
PULLED_US = 1_795_000_000_000_000


def cases() -> list[str]:
    """The names of all cases."""
    return sorted(p.name.removesuffix(".records.json") for p in FOLDER.glob("*.records.json"))


def expected(case: str) -> Any:
    """What the golden file of a case says."""
    return json.loads((FOLDER / f"{case}.fhir.json").read_bytes())


def mapped(case: str) -> dict[str, Any]:
    """What the case's records map to now, in the form of the golden file."""
    document = json.loads((FOLDER / f"{case}.records.json").read_bytes())
    subject = Subject(**document["subject"])
    own = _records(document["records"])
    related = {
        Subject(**entry["subject"]): _records(entry["records"])
        for entry in document.get("related", [])
    }
    result = map_subject(subject, SubjectRecords(own, related), CONTEXT)
    bodies = {**own, **{k: body for records in related.values() for k, body in records.items()}}
    found = {
        "resources": list(result.resources),
        "provenance": [
            provenance_for(resource, [_origin(key, bodies) for key in sources], CONTEXT)
            for resource, sources in zip(result.resources, result.sources, strict=True)
        ],
        "dependencies": [subject._asdict() for subject in result.dependencies],
        "links": {
            f"{view}/{key}": [s._asdict() for s in links_of(view, key, body)]
            for (view, key), body in own.items()
        },
        "warnings": [warning._asdict() for warning in result.warnings],
        "rejected": [rejection._asdict() for rejection in result.rejected],
    }
    return dict(json.loads(json.dumps(found)))


def all_resources() -> Iterator[dict[str, Any]]:
    """Every resource of every golden file, Provenance left out."""
    for case in cases():
        yield from expected(case)["resources"]


def _records(rows: list[dict[str, Any]]) -> dict[tuple[str, str], Any]:
    return {(row["view"], row["key"]): row["body"] for row in rows}


def _origin(key: tuple[str, str], bodies: dict[tuple[str, str], Any]) -> Origin:
    digest = hashlib.sha256(json.dumps(bodies[key])).hexdigest()
    return Origin(*key, PULLED_US, digest, "correlation-1")


if __name__ == "__main__":
    for name in cases():
        (FOLDER / f"{name}.fhir.json").write_bytes(json.dumps_pretty(mapped(name)) + b"\n")
