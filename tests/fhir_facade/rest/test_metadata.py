"""The CapabilityStatement: valid, derived, and true to what the server does."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_facade.fhir.systems import BULK_DATA, OAUTH_URIS
from fhir_facade.fhir.validation import deep_check
from fhir_facade.resources.registry import REGISTRY
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


def test_names_the_smart_endpoints(calm: RestApp) -> None:
    security = statement(calm)["rest"][0]["security"]
    (extension,) = security["extension"]
    assert extension["url"] == OAUTH_URIS
    uris = {part["url"]: part["valueUri"] for part in extension["extension"]}
    assert uris["authorize"] == f"{base_of('acme')}/auth/authorize"
    assert uris["token"] == f"{base_of('acme')}/auth/token"
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"


def test_says_what_the_registry_says(calm: RestApp) -> None:
    entries = {entry["type"]: entry for entry in statement(calm)["rest"][0]["resource"]}
    assert set(entries) == set(REGISTRY)
    for name, definition in REGISTRY.items():
        names = [p["name"] for p in entries[name]["searchParam"]]
        assert names == ["_id", "_lastUpdated", *(p.name for p in definition.search)]
    assert "Provenance:target" in entries["Patient"]["searchRevInclude"]
    assert "Appointment:patient" in entries["Appointment"]["searchInclude"]
    assert [op["name"] for op in entries["Group"]["operation"]] == ["export"]


def test_every_parameter_and_include_it_names_works(calm: RestApp) -> None:
    values = {"date": "2026", "reference": "x", "token": "x", "string": "x", "uri": "http://x"}
    for entry in statement(calm)["rest"][0]["resource"]:
        name = entry["type"]
        queries = [f"{p['name']}={values[p['type']]}" for p in entry["searchParam"]]
        queries += [f"_include={value}" for value in entry.get("searchInclude", ())]
        queries += [f"_revinclude={value}" for value in entry.get("searchRevInclude", ())]
        for query in queries:
            answer = calm.get(f"/{name}?{query}", DOCTOR)
            assert answer.status_code == 200, (name, query, answer.data)


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


def test_nothing_is_ignored(calm: RestApp) -> None:
    assert calm.get("/metadata?colour=red").status_code == 400
