"""From a token to a reach: fails closed, and a wider scope never sees less."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.policy import (
    AllPatients,
    CategoryFilter,
    Grant,
    GroupMembers,
    Reach,
    SomePatients,
    compile_reach,
    covers_type,
)
from fhir_facade.resources.registry import REGISTRY
from tests.support.tokens import backend_token, user_token


def grants(reach: Reach) -> set[tuple[str, str, object]]:
    return {(grant.level, grant.type, grant.patients) for grant in reach.grants}


def test_a_patient_scope_reaches_the_tokens_patient() -> None:
    reach = compile_reach(user_token("patient/*.rs", patient="p1"), REGISTRY)
    assert grants(reach) == {("patient", "*", SomePatients(frozenset({"p1"})))}


def test_a_patient_scope_without_a_patient_reaches_nothing() -> None:
    assert compile_reach(user_token("patient/*.rs"), REGISTRY).grants == ()


def test_a_patient_no_longer_assigned_is_out_of_reach() -> None:
    token = user_token("patient/*.rs", patient="p1", whole_tenant=False, patients={"p2"})
    assert compile_reach(token, REGISTRY).grants == ()


def test_a_user_scope_reaches_all_or_the_assigned() -> None:
    everything = compile_reach(user_token("user/*.rs"), REGISTRY)
    assigned = compile_reach(
        user_token("user/*.rs", whole_tenant=False, patients={"p1", "p2"}), REGISTRY
    )
    assert grants(everything) == {("user", "*", AllPatients())}
    assert grants(assigned) == {("user", "*", SomePatients(frozenset({"p1", "p2"})))}


def test_a_patients_user_scope_reaches_the_own_record_only() -> None:
    token = user_token("user/*.rs", fhir_user="Patient/p9", whole_tenant=True, patients={"p1"})
    assert grants(compile_reach(token, REGISTRY)) == {
        ("user", "*", SomePatients(frozenset({"p9"})))
    }


def test_a_backend_reaches_its_groups_or_the_tenant() -> None:
    of_group = compile_reach(backend_token("system/*.rs", groups={"g1"}), REGISTRY)
    of_all = compile_reach(backend_token("system/*.rs", whole_tenant=True), REGISTRY)
    assert grants(of_group) == {("system", "*", GroupMembers(frozenset({"g1"})))}
    assert of_group.members == frozenset({"g1"})
    assert grants(of_all) == {("system", "*", AllPatients())}
    assert of_all.members is None


def test_levels_do_not_cross() -> None:
    assert compile_reach(user_token("system/*.rs"), REGISTRY).grants == ()
    assert compile_reach(backend_token("user/*.rs patient/*.rs"), REGISTRY).grants == ()


def test_categories_become_filters() -> None:
    token = user_token("user/DiagnosticReport.rs?category=http://loinc.org|LP29684-5,RAD")
    (grant,) = compile_reach(token, REGISTRY).grants
    assert grant.categories == (
        CategoryFilter("http://loinc.org", "LP29684-5"),
        CategoryFilter(None, "RAD"),
    )


def test_types_not_served_are_still_covered() -> None:
    reach = compile_reach(user_token("user/Observation.r"), REGISTRY)
    assert covers_type(reach, "Observation", "r")
    assert not covers_type(reach, "Observation", "s")
    assert not reach.allows_type("Observation", "r")


def test_staff_types_are_not_opened_by_patient_scopes() -> None:
    reach = compile_reach(user_token("patient/*.rs", patient="p1"), REGISTRY)
    assert not reach.allows_type("Group", "r")


LEVELS = st.sampled_from(["patient", "user", "system"])
TYPES = st.sampled_from(["*", "Patient", "Appointment", "DiagnosticReport"])
LETTERS = st.sampled_from(["r", "s", "rs", "cruds"])
SCOPES = st.builds("{}/{}.{}".format, LEVELS, TYPES, LETTERS)


@given(st.lists(SCOPES, max_size=4), st.lists(SCOPES, max_size=4), st.booleans())
def test_more_scopes_never_reach_less(less: list[str], more: list[str], backend: bool) -> None:
    def reach_of(scopes: list[str]) -> set[Grant]:
        text = " ".join(scopes)
        token = backend_token(text, groups={"g1"}) if backend else user_token(text, patient="p1")
        return set(compile_reach(token, REGISTRY).grants)

    assert reach_of(less) <= reach_of(less + more)


@given(st.lists(SCOPES, max_size=6))
def test_a_principal_with_nothing_reaches_no_patient(scopes: list[str]) -> None:
    nobody = user_token(" ".join(scopes), whole_tenant=False, patients=set())
    for grant in compile_reach(nobody, REGISTRY).grants:
        assert grant.patients == SomePatients(frozenset())
    nothing = backend_token(" ".join(scopes))
    for grant in compile_reach(nothing, REGISTRY).grants:
        assert grant.patients == GroupMembers(frozenset())
