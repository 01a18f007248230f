"""The pages of docs/mapping/types are those the modules make, and the tables they print are true:
held to the golden files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from fhir_facade.fhir.systems import CANONICAL_BASE
from fhir_facade.resources.document import FOLDER, main, pages
from fhir_facade.resources.made_of import MADE_OF
from fhir_facade.resources.registry import REGISTRY
from tests.support import golden_qubs

EXTENSION = re.compile(r"extension\(([a-z-]+)\)")
NOT_MAPPED = {"resourceType", "meta"}


def golden() -> list[dict[str, Any]]:
    """Every golden resource, Provenances too."""
    found = list(golden_qubs.all_resources())
    for case in golden_qubs.cases():
        found += filter(None, golden_qubs.expected(case)["provenance"])
    return found


GOLDEN = golden()


def values(node: Any, path: str) -> Iterator[Any]:
    """What is at a path of `Made.elements`, or what is said of its absence."""
    if not path:
        yield node
    elif isinstance(node, list):
        for one in node:
            yield from values(one, path)
    elif isinstance(node, dict):
        head, _, rest = path.partition(".")
        if match := EXTENSION.fullmatch(head):
            url = f"{CANONICAL_BASE}/StructureDefinition/{match[1]}"
            yield from (one for one in node.get("extension", ()) if one["url"] == url)
            return
        for name in (head, f"_{head}"):
            if name in node:
                yield from values(node[name], rest)


def test_the_pages_are_those_the_modules_make() -> None:
    there = {page.name: page.read_text(encoding="utf-8") for page in FOLDER.glob("*.md")}
    assert there == pages()


def test_writing_removes_pages_of_types_that_are_gone(tmp_path: Any) -> None:
    (tmp_path / "Slot.md").write_text("# Slot\n")
    main(tmp_path)
    assert {page.name for page in tmp_path.iterdir()} == set(pages())


@pytest.mark.parametrize("name", list(REGISTRY))
def test_each_page_names_every_parameter_and_its_kind(name: str) -> None:
    text = pages()[f"{name}.md"]
    for parameter in REGISTRY[name].search:
        assert f"| `{parameter.name}` | {parameter.type}" in text
    assert pages()["README.md"].count(f"[{name}]({name}.md)") == 1


def test_every_mapped_type_has_its_table() -> None:
    assert set(MADE_OF) == {resource["resourceType"] for resource in GOLDEN}


@pytest.mark.parametrize("name", list(MADE_OF))
def test_each_element_of_the_golden_resources_is_in_the_table(name: str) -> None:
    told = {element for row in MADE_OF[name] for element in row.elements}
    heads = {EXTENSION.sub("extension", element).partition(".")[0] for element in told}
    made = {
        key.removeprefix("_")
        for resource in GOLDEN
        if resource["resourceType"] == name
        for key in resource
    }
    assert made - NOT_MAPPED <= heads


@pytest.mark.parametrize(
    ("name", "element"),
    [(name, element) for name, rows in MADE_OF.items() for row in rows for element in row.elements],
)
def test_each_element_of_the_table_is_in_a_golden_resource(name: str, element: str) -> None:
    assert any(
        list(values(resource, element)) for resource in GOLDEN if resource["resourceType"] == name
    )
