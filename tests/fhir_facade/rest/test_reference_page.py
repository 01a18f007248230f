"""docs/reference/rest.md says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_facade.rest import errors
from fhir_facade.search import result_parameters
from fhir_facade.search.parse import NEGOTIATED
from fhir_facade.search.query import DEFAULT_COUNT, MAX_COUNT
from fhir_facade.search.run import CHEAP_TOTAL

PAGE = (Path(__file__).parents[3] / "docs/reference/rest.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(result_parameters.NAMES | NEGOTIATED))
def test_names_every_parameter_about_the_answer(name: str) -> None:
    assert f"`{name}" in PAGE


def test_states_the_limits() -> None:
    assert f"default {DEFAULT_COUNT}, at most {MAX_COUNT};" in PAGE
    assert f"{CHEAP_TOTAL:,}" in PAGE


def test_lists_every_status_of_a_domain_error() -> None:
    table = PAGE.partition("| Status | When |")[2]
    for _, status in errors._STATUS:
        if status != 409:  # no interaction of this release can conflict
            assert str(status) in table
