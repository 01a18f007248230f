"""References between resources (R4 references.html)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.r4_types import is_r4_type

_LITERAL = re.compile(
    r"(?:(?P<base>https?://[^\s?#]+)/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A literal reference `[base/]Type/id[/_history/version]`; `base` is None on this server."""

    type: str
    id: str
    version: str | None = None
    base: str | None = None

    def __str__(self) -> str:
        prefix = f"{self.base}/" if self.base else ""
        suffix = f"/_history/{self.version}" if self.version else ""
        return f"{prefix}{self.type}/{self.id}{suffix}"

    def absolute(self, fhir_base: str) -> str:
        """The same reference as an absolute URL; `fhir_base` stands in for this server's base."""
        return str(Reference(self.type, self.id, self.version, self.base or fhir_base.rstrip("/")))


def parse_reference(text: str, fhir_base: str | None = None) -> Reference | None:
    """Read a literal reference; None for anything else (`urn:`, `#contained`, canonical, not an R4
    type).

    An absolute URL under `fhir_base` comes back as a local one, so both spellings compare equal.
    """
    match = _LITERAL.fullmatch(text)
    if match is None or not is_r4_type(match["type"]):
        return None
    base = match["base"]
    if base is not None and fhir_base is not None and base == fhir_base.rstrip("/"):
        base = None
    return Reference(match["type"], match["id"], match["version"], base)


def reference_to(
    resource_type: str, resource_id: str, display: str | None = None
) -> dict[str, Any]:
    """A relative Reference element to a resource of this server; an empty `display` is left out."""
    element = {"reference": f"{resource_type}/{resource_id}"}
    if display:
        element["display"] = display
    return element


def iter_references(resource: FHIRResource) -> Iterator[str]:
    """Every `Reference.reference` in the resource, contained resources included, in document order.

    Canonical URLs and plain `url`/`uri` values are no References and are left out.
    """
    stack: list[Any] = [resource]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            text = node.get("reference")
            if isinstance(text, str):
                yield text
            stack.extend(reversed([v for v in node.values() if isinstance(v, dict | list)]))
        else:
            stack.extend(reversed([v for v in node if isinstance(v, dict | list)]))
