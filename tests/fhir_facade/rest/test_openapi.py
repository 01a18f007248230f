"""The OpenAPI description and its page: valid, derived, and true to what the server does."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from fhir_facade.resources.registry import REGISTRY
from fhir_facade.rest.docs_page import docs_page
from fhir_facade.rest.openapi import document_of, routes
from fhir_facade.rest.openapi_routes import DESCRIBED, LEFT_OUT
from fhir_facade.rest.parts import TenantParts
from tests.support.rest_app import SYDNEY, RestApp, base_of
from tests.support.tokens import user_token

DOCTOR = user_token("user/*.rs", role="admin")


@pytest.fixture(scope="module")
def document(calm: RestApp) -> dict[str, Any]:
    answer = calm.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.json is not None
    return answer.json


def resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    found: Any = document
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def parameters(document: dict[str, Any], path: str, method: str = "get") -> list[dict[str, Any]]:
    listed = document["paths"][path][method]["parameters"]
    return [resolved(document, one) for one in listed]


def test_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_route_is_described_or_left_out_knowingly(calm: RestApp) -> None:
    described = {(route, method) for route, methods in DESCRIBED.items() for method in methods}
    found = set(routes(calm.app))
    assert described == {(route, method) for route, method in found if route not in LEFT_OUT}
    assert set(LEFT_OUT) <= {route for route, _ in found}


@pytest.mark.parametrize("name", list(REGISTRY))
def test_a_type_has_its_paths_and_parameters(document: dict[str, Any], name: str) -> None:
    paths = document["paths"]
    for rest in ("", "/{id}", "/{id}/_history", "/{id}/_history/{version}"):
        assert set(paths[f"/{name}{rest}"]) == {"get"}
    assert set(paths[f"/{name}/_search"]) == {"post"}
    assert (f"/{name}/_history" in paths) == (name != "AuditEvent")
    names = [one["name"] for one in parameters(document, f"/{name}")]
    assert len(names) == len(set(names))
    own = {one.name for one in REGISTRY[name].search}
    assert {*own, "_id", "_lastUpdated", "_sort", "_count", "_total", "_summary"} <= set(names)
    body = paths[f"/{name}/_search"]["post"]["requestBody"]
    form = body["content"]["application/x-www-form-urlencoded"]["schema"]["properties"]
    assert set(form) == set(names)


@pytest.mark.parametrize("name", list(REGISTRY))
def test_the_example_of_each_parameter_works(
    calm: RestApp, document: dict[str, Any], name: str
) -> None:
    for one in parameters(document, f"/{name}"):
        if "example" not in one:
            values = one["schema"].get("enum", [])
        else:
            values = one["example"] if one["schema"]["type"] == "array" else [one["example"]]
        assert values or one["name"] == "_cursor"
        for value in values:
            answer = calm.get(f"/{name}", DOCTOR, query_string={one["name"]: value})
            assert answer.status_code == 200, (one["name"], value, answer.data)


def test_contents_are_described_as_they_are_sent(document: dict[str, Any]) -> None:
    answers = document["paths"]["/Binary/{id}"]["get"]["responses"]
    for status in ("200", "206"):
        assert {"application/pdf", "image/tiff", "*/*"} <= set(answers[status]["content"])
        assert "ETag" in answers[status]["headers"]
    assert answers["200"]["content"]["application/fhir+json"]["schema"]["$ref"].endswith("/Binary")
    assert answers["206"]["headers"]["Content-Range"]["required"]
    assert "Content-Range" in resolved(document, answers["416"])["headers"]
    assert {"304", "404", "410", "413", "502", "503", "504"} <= set(answers)


def test_operations_have_ids_tags_scopes_and_failures(document: dict[str, Any]) -> None:
    scheme = document["components"]["securitySchemes"]["smart"]
    flows = scheme["flows"]
    scopes = {*flows["authorizationCode"]["scopes"], *flows["clientCredentials"]["scopes"]}
    tags = {tag["name"] for tag in document["tags"]}
    ids = set()
    for operations in document["paths"].values():
        for operation in operations.values():
            ids.add(operation["operationId"])
            assert set(operation["tags"]) <= tags
            for one in operation["security"]:
                assert set(one["smart"]) <= scopes
            public = operation["security"] == []
            assert ("401" in operation["responses"]) != public
            assert {"404", "500"} <= set(operation["responses"])
    assert len(ids) == sum(len(one) for one in document["paths"].values())
    assert flows["authorizationCode"]["authorizationUrl"] == f"{base_of('acme')}/auth/authorize"
    assert "patient/Group.r" not in scopes
    assert "system/Group.r" in scopes


@pytest.mark.parametrize("name", ["Patient", "Appointment", "ConceptMap", "StructureDefinition"])
def test_the_schema_of_a_type_has_its_elements_only(
    calm: RestApp, document: dict[str, Any], name: str
) -> None:
    schema = document["components"]["schemas"][name]
    assert schema["additionalProperties"] is False
    found = calm.get(f"/{name}", DOCTOR).json
    assert found is not None
    for entry in found["entry"]:
        elements = {key for key in entry["resource"] if not key.startswith("_")}
        assert elements <= set(schema["properties"])


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_is_public_cached_and_open_to_any_origin(calm: RestApp, path: str) -> None:
    first = calm.get(path, headers={"Origin": "https://app.example"})
    assert first.status_code == 200
    assert first.headers["Access-Control-Allow-Origin"] == "*"
    assert first.headers["Cache-Control"] == "public, max-age=300"
    again = calm.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert calm.get(path, tenant="globex").headers["ETag"] != first.headers["ETag"]
    assert calm.request("POST", path).status_code == 405
    assert calm.get(path, tenant="nobody").status_code == 404


class Page(HTMLParser):
    """What a page holds that matters here."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name == "href":
                self.links.append(value or "")
            elif name == "style" or name.startswith("on"):
                self.inline.append(name)


def test_the_page_shows_every_operation_without_a_script(
    calm: RestApp, document: dict[str, Any]
) -> None:
    answer = calm.get("/docs")
    assert answer.mimetype == "text/html"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    page = Page()
    page.feed(answer.get_data(as_text=True))
    assert page.tags.isdisjoint({"script", "style", "iframe", "form"})
    assert page.inline == []
    assert len(page.ids) == len(set(page.ids))
    shown = {
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    }
    assert shown <= set(page.ids)
    inner = {link[1:] for link in page.links if link.startswith("#")}
    assert inner <= set(page.ids)
    assert all(
        link.startswith(("#", "data:", base_of("acme"), "/prefix/fhir/acme/auth/style.css"))
        for link in page.links
    )


def test_the_page_escapes_what_settings_say(calm: RestApp) -> None:
    named = TenantParts("acme", "<b>A & B</b>", base_of("acme"), SYDNEY, REGISTRY)
    with calm.app.test_request_context():
        page = docs_page(named, document_of(named, calm.app)).decode()
    assert "<b>" not in page
    assert "&lt;b&gt;A &amp; B&lt;/b&gt;: FHIR R4 interface" in page
