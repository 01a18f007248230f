"""What the public US Core test kit asks of a server, for the types we have and for US Core 3.1.1
and 6.1.0: searches and their variants, reads, versions, included Provenance, references that lead
somewhere, elements that must be supported.

The kit takes values for later searches from what earlier ones found, and holds every match to the
parameters; so do these tests.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest

from tests.support import search_oracle as oracle
from tests.support.demo import RunningDemo
from tests.support.fhir_api import Api, api_of, entries, issue, link
from tests.support.random_world import escaped
from tests.support.search_paths import KINDS

Resource = dict[str, Any]
PROFILES = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
WELL_KNOWN = ("http://loinc.org", "http://terminology.hl7.org/", "http://snomed.info/sct")
WHOS = ["patient", "practitioner", "backend"]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MAX_PAGES = 20

FIRST = {
    "DiagnosticReport": ("patient",),
    "DocumentReference": ("patient",),
    "Location": ("name",),
    "Organization": ("name",),
    "Patient": ("_id",),
    "Practitioner": ("name",),
}
"""The search that finds the resources all others take their values from."""
SEARCHES = [
    ("DiagnosticReport", "patient category"),
    ("DiagnosticReport", "patient code"),
    ("DiagnosticReport", "patient status"),
    ("DiagnosticReport", "patient category date"),
    ("DiagnosticReport", "patient code date"),
    ("DocumentReference", "_id"),
    ("DocumentReference", "patient category"),
    ("DocumentReference", "patient category date"),
    ("DocumentReference", "patient type"),
    ("DocumentReference", "patient status"),
    ("DocumentReference", "patient type period"),
    ("Location", "name"),
    ("Organization", "name"),
    ("Patient", "identifier"),
    ("Patient", "name"),
    ("Patient", "birthdate name"),
    ("Patient", "gender name"),
    ("Patient", "birthdate family"),
    ("Patient", "family gender"),
    ("Practitioner", "_id"),
    ("Practitioner", "name"),
    ("Practitioner", "identifier"),
]
NO_VALUES = [
    ("Location", "address"),
    ("Location", "address-city"),
    ("Location", "address-state"),
    ("Location", "address-postalcode"),
    ("Organization", "address"),
    ("Patient", "death-date family"),
]
"""Searches for whose values no upstream has anything: they must work, and find nothing."""
MUST_SUPPORT: dict[str, tuple[str, str]] = {
    # what some resource has; what no upstream tells
    "DiagnosticReport": (
        "status category code subject effectiveDateTime performer presentedForm",
        "encounter result issued",
    ),
    "DocumentReference": (
        "identifier status type category subject content content.attachment"
        " content.attachment.contentType content.attachment.url",
        "context.encounter",
    ),
    "Location": (
        "status name managingOrganization",
        "telecom address.line address.city address.state address.postalCode",
    ),
    "Organization": (
        "identifier identifier.system identifier.value active name",
        "telecom address",
    ),
    "Patient": (
        "identifier identifier.system identifier.value name name.family name.given gender birthDate"
        " telecom telecom.system telecom.value address",
        "communication deceasedDateTime name.suffix address.line",
    ),
    "Practitioner": ("identifier identifier.system identifier.value name", "telecom address"),
    "Provenance": (
        "target target.reference recorded agent agent.type agent.who agent.onBehalfOf",
        "",
    ),
}
REFERENCES = {
    "DiagnosticReport": "subject performer presentedForm.url",
    "DocumentReference": "subject author custodian content.attachment.url",
    "Location": "managingOrganization",
    "Patient": "managingOrganization",
    "Provenance": "target agent.who agent.onBehalfOf",
}
PROFILED = {
    "DiagnosticReport": "diagnosticreport-note",
    "DocumentReference": "documentreference",
    "Location": "location",
    "Organization": "organization",
    "Patient": "patient",
    "Practitioner": "practitioner",
    "Provenance": "provenance",
}


@pytest.fixture(scope="module")
def api(demo: RunningDemo) -> Api:
    return api_of(demo)


@pytest.fixture(scope="module")
def zone(demo: RunningDemo) -> ZoneInfo:
    return ZoneInfo(demo.demo["timezone"])


def elements(resource: Any, path: str) -> Iterator[Any]:
    """Values at a dotted path, lists walked."""
    first, _, rest = path.partition(".")
    found = resource.get(first) if isinstance(resource, dict) else None
    for one in found if isinstance(found, list) else [found]:
        if one is not None:
            yield from elements(one, rest) if rest else iter((one,))


def found_by(
    api: Api, kind: str, params: dict[str, str], who: str, also: tuple[str, ...] = ()
) -> list[Resource]:
    """All matches of a search; its Bundles must hold only what they may."""
    bundle = api.search(kind, params, who)
    found: list[Resource] = []
    for number, page in enumerate(api.pages(bundle, who)):
        assert number < MAX_PAGES
        own = link(page, "self")
        assert own is not None
        assert urlsplit(own).path.endswith(f"/{kind}")
        for entry in page.get("entry", []):
            assert entry["resource"]["resourceType"] in (kind, "OperationOutcome", *also)
            assert entry["fullUrl"].endswith(
                f"/{entry['resource']['resourceType']}/{entry['resource']['id']}"
            )
        found += entries(page)
    return found


def first_search(api: Api, kind: str, who: str) -> list[Resource]:
    """What the first search of a type finds; of a directory type some references lead there."""
    patient = api.contract["patient_id"]
    if FIRST[kind] == ("_id",):
        return found_by(api, kind, {"_id": patient}, who)
    if FIRST[kind] == ("patient",):
        return found_by(api, kind, {"patient": patient}, who)
    return entries(api.search(kind, "_count=30", who))


def value_for(kind: str, param: str, resources: list[Resource], system: bool = False) -> str | None:
    """A value for a parameter, of the first resource that has one, chosen as the kit does."""
    for resource in resources:
        if param == "_id":
            return str(resource["id"])
        for node in oracle.nodes(resource, param):
            if isinstance(node, str):
                return escaped(node) if not system else None
            if "reference" in node:
                return str(node["reference"])
            if "start" in node or "end" in node:
                moment = dt.datetime.fromisoformat(node.get("start") or node["end"])
                return f"gt{(moment - dt.timedelta(days=1)).isoformat()}"
            if "coding" in node:
                codings = sorted(
                    node["coding"],
                    key=lambda one: not one.get("system", "").startswith(WELL_KNOWN),
                )
                code = codings[0]["code"]
                return f"{codings[0]['system']}|{code}" if system else str(code)
            if "value" in node:
                return f"{node['system']}|{node['value']}" if system else str(node["value"])
            text = node.get("family") or next(iter(node.get("given", [])), node.get("text"))
            text = text or node.get("city") or node.get("country")
            if text:
                return escaped(str(text))
    return None


def holds(resource: Resource, params: dict[str, str], zone: ZoneInfo) -> bool:
    kind = resource["resourceType"]
    return all(
        resource["id"] == value
        if name == "_id"
        else oracle.matches(resource, name, KINDS[(kind, name)], value.replace("\\", ""), zone)
        for name, value in params.items()
    )


@pytest.mark.parametrize("who", WHOS)
@pytest.mark.parametrize(("kind", "names"), SEARCHES)
def test_a_search_of_us_core_and_its_variants(
    api: Api, zone: ZoneInfo, who: str, kind: str, names: str
) -> None:
    known = first_search(api, kind, who)
    assert known
    params: dict[str, str] = {}
    for name in names.split():
        value = api.contract["patient_id"] if name == "patient" else value_for(kind, name, known)
        assert value is not None, name
        params[name] = value
    found = found_by(api, kind, params, who)
    assert found
    assert all(holds(one, params, zone) for one in found)
    assert {one["id"] for one in known if holds(one, params, zone)} <= {o["id"] for o in found}
    posted = api.call(
        "POST",
        f"/{kind}/_search",
        who,
        headers=FORM,
        body="&".join(f"{name}={_form(value)}" for name, value in params.items()),
    )
    assert posted.status_code == 200, posted.text
    assert entries(posted.json()) == found[: len(entries(posted.json()))]
    assert posted.json()["total"] == len(found)
    if "patient" in params:
        typed = {**params, "patient": f"Patient/{params['patient']}"}
        assert found_by(api, kind, typed, who) == found
    for name in params:
        if KINDS.get((kind, name)) == "token" and name not in ("gender", "status"):
            full = value_for(kind, name, found, system=True)
            if full is not None:
                assert found_by(api, kind, {**params, name: full}, who)


def _form(value: str) -> str:
    return value.replace("%", "%25").replace("+", "%2B").replace("&", "%26")


@pytest.mark.parametrize(("kind", "names"), NO_VALUES)
def test_a_search_for_what_is_not_told_finds_nothing(api: Api, kind: str, names: str) -> None:
    params = {name: "2020" if name.endswith("date") else "x" for name in names.split()}
    assert found_by(api, kind, params, "practitioner") == []


@pytest.mark.parametrize("who", WHOS)
@pytest.mark.parametrize(
    ("kind", "fixed"), [("DiagnosticReport", "category"), ("DiagnosticReport", "code")]
)
@pytest.mark.parametrize("comparator", ["gt", "ge", "lt", "le"])
def test_dates_take_the_comparators(
    api: Api, zone: ZoneInfo, who: str, kind: str, fixed: str, comparator: str
) -> None:
    known = first_search(api, kind, who)
    dated = next(one for one in known if any(True for _ in oracle.nodes(one, "date")))
    node = next(iter(oracle.nodes(dated, "date")))
    text = node if isinstance(node, str) else node["start"]
    moment = dt.datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    shift = dt.timedelta(days=1 if comparator in ("lt", "le") else -1)
    params = {
        "patient": api.contract["patient_id"],
        fixed: str(value_for(kind, fixed, [dated])),
        "date": f"{comparator}{(moment + shift).isoformat()}",
    }
    found = found_by(api, kind, params, who)
    assert dated["id"] in {one["id"] for one in found}
    assert all(holds(one, params, zone) for one in found)


@pytest.mark.parametrize("who", WHOS)
@pytest.mark.parametrize("kind", ["Patient", "DiagnosticReport", "DocumentReference"])
def test_provenance_comes_along(api: Api, who: str, kind: str) -> None:
    name = "_id" if kind == "Patient" else "patient"
    params = {name: api.contract["patient_id"], "_revinclude": "Provenance:target"}
    bundle = api.search(kind, params, who)
    matches = {f"{kind}/{one['id']}" for one in entries(bundle)}
    along = entries(bundle, "include")
    assert matches
    assert along
    assert {one["resourceType"] for one in along} == {"Provenance"}
    targets = {target["reference"] for one in along for target in one["target"]}
    assert matches <= targets
    for one in along:
        assert {target["reference"] for target in one["target"]} & matches


def sample(api: Api, kind: str, who: str = "practitioner") -> list[Resource]:
    return entries(api.search(kind, "_count=400", who))


@pytest.mark.parametrize("kind", sorted(PROFILED))
def test_read_vread_and_history(api: Api, kind: str) -> None:
    for one in sample(api, kind)[:5]:
        path = f"/{kind}/{one['id']}"
        read = api.get(path)
        assert read.status_code == 200
        assert read.json() == one
        version = one["meta"]["versionId"]
        assert api.get(f"{path}/_history/{version}").json() == one
        past = api.get(f"{path}/_history").json()
        assert past["type"] == "history"
        assert past["entry"][0]["resource"] == one
        assert len(past["entry"]) >= int(version)
    issue(api.get(f"/{kind}/nobody"), 404)


@pytest.mark.parametrize("kind", sorted(PROFILED))
def test_resources_claim_their_profile(api: Api, kind: str) -> None:
    claimed = [one.get("meta", {}).get("profile", []) for one in sample(api, kind)]
    assert any(f"{PROFILES}{PROFILED[kind]}" in profiles for profiles in claimed)


@pytest.mark.parametrize(("kind", "paths"), REFERENCES.items())
def test_references_lead_to_what_they_say(api: Api, kind: str, paths: str) -> None:
    resources = sample(api, kind)
    for path in paths.split():
        found = [node for one in resources for node in elements(one, path)]
        texts = {node if isinstance(node, str) else node.get("reference") for node in found}
        literal = sorted(text for text in texts if text)
        if path in ("author", "custodian") and not literal:
            continue
        assert literal, path
        for text in literal[:3]:
            target = text.removeprefix(f"{api.base}/")
            answer = api.get(f"/{target}")
            assert answer.status_code == 200, text
            assert answer.json()["resourceType"] == target.partition("/")[0]
            assert answer.json()["id"] == target.partition("/")[2]


@pytest.mark.parametrize("kind", sorted(MUST_SUPPORT))
def test_elements_that_must_be_supported_are_there(api: Api, kind: str) -> None:
    told, untold = MUST_SUPPORT[kind]
    resources = sample(api, kind)
    missing = [
        path for path in told.split() if not any(True for o in resources for _ in elements(o, path))
    ]
    assert missing == []
    present = [
        path for path in untold.split() if any(True for o in resources for _ in elements(o, path))
    ]
    assert present == [], "told now: assert it"


def test_slices_that_must_be_supported_are_there(api: Api) -> None:
    categories = {
        coding["code"]
        for one in sample(api, "DiagnosticReport")
        for category in one["category"]
        for coding in category["coding"]
    }
    assert {"LP29684-5", "RAD"} <= categories
    agents = [
        coding["code"]
        for one in sample(api, "Provenance")
        for agent in one["agent"]
        for coding in agent["type"]["coding"]
    ]
    assert "author" in agents


def test_what_is_missing_says_why(api: Api) -> None:
    """Mandatory elements without a value carry the reason (US Core, "Missing Data")."""
    for one in sample(api, "Practitioner"):
        for name in one["name"]:
            assert name.get("family") or any(
                extension["url"] == ABSENT and extension["valueCode"]
                for extension in name["_family"]["extension"]
            )
    for one in sample(api, "Patient"):
        assert one["gender"]
        for name in one["name"]:
            if "family" not in name and "given" not in name:
                assert any(extension["url"] == ABSENT for extension in name["extension"])


def test_laboratory_reports_can_be_asked_for(api: Api) -> None:
    params = {"patient": api.contract["patient_id"], "category": "LAB"}
    assert found_by(api, "DiagnosticReport", params, "patient") == []


def test_the_capability_statement_names_us_core(api: Api) -> None:
    statement = api.get("/metadata", None).json()
    assert statement["fhirVersion"] == "4.0.1"
    assert {"json", "application/fhir+json"} & set(statement["format"])
    resources = {one["type"]: one for one in statement["rest"][0]["resource"]}
    for kind, profile in PROFILED.items():
        assert f"{PROFILES}{profile}" in resources[kind]["supportedProfile"]
        codes = {one["code"] for one in resources[kind]["interaction"]}
        assert {"read", "vread", "history-instance", "search-type"} <= codes
    for kind, names in (*SEARCHES, *NO_VALUES):
        listed = {one["name"] for one in resources[kind]["searchParam"]}
        assert set(names.split()) <= listed
    for kind in ("Patient", "DiagnosticReport", "DocumentReference"):
        assert "Provenance:target" in resources[kind]["searchRevInclude"]


@pytest.mark.parametrize("kind", sorted(PROFILED))
def test_nothing_without_a_token(api: Api, kind: str) -> None:
    issue(api.get(f"/{kind}?_id=x", None), 401)
    issue(api.get(f"/{kind}/x", None), 401)
