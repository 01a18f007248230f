"""Holds requests and answers to an OpenAPI 3.1 document, and counts what of it was exercised."""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

ROOT = "urn:contract"
METHODS = ("get", "post", "put", "patch", "delete")
FORMATS = FormatChecker(())


@FORMATS.checks("date", raises=ValueError)
def _date(value: object) -> bool:
    return not isinstance(value, str) or (len(value) == 10 and bool(dt.date.fromisoformat(value)))


@FORMATS.checks("date-time", raises=ValueError)
def _date_time(value: object) -> bool:
    if not isinstance(value, str):
        return True
    return "T" in value and dt.datetime.fromisoformat(value).tzinfo is not None


@FORMATS.checks("uri")
def _uri(value: object) -> bool:
    return not isinstance(value, str) or bool(urlsplit(value).scheme and urlsplit(value).netloc)


class Contract:
    """One document. ``exercised`` holds the statuses answered so far by operation id; ``schemas``
    and ``members`` name the component schemas, and members of them, that a value was held to."""

    def __init__(self, path: Path) -> None:
        self.document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        resource: Resource[Any] = Resource(contents=self.document, specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource(ROOT, resource)
        self.exercised: dict[str, set[int]] = defaultdict(set)
        self.schemas: set[str] = set()
        self.members: set[tuple[str, str]] = set()
        self.operations: dict[str, tuple[str, str, dict[str, Any]]] = {
            operation["operationId"]: (method, path, operation)
            for path, item in self.document["paths"].items()
            for method, operation in item.items()
            if method in METHODS
        }
        self._routes = sorted(
            (
                (method, re.compile(re.sub(r"\{\w+\}", "([^/]+)", path) + "$"), operation_id)
                for operation_id, (method, path, _) in self.operations.items()
            ),
            key=lambda route: route[1].pattern.count("("),
        )

    def forget(self) -> None:
        """Start counting anew."""
        self.exercised.clear()
        self.schemas.clear()
        self.members.clear()

    def resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        """``node``, or what its ``$ref`` leads to."""
        while "$ref" in node:
            target: Any = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def operation_of(self, method: str, path: str) -> str:
        """The operation id of a request; the route with fewer variables wins."""
        for verb, pattern, operation_id in self._routes:
            if verb == method.lower() and pattern.match(path):
                return operation_id
        raise AssertionError(f"{method} {path} is not in the document")

    def parameters(self, operation_id: str, place: str) -> dict[str, dict[str, Any]]:
        """The parameters of an operation in ``path``, ``query`` or ``header``, by name."""
        listed = self.operations[operation_id][2].get("parameters", [])
        found = [self.resolve(parameter) for parameter in listed]
        return {each["name"]: each for each in found if each["in"] == place}

    def problems(self, schema: dict[str, Any], value: Any) -> list[str]:
        """What a schema of the document finds wrong with a value: places and rules, no values."""
        validator = Draft202012Validator(
            {"$id": ROOT + "/check", "allOf": [self._absolute(schema)]},
            registry=self._registry,
            format_checker=FORMATS,
        )
        return [
            f"{error.json_path}: {error.validator} {error.validator_value!r}"
            for error in validator.iter_errors(value)
        ]

    def _absolute(self, node: Any) -> Any:
        """A schema whose references name the document, so that it can stand alone."""
        if isinstance(node, dict):
            return {
                key: ROOT + value if key == "$ref" else self._absolute(value)
                for key, value in node.items()
            }
        return [self._absolute(each) for each in node] if isinstance(node, list) else node

    def hold(self, schema: dict[str, Any], value: Any) -> None:
        """Assert that a value keeps a schema and says nothing the schema does not name."""
        found = self.problems(schema, value)
        assert not found, found[:5]
        self._walk(schema, value)

    def _walk(self, schema: dict[str, Any], value: Any) -> None:
        name = schema.get("$ref", "").rpartition("/")[2]
        schema = self.resolve(schema)
        if name:
            self.schemas.add(name)
        for branch in schema.get("oneOf", ()):
            if not self.problems(branch, value):
                self._walk(branch, value)
        if isinstance(value, list) and "items" in schema:
            for item in value:
                self._walk(schema["items"], item)
        if isinstance(value, dict) and ("properties" in schema or "additionalProperties" in schema):
            self._walk_members(name, schema, value)

    def _walk_members(self, name: str, schema: dict[str, Any], value: dict[str, Any]) -> None:
        known = schema.get("properties", {})
        for key, item in value.items():
            if known:
                assert key in known, f"{name} does not name the member {key}"
                self.members.add((name, key))
                self._walk(known[key], item)
            elif isinstance(schema.get("additionalProperties"), dict):
                self._walk(schema["additionalProperties"], item)

    def hold_request(self, operation_id: str, response: requests.Response) -> None:
        """Assert that the request behind an answer keeps the document."""
        _, path, operation = self.operations[operation_id]
        sent = response.request
        parts = urlsplit(str(sent.url))
        names = re.findall(r"\{(\w+)\}", path)
        pattern = re.compile(re.sub(r"\{\w+\}", "([^/]+)", path) + "$")
        match = pattern.match(parts.path)
        assert match is not None
        for name, text in zip(names, match.groups(), strict=True):
            parameter = self.parameters(operation_id, "path")[name]
            self.hold(parameter["schema"], unquote(text))
        wanted = operation.get("requestBody")
        if wanted is not None:
            content_type = sent.headers["Content-Type"]
            assert content_type in wanted["content"]
            if content_type == "application/json":
                schema = wanted["content"][content_type]["schema"]
                self.hold(schema, requests.models.complexjson.loads(sent.body))

    def hold_answer(self, operation_id: str, response: requests.Response) -> None:
        """Assert that an answer keeps the document: status, headers, media type and body."""
        declared = self.operations[operation_id][2]["responses"]
        status = str(response.status_code)
        assert status in declared, f"{operation_id} does not declare {status}"
        wanted = self.resolve(declared[status])
        for name in wanted.get("headers", {}):
            assert name in response.headers or name == "Retry-After", f"{status} lacks {name}"
        content = wanted["content"]
        media_type = response.headers["Content-Type"].partition(";")[0]
        assert media_type in content, f"{operation_id} {status} is {media_type}"
        self.hold(content[media_type]["schema"], response.json())
        self.exercised[operation_id].add(response.status_code)
