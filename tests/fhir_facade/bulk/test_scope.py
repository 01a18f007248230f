"""Which grants export, and which tokens still cover a file."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.bulk.model import ExportFile, ExportPrincipal, Job, JobState, PartKind
from fhir_facade.bulk.reach_json import reach_from_json, reach_to_json
from fhir_facade.bulk.scope import covers_file, export_reach, may_use_group
from fhir_facade.policy import (
    AllPatients,
    CategoryFilter,
    Grant,
    GroupMembers,
    PatientSet,
    Reach,
    ReachClass,
    SomePatients,
)

CLASSES = {
    "Patient": ReachClass.PATIENT,
    "Appointment": ReachClass.PATIENT,
    "Location": ReachClass.DIRECTORY,
    "Provenance": ReachClass.INHERITED,
}
RADIOLOGY = CategoryFilter("http://loinc.org", "LP29684-5")
LABORATORY = CategoryFilter(None, "LAB")


def grant(
    resource_type: str = "*",
    letters: str = "rs",
    patients: PatientSet = GroupMembers(frozenset({"g1"})),  # noqa: B008
    categories: tuple[CategoryFilter, ...] = (),
) -> Grant:
    return Grant("system", resource_type, frozenset(letters), patients, categories)  # type: ignore[arg-type]


def reach(*grants: Grant) -> Reach:
    return Reach(grants, CLASSES, frozenset({"g1"}))


def covers(token: Reach, made_under: Reach, name: str, kind: PartKind = PartKind.OUTPUT) -> bool:
    job = Job(
        tenant="acme",
        id="0" * 32,
        client_id="c",
        level="Group",
        group_id="g1",
        request_url="",
        revision=1,
        since_revision=None,
        transaction_us=0,
        types=("Patient", "Appointment", "Provenance"),
        left_out=(),
        reach=made_under,
        state=JobState.COMPLETE,
        created_us=0,
    )
    file = ExportFile(1, kind, name, "k", 1, 1, "")
    return covers_file(ExportPrincipal("c", token), job, file)


def test_only_system_grants_that_read_and_search_export() -> None:
    personal = replace(grant("Patient"), level="user")
    found = export_reach(reach(personal, grant("Patient", "r"), grant("Appointment", "crs")))
    assert [g.type for g in found.grants] == ["Appointment"]


def test_groups_of_the_client() -> None:
    principal = ExportPrincipal("c", reach(grant()))
    assert may_use_group(principal, "g1")
    assert not may_use_group(principal, "g2")
    assert may_use_group(ExportPrincipal("c", replace(reach(), members=None)), "g2")


@pytest.mark.parametrize(
    ("token", "made_under", "name", "covered"),
    [
        (reach(grant()), reach(grant()), "Patient", True),
        (reach(grant("Patient")), reach(grant()), "Patient", True),
        (reach(grant()), reach(grant("Patient")), "Patient", True),
        (reach(grant("Appointment")), reach(grant()), "Patient", False),
        (reach(grant("Patient", "r")), reach(grant()), "Patient", False),
        (reach(), reach(grant()), "Patient", False),
        (reach(grant("Patient", categories=(RADIOLOGY,))), reach(grant()), "Patient", False),
        (reach(grant()), reach(grant("Patient", categories=(RADIOLOGY,))), "Patient", True),
        (
            reach(grant("Patient", categories=(RADIOLOGY, LABORATORY))),
            reach(grant("Patient", categories=(RADIOLOGY,))),
            "Patient",
            True,
        ),
        (
            reach(grant("Patient", categories=(RADIOLOGY,))),
            reach(grant("Patient", categories=(LABORATORY,))),
            "Patient",
            False,
        ),
        (
            reach(grant(patients=GroupMembers(frozenset({"g2"})))),
            reach(grant()),
            "Patient",
            False,
        ),
        (reach(grant(patients=AllPatients())), reach(grant()), "Patient", True),
        (reach(grant()), reach(grant(patients=AllPatients())), "Patient", False),
        (
            reach(grant("Provenance")),
            reach(grant("Provenance"), grant("Patient")),
            "Provenance",
            False,
        ),
        (
            reach(grant("Provenance"), grant("Patient")),
            reach(grant("Provenance"), grant("Patient")),
            "Provenance",
            True,
        ),
        (reach(grant("Provenance")), reach(grant()), "Provenance", False),
    ],
)
def test_a_token_covers_a_file_it_reaches_in_full(
    token: Reach, made_under: Reach, name: str, covered: bool
) -> None:
    assert covers(token, made_under, name) is covered


def test_deletions_need_all_types_and_outcomes_none() -> None:
    both = reach(grant())
    assert covers(both, both, "Bundle", PartKind.DELETED)
    assert not covers(reach(grant("Patient")), both, "Bundle", PartKind.DELETED)
    assert covers(reach(), both, "OperationOutcome", PartKind.ERROR)


IDS = st.frozensets(st.text(min_size=1, max_size=8), max_size=3)
REACHES = st.builds(
    Reach,
    grants=st.lists(
        st.builds(
            Grant,
            level=st.just("system"),
            type=st.sampled_from(["*", "Patient", "Group"]),
            letters=st.frozensets(st.sampled_from("cruds")),
            patients=st.just(AllPatients())
            | st.builds(SomePatients, IDS)
            | st.builds(GroupMembers, IDS),
            categories=st.lists(
                st.builds(CategoryFilter, st.none() | st.text(), st.text()), max_size=2
            ).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    classes=st.dictionaries(st.text(max_size=5), st.sampled_from(ReachClass), max_size=3),
    members=st.none() | IDS,
)


@given(REACHES)
def test_a_stored_reach_comes_back_as_it_was(original: Reach) -> None:
    assert reach_from_json(reach_to_json(original)) == original


@given(REACHES)
def test_a_token_covers_what_was_made_under_it(original: Reach) -> None:
    usable = export_reach(original)
    for name in original.classes:
        if usable.allows_type(name, "r"):
            assert covers(original, usable, name)
