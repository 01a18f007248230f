from fhir_facade.fhir.r4_types import R4_TYPES, is_r4_type


def test_the_concrete_types_of_r4() -> None:
    # 148 with the two abstract ones, Resource and DomainResource.
    assert len(R4_TYPES) == 146
    assert is_r4_type("Patient")
    for name in ("Resource", "DomainResource", "patient", "Ingredient", "Citation", "Patient "):
        assert not is_r4_type(name)
