"""The address parameters that Patient, Practitioner, Organization and Location share."""

from __future__ import annotations

from collections.abc import Callable

from fhir_facade.fhir.systems import ADDRESS_USE
from fhir_facade.resources.definition import SearchParameter, string, token

_PARTS = {
    "address-city": "address.city",
    "address-country": "address.country",
    "address-postalcode": "address.postalCode",
    "address-state": "address.state",
}


def address_parameters(definition: Callable[[str], str]) -> tuple[SearchParameter, ...]:
    """`address`, its four parts and `address-use`; `definition` gives each canonical URL."""
    return (
        string("address", "address", definition=definition("address")),
        *(string(name, path, definition=definition(name)) for name, path in _PARTS.items()),
        token(
            "address-use", "address.use", definition=definition("address-use"), system=ADDRESS_USE
        ),
    )
