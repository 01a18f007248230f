import pytest

from fhir_facade.fhir.references import (
    Reference,
    iter_references,
    parse_reference,
    reference_to,
)

BASE = "https://h.example/p/fhir/acme"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Patient/a", Reference("Patient", "a")),
        ("Patient/a/_history/2", Reference("Patient", "a", "2")),
        (f"{BASE}/Patient/a", Reference("Patient", "a")),
        (f"{BASE}/Patient/a/_history/2", Reference("Patient", "a", "2")),
        ("http://other/fhir/Patient/a", Reference("Patient", "a", None, "http://other/fhir")),
        (f"{BASE}x/Patient/a", Reference("Patient", "a", None, f"{BASE}x")),
    ],
)
def test_literal_references(text: str, expected: Reference) -> None:
    assert parse_reference(text, BASE) == expected
    assert parse_reference(text, BASE + "/") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "#p",
        "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7",
        "Patient/",
        "Patient/a b",
        "Patient/" + "a" * 65,
        "patient/a",
        "Patent/a",
        "Patient/a/b",
        "Patient/a\n",
        "ftp://h/Patient/a",
    ],
)
def test_everything_else_is_none(text: str) -> None:
    assert parse_reference(text, BASE) is None


def test_writing() -> None:
    assert str(Reference("Patient", "a", "2")) == "Patient/a/_history/2"
    assert Reference("Patient", "a").absolute(BASE + "/") == f"{BASE}/Patient/a"
    assert Reference("Patient", "a", base="http://o").absolute(BASE) == "http://o/Patient/a"
    assert reference_to("Patient", "a") == {"reference": "Patient/a"}
    assert reference_to("Patient", "a", "A B") == {"reference": "Patient/a", "display": "A B"}
    assert reference_to("Patient", "a", "") == {"reference": "Patient/a"}


def test_all_references_in_document_order() -> None:
    resource = {
        "resourceType": "Appointment",
        "contained": [{"subject": {"reference": "Patient/1"}}],
        "basedOn": [{"reference": "ServiceRequest/2"}],
        "participant": [{"actor": {"reference": "Patient/3"}}, {"actor": {"display": "x"}}],
        "url": "Patient/4",
    }
    assert list(iter_references(resource)) == ["Patient/1", "ServiceRequest/2", "Patient/3"]
