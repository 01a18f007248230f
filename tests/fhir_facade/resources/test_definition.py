"""What definitions claim of elements, against the R4B models."""

from __future__ import annotations

import pytest

from fhir_facade.fhir.validation.elements import elements_of
from fhir_facade.resources.definition import SearchParameter
from fhir_facade.resources.registry import REGISTRY

SINGLE = [(name, p) for name, one in REGISTRY.items() for p in one.search if p.single]


@pytest.mark.parametrize(
    ("resource_type", "parameter"), SINGLE, ids=lambda x: getattr(x, "name", x)
)
def test_a_single_parameter_is_of_an_element_that_comes_once(
    resource_type: str, parameter: SearchParameter
) -> None:
    [path] = parameter.paths
    type_name = resource_type
    for step in path.split("."):
        found = [one for one in elements_of(type_name) if step in (one.name, f"{one.choice}[x]")]
        assert found
        assert not any(element.many for element in found)
        type_name = found[0].type


def test_dates_of_appointments_are_single() -> None:
    parameter = REGISTRY["Appointment"].parameter("date")
    assert parameter is not None
    assert parameter.single
