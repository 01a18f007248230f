"""The CapabilityStatement: valid, derived, and true to what the server does."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from werkzeug.test import TestResponse

from fhir_facade.bulk.parameters import parse_order
from fhir_facade.fhir.systems import BULK_DATA, OAUTH_URIS
from fhir_facade.fhir.validation import deep_check
from fhir_facade.resources.operation_definition import OPERATIONS
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.rest import docref, everything
from fhir_facade.rest.openapi import routes
from tests.support.rest_app import RestApp, base_of
from tests.support.tokens import user_token

DOCTOR = user_token("user/*.rs", role="admin")


def statement(rest: RestApp) -> dict[str, Any]:
    answer = rest.get("/metadata")
    assert answer.status_code == 200
    assert answer.json is not None
    return answer.json


def test_is_valid_and_needs_no_token(calm: RestApp) -> None:
    found = statement(calm)
    assert deep_check(found) == []
    assert found["fhirVersion"] == "4.0.1"
    assert found["implementation"]["url"] == base_of("acme")
    assert found["instantiates"] == [BULK_DATA]
    assert "Australia/Sydney" in found["rest"][0]["documentation"]


@pytest.mark.parametrize("name", ["source", "target"])
def test_maps_are_found_by_the_canonicals_that_they_name(calm: RestApp, name: str) -> None:
    def found(query: str) -> list[str]:
        answer = calm.get(f"/ConceptMap?{query}&_sort={name}", DOCTOR)
        assert answer.json is not None, answer.data
        return [entry["resource"][f"{name}Canonical"] for entry in answer.json.get("entry", ())]

    one, *others = sorted(set(found(f"{name}:missing=false")))
    assert set(found(f"{name}={one}")) == {one}
    assert found(f"{name}={one}x") == []
    assert others[0] in found(f"{name}:below={others[0][:-1]}")
    chained = calm.get(f"/ConceptMap?{name}.status=active", DOCTOR)
    assert chained.status_code == 400
    assert calm.get(f"/ConceptMap?_include=ConceptMap:{name}", DOCTOR).status_code == 400


def test_names_the_smart_endpoints(calm: RestApp) -> None:
    security = statement(calm)["rest"][0]["security"]
    (extension,) = security["extension"]
    assert extension["url"] == OAUTH_URIS
    uris = {part["url"]: part["valueUri"] for part in extension["extension"]}
    assert uris["authorize"] == f"{base_of('acme')}/auth/authorize"
    assert uris["token"] == f"{base_of('acme')}/auth/token"
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"


def test_says_what_the_registry_says(calm: RestApp) -> None:
    entries = entries_of(calm)
    assert set(entries) == set(REGISTRY)
    for name, definition in REGISTRY.items():
        names = [p["name"] for p in entries[name]["searchParam"]]
        assert names == ["_id", "_lastUpdated", *(p.name for p in definition.search)]
        assert all(p["definition"].startswith("http") for p in entries[name]["searchParam"])
        assert entries[name].get("supportedProfile", []) == list(definition.profiles)
    assert "Provenance:target" in entries["Patient"]["searchRevInclude"]
    assert "Appointment:patient" in entries["Appointment"]["searchInclude"]
    assert [op["name"] for op in entries["Group"]["operation"]] == ["export", "validate"]


def entries_of(rest: RestApp) -> dict[str, dict[str, Any]]:
    return {entry["type"]: entry for entry in statement(rest)["rest"][0]["resource"]}


VALUES = {
    "date": "2026",
    "number": "1",
    "quantity": "1",
    "reference": "x",
    "string": "x",
    "token": "x",
    "uri": "http://x",
}


@pytest.mark.parametrize("name", list(REGISTRY))
def test_every_parameter_and_include_it_names_works(calm: RestApp, name: str) -> None:
    entry = entries_of(calm)[name]
    queries = [f"{p['name']}={VALUES[p['type']]}" for p in entry["searchParam"]]
    queries += [f"_include={value}" for value in entry.get("searchInclude", ())]
    queries += [f"_revinclude={value}" for value in entry.get("searchRevInclude", ())]
    for query in queries:
        answer = calm.get(f"/{name}?{query}", DOCTOR)
        assert answer.status_code == 200, (query, answer.data)


def reaches(answer: TestResponse) -> bool:
    """Whether a request got as far as looking for the resource."""
    assert answer.json is not None
    if answer.status_code == 404:
        return bool(answer.json["issue"][0]["code"] == "not-found")
    return answer.status_code == 200


@pytest.mark.parametrize("name", list(REGISTRY))
def test_every_interaction_it_names_works_and_no_other(calm: RestApp, name: str) -> None:
    paths = {
        "read": f"/{name}/none",
        "vread": f"/{name}/none/_history/1",
        "history-instance": f"/{name}/none/_history",
        "history-type": f"/{name}/_history",
        "search-type": f"/{name}",
    }
    named = {one["code"] for one in entries_of(calm)[name]["interaction"]}
    worked = {code for code, path in paths.items() if reaches(calm.get(path, DOCTOR))}
    assert worked == named
    for method, path in (("POST", f"/{name}"), ("PUT", f"/{name}/x"), ("DELETE", f"/{name}/x")):
        assert calm.request(method, path, DOCTOR).status_code == 405


def test_system_interactions_it_names_work(calm: RestApp) -> None:
    (rest,) = statement(calm)["rest"]
    empty = {"resourceType": "Bundle", "type": "batch"}
    answers = {
        "batch": calm.request("POST", "", DOCTOR, json=empty),
        "search-system": calm.get("?_type=Patient", DOCTOR),
        "history-system": calm.get("/_history", DOCTOR),
    }
    assert {one["code"] for one in rest["interaction"]} == set(answers)
    assert {answer.status_code for answer in answers.values()} == {200}
    for parameter in rest["searchParam"]:
        assert calm.get(f"?{parameter['name']}={VALUES[parameter['type']]}", DOCTOR).json


def definition_of(rest: RestApp, operation: dict[str, str]) -> dict[str, Any]:
    """The published definition that the statement speaks of."""
    url = operation["documentation"].rpartition(" ")[2].rstrip(".")
    found = rest.get(f"/OperationDefinition?url={url}", DOCTOR).json
    assert found is not None
    (entry,) = found["entry"]
    assert entry["resource"]["base"] == operation["definition"]
    assert entry["resource"]["code"] == operation["name"]
    return dict(entry["resource"])


SENT: dict[str, Any] = {
    "validate": {"method": "POST", "json": {"resourceType": "Patient"}},
    "export": {"method": "GET"},
    "everything": {"method": "GET"},
    "docref": {"method": "GET", "query_string": "patient=p1"},
}


@pytest.mark.parametrize("name", list(REGISTRY))
def test_every_operation_it_names_is_at_its_levels(calm: RestApp, name: str) -> None:
    for operation in entries_of(calm)[name].get("operation", ()):
        definition = definition_of(calm, operation)
        sent = dict(SENT[operation["name"]])
        method = sent.pop("method")
        for level, way in (("type", ""), ("instance", "/none")):
            path = f"/{name}{way}/${operation['name']}"
            answer = calm.request(method, path, DOCTOR, **sent)
            assert answer.json is not None
            missing = answer.status_code == 404 and answer.json["issue"][0]["code"] == (
                "not-supported"
            )
            assert definition[level] != (missing or answer.status_code == 405), (path, answer.data)


NAMED = {
    "/Patient/$everything": "$everything",
    "/Patient/<patient_id>/$everything": "$everything",
    "/Patient/<patient_id>/*": "search-system",
    "/Patient/<patient_id>/_search": "search-system",
    "/Patient/<patient_id>/<within:resource_type>": "search-type",
    "/Patient/<patient_id>/<within:resource_type>/_search": "search-type",
    "/DocumentReference/$docref": "$docref",
    "/<resource_type>/$validate": "$validate",
    "/<resource_type>/<resource_id>/$validate": "$validate",
    "/Group/<group_id>/$export": "$export",
    "/_search": "search-system",
    "/_history": "history-system",
    "/<type_name:resource_type>": "search-type",
    "/<resource_type>/_search": "search-type",
    "/<resource_type>/_history": "history-type",
    "/<resource_type>/<instance_id:resource_id>": "read",
    "/Binary/<instance_id:resource_id>": "read",
    "/<resource_type>/<resource_id>/_history": "history-instance",
    "/<resource_type>/<resource_id>/_history/<version>": "vread",
}
BOTH = {("", "GET"), ("/", "GET"), ("", "POST"), ("/", "POST")}
LEFT_OUT = {
    "/metadata": "the statement itself",
    "/openapi.json": "no FHIR; named in the description",
    "/docs": "no FHIR; named in the description",
    "/bulkstatus/<job>": "of $export, found by its answers",
    "/bulkfiles/<job>/<name>": "of $export, found by its answers",
}


def test_every_route_is_named_or_left_out_knowingly(calm: RestApp) -> None:
    (rest,) = statement(calm)["rest"]
    told = {one["code"] for one in rest["interaction"]}
    for entry in rest["resource"]:
        told |= {one["code"] for one in entry["interaction"]}
        told |= {f"${one['name']}" for one in entry.get("operation", ())}
    found = set(routes(calm.app))
    assert BOTH <= found
    assert {route for route, _ in found - BOTH} == set(NAMED) | set(LEFT_OUT)
    assert told == {*NAMED.values(), "batch"}


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/_search", {"POST", "OPTIONS"}),
        ("/_history", {"GET", "HEAD", "OPTIONS"}),
        ("/Patient", {"GET", "HEAD", "OPTIONS"}),
        ("/Patient/_search", {"POST", "OPTIONS"}),
        ("/Patient/_history", {"GET", "HEAD", "OPTIONS"}),
        ("/Patient/p1", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_path_allows_what_it_does(calm: RestApp, path: str, allowed: set[str]) -> None:
    for method in ("PUT", "OPTIONS"):
        answer = calm.request(method, path, DOCTOR)
        assert answer.status_code == (405 if method == "PUT" else 204)
        assert set(answer.headers["Allow"].split(", ")) == allowed


def test_operations_take_the_parameters_their_definitions_name() -> None:
    taken = {
        one.code: {parameter.name for parameter in one.parameters if parameter.use == "in"}
        for one in OPERATIONS
    }
    assert taken["everything"] == set(everything.NAMES)
    assert taken["docref"] == set(docref.NAMES)
    now = {"handling": None, "zone": ZoneInfo("UTC"), "now_us": 0}
    for name in taken["export"]:
        value = {"_since": "1960", "_outputFormat": "ndjson"}.get(name, "Patient")
        assert parse_order([(name, value)], **now).left_out == ()


def test_is_cached_by_its_tag(calm: RestApp) -> None:
    first = calm.get("/metadata")
    again = calm.get("/metadata", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert again.data == b""
    assert "public" in first.headers["Cache-Control"]
    other = calm.get("/metadata", tenant="globex")
    assert other.headers["ETag"] != first.headers["ETag"]
    head = calm.request("HEAD", "/metadata")
    assert head.headers["Content-Length"] == first.headers["Content-Length"]


@pytest.mark.parametrize("query", ["?mode=full", "?mode=normative", "?_format=json", "/"])
def test_other_forms(calm: RestApp, query: str) -> None:
    answer = calm.get(f"/metadata{query}")
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["resourceType"] == "CapabilityStatement"


def test_terminology(calm: RestApp) -> None:
    answer = calm.get("/metadata?mode=terminology")
    assert answer.json is not None
    assert answer.json["resourceType"] == "TerminologyCapabilities"
    assert deep_check(answer.json) == []
    listed = {one["uri"] for one in answer.json["codeSystem"]}
    served = calm.get("/CodeSystem?_count=100", DOCTOR).json
    assert served is not None
    assert listed == {entry["resource"]["url"] for entry in served["entry"]}


def test_its_extension_is_published(calm: RestApp) -> None:
    (extension,) = statement(calm)["extension"]
    assert extension["valueCode"] == "Australia/Sydney"
    found = calm.get(f"/StructureDefinition?url={extension['url']}", DOCTOR).json
    assert found is not None
    (entry,) = found["entry"]
    assert entry["resource"]["context"][0]["expression"] == "CapabilityStatement"


def test_nothing_is_ignored(calm: RestApp) -> None:
    assert calm.get("/metadata?colour=red").status_code == 400
    assert calm.get("/metadata?_summary=count").status_code == 400


def test_parts_of_the_statement(calm: RestApp) -> None:
    short = calm.get("/metadata?_summary=true&_pretty=true")
    assert short.json is not None
    assert {"fhirVersion", "software", "rest", "status", "format"} <= set(short.json)
    assert short.json["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert deep_check(short.json) == []
    named = calm.get("/metadata?mode=terminology&_elements=software").json
    assert named is not None
    assert (named["resourceType"], "codeSystem" in named) == ("TerminologyCapabilities", False)
    assert calm.get("/metadata").headers["ETag"] != short.headers["ETag"]
