"""`/docs`: the OpenAPI description as one page for people. No script, one stylesheet: that of the
authorization server's pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flask import render_template

from fhir_facade.rest.openapi_operation import FORM
from fhir_facade.rest.openapi_parts import SCHEME
from fhir_facade.rest.parts import TenantParts


@dataclass(frozen=True)
class Shown:
    """One operation of the description as the page shows it."""

    method: str
    path: str
    operation: dict[str, Any]
    parameters: list[dict[str, Any]]

    @property
    def scopes(self) -> list[str]:
        """Scopes any of which opens it."""
        return [scope for one in self.operation["security"] for scope in one[SCHEME]]

    @property
    def is_public(self) -> bool:
        """Whether it takes no token."""
        return not self.operation["security"]

    @property
    def is_form(self) -> bool:
        """Whether the parameters come as a form."""
        return FORM in self.operation.get("requestBody", {}).get("content", {})

    @property
    def answers(self) -> list[str]:
        """The statuses of its answers."""
        return sorted(self.operation["responses"])


def docs_page(tenant: TenantParts, document: dict[str, Any]) -> bytes:
    """The page of a tenant, from its OpenAPI description; within a request."""
    shown = list(_shown(document))
    sections = [
        (tag, [one for one in shown if one.operation["tags"] == [tag["name"]]])
        for tag in document["tags"]
    ]
    return render_template(
        "rest/docs.html",
        tenant=tenant,
        document=document,
        sections=sections,
        stylesheet_url=f"{urlsplit(tenant.base).path}/auth/style.css",
    ).encode()


def _shown(document: dict[str, Any]) -> Iterator[Shown]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parameters = [_resolved(document, one) for one in operation.get("parameters", ())]
            yield Shown(method.upper(), path, operation, parameters)


def _resolved(document: dict[str, Any], parameter: dict[str, Any]) -> dict[str, Any]:
    name = parameter.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["parameters"][name] if name else parameter
    return found
