"""docs/reference/rest.md says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_facade.resources.operation_definition import OPERATIONS, Operation
from fhir_facade.resources.published import published
from fhir_facade.rest import errors
from fhir_facade.rest.batch import MAX_ENTRIES
from fhir_facade.search import result_parameters
from fhir_facade.search.chain import MAX_STEPS
from fhir_facade.search.parse import MAX_PAIRS, MAX_VALUES, NEGOTIATED
from fhir_facade.search.query import DEFAULT_COUNT, MAX_COUNT
from fhir_facade.search.run import CHEAP_TOTAL
from fhir_facade.search.sort import MAX_KEYS
from fhir_facade.search.values.text import MAX_ALTERNATIVES

BASE = "https://h.example/fhir/acme"
PAGE = (Path(__file__).parents[3] / "docs/reference/rest.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(result_parameters.NAMES | NEGOTIATED))
def test_names_every_parameter_about_the_answer(name: str) -> None:
    assert f"`{name}" in PAGE


def test_states_the_limits() -> None:
    assert f"default {DEFAULT_COUNT}, at most {MAX_COUNT};" in PAGE
    assert f"{CHEAP_TOTAL:,}" in PAGE
    assert f"at most {MAX_PAIRS} parameters, {MAX_ALTERNATIVES:,} values in each" in PAGE
    assert f"and {MAX_VALUES:,} values in all" in PAGE


def test_states_the_limits_of_chains_sorts_and_batches() -> None:
    assert (MAX_STEPS, MAX_KEYS) == (2, 5)
    assert "go through two other resources" in PAGE
    assert "up to five parameters" in PAGE
    assert f"at most {MAX_ENTRIES} entries" in PAGE


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.code)
def test_names_every_operation_and_its_parameters(operation: Operation) -> None:
    assert f"- **`${operation.code}`**" in PAGE
    if operation.code != "export":  # whose page is bulk.md
        part = PAGE.partition(f"- **`${operation.code}`**")[2].partition("\n- **")[0]
        for parameter in operation.parameters:
            if parameter.use == "in" and parameter.name != "resource":
                assert f"`{parameter.name}" in part


@pytest.mark.parametrize("name", sorted(published(BASE)))
def test_names_every_type_of_definitions(name: str) -> None:
    assert f"`{name}`" in PAGE or f"`[base]/{name}`" in PAGE


def test_lists_every_status_of_a_domain_error() -> None:
    table = PAGE.partition("| Status | When |")[2]
    for _, status in errors._STATUS:
        if status != 409:  # no interaction of this release can conflict
            assert str(status) in table
