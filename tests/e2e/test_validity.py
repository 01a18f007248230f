"""What the demo serves, judged by a validator that is not ours: @medplum/core on the definitions of
R4. Profiles that a resource claims are held to what US Core requires of it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_facade.fhir.validation.deep import deep_check
from tests.support.demo import RunningDemo
from tests.support.fhir_api import Api, api_of
from tests.support.node import NodeClients

DIRECTORY = ("Organization", "Location", "Practitioner", "Group")
DEFINITIONS = (
    "CodeSystem",
    "ConceptMap",
    "OperationDefinition",
    "SearchParameter",
    "StructureDefinition",
    "ValueSet",
)
VALIDATE = Path(__file__).parent / "clients" / "validate.mjs"
PROFILES = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
# What US Core 3.1.1 requires beyond R4: elements, `a|b` for one of them.
REQUIRED = {
    "patient": ("identifier.system", "identifier.value", "name.family|name.given", "gender"),
    "diagnosticreport-note": (
        "status",
        "category",
        "code",
        "subject",
        "effectiveDateTime|effectivePeriod",
    ),
    "location": ("name",),
    "organization": ("active", "name"),
    "practitioner": ("identifier.system", "identifier.value", "name.family"),
    "provenance": ("target", "recorded", "agent.who"),
}
DATA_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


def present(value: Any, path: str) -> bool:
    """Whether an element is there, or the reason why it is not."""
    if isinstance(value, list):
        return bool(value) and all(present(one, path) for one in value)
    if not path:
        return value is not None
    if not isinstance(value, dict):
        return False
    if DATA_ABSENT in json.dumps(value.get("extension", [])):
        return True
    head, _, rest = path.partition(".")
    if DATA_ABSENT in json.dumps(value.get(f"_{head}", {})):
        return True
    return head in value and present(value[head], rest)


def lacking(resource: dict[str, Any]) -> Iterator[str]:
    """What a resource lacks of the profiles it claims."""
    for profile in resource.get("meta", {}).get("profile", []):
        name = profile.removeprefix(PROFILES).partition("|")[0]
        for wanted in REQUIRED.get(name, ()):
            if not any(present(resource, path) for path in wanted.split("|")):
                yield f"{resource['resourceType']}/{resource['id']}: {name}: {wanted}"


def everything(api: Api) -> list[dict[str, Any]]:
    """An export, every page of a search by type, and the server's own documents."""
    found = [resource for _, resource in api.export().lines()]
    found.append(api.get("/metadata", None).json())
    found.append(api.get("/NoSuchType").json())
    for name in ("Patient", "Appointment", "DiagnosticReport", "Provenance"):
        found += api.pages(api.search(name, "_count=200"))
    for name in (*DIRECTORY, *DEFINITIONS):
        found += api.pages(api.search(name, "_count=50", who="backend"), who="backend")
    found.append(api.search("Appointment", "_include=Appointment:patient&_count=20"))
    found.append(api.search("Patient", "_summary=count"))
    return found


@pytest.fixture(scope="module")
def served(demo: RunningDemo) -> list[dict[str, Any]]:
    return everything(api_of(demo)) + everything(api_of(demo, "zenith"))


@pytest.mark.node
def test_a_foreign_validator_accepts_all(
    served: list[dict[str, Any]], node: NodeClients, tmp_path: Path
) -> None:
    lines = tmp_path / "served.ndjson"
    lines.write_text("".join(json.dumps(one) + "\n" for one in served))
    if kept := os.environ.get("E2E_STATE"):
        (Path(kept) / "served.ndjson").write_bytes(lines.read_bytes())
    with lines.open() as given:
        done = subprocess.run(
            node.command(VALIDATE), stdin=given, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"checked": len(served), "failed": 0}


@pytest.mark.node
def test_the_foreign_validator_can_fail(node: NodeClients) -> None:
    bad = {"resourceType": "Patient", "id": "x", "birthDate": "yesterday", "colour": "red"}
    done = subprocess.run(
        node.command(VALIDATE), input=json.dumps(bad), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[-1]) == {"checked": 1, "failed": 1}


def test_our_models_accept_documents_and_bundles(served: list[dict[str, Any]]) -> None:
    kinds = {"CapabilityStatement", "OperationOutcome", *DEFINITIONS}
    inside = [entry["resource"] for one in served for entry in one.get("entry", ())]
    documents = [one for one in (*served, *inside) if one["resourceType"] in kinds]
    assert {one["resourceType"] for one in documents} == kinds
    assert [problem for one in documents for problem in deep_check(one)] == []


def test_claimed_profiles_have_what_they_require(served: list[dict[str, Any]]) -> None:
    claims = [
        profile
        for one in served
        for profile in one.get("meta", {}).get("profile", [])
        if profile.startswith(PROFILES)
    ]
    assert {claim.removeprefix(PROFILES).partition("|")[0] for claim in claims} >= {
        "patient",
        "diagnosticreport-note",
        "location",
        "organization",
    }
    assert [line for one in served for line in lacking(one)] == []


def test_the_requirements_can_fail() -> None:
    claim = {"meta": {"profile": [f"{PROFILES}patient"]}, "resourceType": "Patient", "id": "x"}
    assert len(list(lacking(claim))) == 4
    name = {"extension": [{"url": DATA_ABSENT, "valueCode": "unknown"}]}
    assert len(list(lacking({**claim, "name": [name], "gender": "male"}))) == 2
