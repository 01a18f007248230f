"""search in the compartment of one patient (https://hl7.org/fhir/R4/compartmentdefinition.html)."""

from __future__ import annotations

from flask import Response

from fhir_facade.errors import NotFound
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.rest.accesses import Access
from fhir_facade.rest.authorize import Authorizer, served_type
from fhir_facade.rest.read import checked_id
from fhir_facade.rest.search import SearchViews, form_pairs, query_pairs
from fhir_facade.search.compartment import in_compartment


class CompartmentViews:
    """The routes below `Patient/id`. A patient out of reach has an empty compartment, as one that
    does not exist has; a token for one patient is told that it names another.
    """

    def __init__(self, authorizer: Authorizer, searches: SearchViews) -> None:
        self._authorizer = authorizer
        self._searches = searches

    def by_get(self, tenant: str, patient_id: str, resource_type: str) -> Response:
        """`GET [base]/Patient/id/Type?…`. Raises NotFound for a type that is not in it."""
        access = self._authorizer.access(tenant, "search-type")
        definition = _type_within(access, resource_type)
        return self._searches.of_type(access, definition, query_pairs(), checked_id(patient_id))

    def by_post(self, tenant: str, patient_id: str, resource_type: str) -> Response:
        """`POST [base]/Patient/id/Type/_search`."""
        access = self._authorizer.access(tenant, "search-type")
        definition = _type_within(access, resource_type)
        pairs = [*query_pairs(), *form_pairs()]
        return self._searches.of_type(access, definition, pairs, checked_id(patient_id))

    def all_by_get(self, tenant: str, patient_id: str) -> Response:
        """`GET [base]/Patient/id/*?…`: every type that may be in it, or those of `_type`."""
        access = self._authorizer.access(tenant, "search-system")
        return self._searches.of_types(access, query_pairs(), checked_id(patient_id))

    def all_by_post(self, tenant: str, patient_id: str) -> Response:
        """`POST [base]/Patient/id/_search`, as `all_by_get`."""
        access = self._authorizer.access(tenant, "search-system")
        pairs = [*query_pairs(), *form_pairs()]
        return self._searches.of_types(access, pairs, checked_id(patient_id))


def _type_within(access: Access, name: str) -> ResourceDefinition:
    definition = served_type(access, name, "s")
    if not in_compartment(definition):
        raise NotFound(
            f"The compartment of a patient holds no {name}.",
            diagnostics=f"Search {name} by itself: [base]/{name}.",
        )
    return definition
