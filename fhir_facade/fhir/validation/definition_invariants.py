"""The invariants of R4 4.0.1 on definitions (SearchParameter, StructureDefinition, …) that a JSON
Schema can hold; `invariants` has those of all other types.
"""

from __future__ import annotations

from fhir_facade.fhir.validation.schema_parts import Schema, any_of, equals, has, lacks, needs

_REFERS = ("Reference", "canonical")

_ELEMENT_DEFINITION: list[Schema] = [
    {
        "description": "eld-3: max is a number or *",
        "properties": {"max": {"pattern": r"^(\*|[0-9]+)$"}},
    },
    {
        "description": "eld-5: a contentReference excludes type, values, maxLength and binding",
        "dependencies": {"contentReference": lacks("type", "maxLength", "binding")},
    },
    any_of(
        "eld-18: a modifier needs a reason",
        {"not": equals("isModifier", True)},
        has("isModifierReason"),
    ),
    needs("eld-22: sliceIsConstraining needs a sliceName", "sliceIsConstraining", "sliceName"),
]

DEFINITION_INVARIANTS: dict[str, list[Schema]] = {
    "ElementDefinition": _ELEMENT_DEFINITION,
    "ElementDefinitionBinding": [
        {
            "description": "eld-12: valueSet begins with http, https or urn",
            "properties": {"valueSet": {"pattern": "^(http:|https:|urn:)"}},
        }
    ],
    "ElementDefinitionSlicing": [
        any_of(
            "eld-1: a discriminator or a description is needed",
            has("discriminator", "description"),
        )
    ],
    "ElementDefinitionType": [
        {
            "description": "eld-4: aggregation is for references",
            "dependencies": {"aggregation": equals("code", *_REFERS)},
        },
        {
            "description": "eld-17: targetProfile is for references",
            "dependencies": {"targetProfile": equals("code", *_REFERS)},
        },
    ],
    "OperationDefinitionParameter": [
        any_of("opd-1: a type or parts are needed", has("type", "part")),
        {
            "description": "opd-2: searchType is for strings",
            "dependencies": {"searchType": equals("type", "string")},
        },
        {
            "description": "opd-3: targetProfile is for references",
            "dependencies": {"targetProfile": equals("type", *_REFERS)},
        },
    ],
    "SearchParameter": [
        needs("spd-1: an xpath needs an xpathUsage", "xpath", "xpathUsage"),
        {
            "description": "spd-2: chain is for references",
            "dependencies": {"chain": equals("type", "reference")},
        },
    ],
    "StructureDefinition": [
        any_of(
            "sdf-4: a structure that is not abstract has a baseDefinition",
            equals("abstract", True),
            has("baseDefinition"),
        ),
        any_of(
            "sdf-5: an extension has a context",
            {"not": equals("type", "Extension")},
            equals("derivation", "specialization"),
            has("context"),
        ),
        any_of("sdf-6: a snapshot or a differential is needed", has("snapshot", "differential")),
        {
            "description": "sdf-18: contextInvariant is for extensions",
            "dependencies": {"contextInvariant": equals("type", "Extension")},
        },
    ],
    "StructureDefinitionMapping": [any_of("sdf-2: a name or a uri is needed", has("name", "uri"))],
    "ValueSetComposeInclude": [
        any_of("vsd-1: a system or a value set is needed", has("system", "valueSet")),
        needs("vsd-2: concepts need a system", "concept", "system"),
        needs("vsd-2: filters need a system", "filter", "system"),
        any_of("vsd-3: concepts and filters exclude each other", lacks("concept"), lacks("filter")),
    ],
    "ValueSetExpansionContains": [
        any_of("vsd-6: a code or a display is needed", has("code", "display")),
        any_of("vsd-9: what is not abstract has a code", has("code"), equals("abstract", True)),
        needs("vsd-10: a code needs a system", "code", "system"),
    ],
}
