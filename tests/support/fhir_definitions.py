"""Valid definitions of R4: a part of the corpus of `fhir_corpus`."""

from __future__ import annotations

from typing import Any

DEFINITIONS: list[dict[str, Any]] = [
    {
        "resourceType": "CodeSystem",
        "id": "colours",
        "url": "https://h.example/CodeSystem/colours",
        "status": "active",
        "content": "complete",
        "concept": [{"code": "a", "concept": [{"code": "b"}]}, {"code": "c", "display": "C"}],
    },
    {
        "resourceType": "ValueSet",
        "id": "colours",
        "status": "draft",
        "compose": {
            "include": [
                {"system": "https://h.example/CodeSystem/colours", "concept": [{"code": "a"}]}
            ]
        },
        "expansion": {
            "timestamp": "2026-11-21",
            "contains": [{"system": "https://h.example/CodeSystem/colours", "code": "a"}],
        },
    },
    {
        "resourceType": "SearchParameter",
        "id": "Patient-colour",
        "url": "https://h.example/SearchParameter/Patient-colour",
        "name": "PatientColour",
        "status": "active",
        "description": "The colour.",
        "code": "colour",
        "base": ["Patient"],
        "type": "reference",
        "expression": "Patient.link.other",
        "xpath": "f:Patient/f:link/f:other",
        "xpathUsage": "normal",
        "target": ["Patient"],
        "chain": ["name"],
    },
    {
        "resourceType": "OperationDefinition",
        "id": "paint",
        "name": "Paint",
        "status": "active",
        "kind": "operation",
        "code": "paint",
        "resource": ["Patient", "Resource"],
        "system": False,
        "type": True,
        "instance": False,
        "parameter": [
            {"name": "colour", "use": "in", "min": 0, "max": "1", "type": "string"},
            {
                "name": "whom",
                "use": "in",
                "min": 0,
                "max": "*",
                "type": "canonical",
                "targetProfile": ["https://h.example/x"],
            },
        ],
    },
    {
        "resourceType": "StructureDefinition",
        "id": "colour",
        "url": "https://h.example/StructureDefinition/colour",
        "name": "Colour",
        "status": "active",
        "fhirVersion": "4.0.1",
        "kind": "complex-type",
        "abstract": False,
        "context": [{"type": "element", "expression": "Patient"}],
        "type": "Extension",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Extension",
        "derivation": "constraint",
        "differential": {
            "element": [
                {"id": "Extension", "path": "Extension", "short": "Colour", "min": 0, "max": "1"},
                {
                    "id": "Extension.url",
                    "path": "Extension.url",
                    "type": [{"code": "uri"}],
                    "fixedUri": "https://h.example/StructureDefinition/colour",
                },
                {
                    "id": "Extension.value[x]",
                    "path": "Extension.value[x]",
                    "type": [{"code": "Coding"}],
                    "binding": {"strength": "required", "valueSet": "https://h.example/v"},
                    "isModifier": True,
                    "isModifierReason": "Why",
                },
            ]
        },
    },
]
