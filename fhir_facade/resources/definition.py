"""How a FHIR type is declared. The registry is a list of these; router, CapabilityStatement,
search, scopes, export types and docs derive from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fhir_facade.fhir.systems import search_parameter
from fhir_facade.policy import ReachClass

ParameterType = Literal["token", "string", "date", "reference", "uri", "number", "quantity"]


@dataclass(frozen=True)
class SearchParameter:
    """One search parameter of one type (https://hl7.org/fhir/R4/search.html#ptypes).

    `paths` are dotted element paths inside the resource (`participant.actor`, `name.family`); lists
    are walked, and a segment that ends in `[x]` (`effective[x]`) takes whichever choice is present.
    A segment may keep only the members with one equal value: `telecom(system=email)`. A path that
    ends in `.exists()` stands for a boolean: whether anything but false is there.
    `targets` are the types a reference may lead to; references of other types are not indexed
    (`participant.actor` with target Patient is the `patient` parameter). Only served types are
    named.
    `definition` is the canonical URL of the SearchParameter (base R4 or US Core).
    `single`: no resource has several values of it.
    `system` is the code system that a `code` element implies, so that `system|code` finds it
    (https://hl7.org/fhir/R4/search.html#token); '' for booleans and for what carries its own.
    `narrowed`: of references to several types it takes those to `targets` (in R4's expressions
    `.where(resolve() is Patient)`); one that does not say its type is to none of them.
    `canonical`: a reference by canonical URL, which leads to nothing here and is compared as a uri.
    """

    name: str
    type: ParameterType
    paths: tuple[str, ...]
    definition: str
    targets: tuple[str, ...] = ()
    documentation: str = ""
    system: str = ""
    single: bool = False
    narrowed: bool = False
    canonical: bool = False

    @property
    def kind(self) -> ParameterType:
        """How its values are read and compared."""
        return "uri" if self.canonical else self.type


@dataclass(frozen=True)
class ResourceDefinition:
    """One FHIR type as this server serves it.

    `patient_paths`: element paths whose Patient references put a resource into a patient's
    compartment (`("",)` means the resource is the patient itself).
    `category_path`: element path of the CodeableConcepts that granular scopes filter on, if any.
    `exportable`: whether `$export` writes it. `stored`: False for types that do not lie in the
    mirror (conformance, the audit trail). `default_sort`: the `_sort` of a search that names none;
    without it the order is that of ids.
    """

    type: str
    reach: ReachClass
    search: tuple[SearchParameter, ...] = ()
    profiles: tuple[str, ...] = ()
    patient_paths: tuple[str, ...] = ()
    category_path: str | None = None
    exportable: bool = True
    stored: bool = True
    includes: tuple[str, ...] = ()
    """`Type:param` values accepted by `_include`; every reference parameter of the type."""
    documentation: str = ""
    default_sort: str = ""

    def parameter(self, name: str) -> SearchParameter | None:
        """The declared parameter of this name, or None."""
        return next((p for p in self.search if p.name == name), None)


def token(
    name: str, *paths: str, definition: str = "", documentation: str = "", system: str = ""
) -> SearchParameter:
    """A token parameter over codes, codings, identifiers, contact points or booleans; `system` is
    what a `code` element implies."""
    return SearchParameter(
        name, "token", paths, definition, documentation=documentation, system=system
    )


def string(
    name: str, *paths: str, definition: str = "", documentation: str = ""
) -> SearchParameter:
    """A string parameter over strings, human names or addresses."""
    return SearchParameter(name, "string", paths, definition, documentation=documentation)


def date(
    name: str,
    *paths: str,
    definition: str = "",
    documentation: str = "",
    single: bool = False,
) -> SearchParameter:
    """A date parameter over date, dateTime, instant or Period; `single` when an element at most
    can hold it, which lets the two ends of a range be sought together."""
    return SearchParameter(
        name, "date", paths, definition, documentation=documentation, single=single
    )


def reference(
    name: str,
    *paths: str,
    targets: tuple[str, ...],
    definition: str = "",
    documentation: str = "",
    narrowed: bool = False,
) -> SearchParameter:
    """A reference parameter that leads to any of `targets`."""
    return SearchParameter(
        name,
        "reference",
        paths,
        definition,
        targets=targets,
        documentation=documentation,
        narrowed=narrowed,
    )


def canonical(
    name: str, *paths: str, definition: str = "", documentation: str = ""
) -> SearchParameter:
    """A reference parameter over canonical URLs: matches the whole URL, byte for byte."""
    return SearchParameter(
        name, "reference", paths, definition, documentation=documentation, canonical=True
    )


def uri(name: str, *paths: str, definition: str = "", documentation: str = "") -> SearchParameter:
    """A uri parameter: matches the whole URI, byte for byte."""
    return SearchParameter(name, "uri", paths, definition, documentation=documentation)


def number(
    name: str, *paths: str, definition: str = "", documentation: str = ""
) -> SearchParameter:
    """A number parameter over integers, decimals or ranges of them."""
    return SearchParameter(name, "number", paths, definition, documentation=documentation)


def quantity(
    name: str, *paths: str, definition: str = "", documentation: str = ""
) -> SearchParameter:
    """A quantity parameter over Quantity (and its kinds), Money or Range."""
    return SearchParameter(name, "quantity", paths, definition, documentation=documentation)


PROFILE = uri(
    "_profile",
    "meta.profile",
    definition=search_parameter("Resource-profile"),
    documentation="Profiles that the resource claims to conform to.",
)
"""For the types that claim profiles."""


def include_names(resource_type: str, search: tuple[SearchParameter, ...]) -> tuple[str, ...]:
    """`Type:param` of every reference parameter, as `_include` spells it."""
    return tuple(f"{resource_type}:{p.name}" for p in search if p.kind == "reference")
