"""Resources that are reached as others are: published with them, and reached no wider."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from fhir_facade.mirror import find, versions
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.publish import Prepared, Publisher, SubjectOutput
from fhir_facade.policy import Reach, admits, compile_reach
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.resources.subject import Subject
from tests.support.published import (
    SYDNEY,
    binary,
    document,
    patient,
    publish,
    publish_outputs,
    report,
    with_binary,
)
from tests.support.tokens import user_token


def reach_of(scope: str, of: str = "p1") -> Reach:
    return compile_reach(user_token(scope, patient=of), REGISTRY)


def found(database: Database, reach: Reach) -> set[str]:
    """The Binaries that SQL finds; the second check must agree on each of them all."""
    with database.read() as conn:
        revision, _ = versions.current_revision(conn, "acme")
        request = find.FindRequest("acme", "Binary", (), reach, revision, None, 50)
        ids = {row.id for row in find.find(conn, request)}
        keys = [("Binary", f"b{number}") for number in range(1, 4)]
        for row in versions.by_keys(conn, "acme", keys, revision):
            assert admits(reach, "Binary", "s", row.facts) == (row.id in ids)
    return ids


@pytest.fixture
def filled(database: Database) -> Database:
    """A document, a report, and what is both, of patient 1."""
    publish(database, patient(1), patient(2))
    publish_outputs(
        database,
        with_binary(1, document(1, of_patient=1)),
        with_binary(2, report(2, of_patient=1)),
        with_binary(3, document(3, of_patient=1), report(3, of_patient=1)),
    )
    return database


ROWS = {"DocumentReference": {"b1", "b3"}, "DiagnosticReport": {"b2", "b3"}, "Appointment": set()}


@pytest.mark.parametrize(
    ("types", "of"),
    [*product([("DocumentReference",), ("DiagnosticReport",), ("Appointment",)], ["p1", "p2"]),
     (("DocumentReference", "DiagnosticReport"), "p1"), ((), "p1")],
)  # fmt: skip
def test_any_target_in_reach_is_enough_and_none_is_none(
    filled: Database, types: tuple[str, ...], of: str
) -> None:
    scope = " ".join([*(f"patient/{name}.rs" for name in types), "patient/Binary.rs"])
    expected = set().union(*(ROWS[name] for name in types)) if of == "p1" else set()
    assert found(filled, reach_of(scope, of)) == expected
    without = " ".join(f"patient/{name}.rs" for name in types)
    assert found(filled, reach_of(without, of)) == set()


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("patient/DocumentReference.rs?category=clinical-note", {"b1"}),
        ("patient/DiagnosticReport.rs?category=RAD", {"b2"}),
        ("patient/DiagnosticReport.rs?category=clinical-note", set()),
        ("patient/DocumentReference.rs?category=RAD", set()),
    ],
)
def test_a_category_counts_where_all_targets_have_it(
    filled: Database, scope: str, expected: set[str]
) -> None:
    assert found(filled, reach_of(f"{scope} patient/Binary.rs")) == expected


def test_reach_follows_the_targets_though_the_content_stays(filled: Database) -> None:
    reach = "patient/DocumentReference.rs patient/Binary.rs"
    publish_outputs(filled, with_binary(1, document(1, of_patient=2)))
    assert found(filled, reach_of(reach)) == {"b3"}
    assert found(filled, reach_of(reach, "p2")) == {"b1"}
    with filled.read() as conn:
        row = versions.read(conn, "acme", "Binary", "b1")
    assert row is not None
    assert row.version_id == 2
    again = publish_outputs(filled, with_binary(1, document(1, of_patient=2)))
    assert (again.revision, again.unchanged) == (None, 2)


def test_it_goes_with_its_subject_and_stays_where_the_subject_is_kept(filled: Database) -> None:
    nothing = SubjectOutput(Subject("appointment", "with b1"), None, (), keep_rest=True)
    assert publish_outputs(filled, nothing).revision is None
    assert publish_outputs(filled, replace(nothing, keep_rest=False)).deleted == 2
    with filled.read() as conn:
        row = versions.read(conn, "acme", "Binary", "b1")
        owner = versions.owner(conn, "acme", "Binary", "b1")
    assert row is not None
    assert (row.deleted, row.inherits, row.patients) == (True, "DocumentReference", "p1")
    assert owner == ("qubs", Subject("appointment", "with b1"))


@pytest.mark.parametrize("inherits", [(), (("DocumentReference", "d9"),)])
def test_without_its_targets_it_is_not_published(
    database: Database, inherits: tuple[tuple[str, str], ...]
) -> None:
    alone = SubjectOutput(Subject("appointment", "a"), None, (Prepared(binary(9), None, inherits),))
    with pytest.raises(ValueError, match="after its targets"):
        Publisher(database, REGISTRY).publish("acme", "qubs", [alone], SYDNEY)
