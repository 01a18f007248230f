"""Groups by rule, membership by revision, and what an export of a group reads."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_facade.errors import InvalidRequest
from fhir_facade.fhir import json
from fhir_facade.mirror import find, versions
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.find import ExportSlice
from fhir_facade.mirror.groups import GroupDefinition, GroupStore, listed
from fhir_facade.mirror.publish import Publisher
from fhir_facade.policy import Grant, GroupMembers, Reach
from fhir_facade.resources.registry import REGISTRY
from tests.support.published import (
    SYDNEY,
    appointment,
    location,
    output,
    patient,
    publish,
    report,
)

CLASSES = {name: definition.reach for name, definition in REGISTRY.items()}


def reach(*group_ids: str) -> Reach:
    members = GroupMembers(frozenset(group_ids))
    grant = Grant("system", "*", frozenset({"r", "s"}), members)
    return Reach((grant,), CLASSES, frozenset(group_ids))


def members(database: Database, group: str, revision: int | None = None) -> list[str]:
    with database.read() as conn:
        at = versions.current_revision(conn, "acme")[0] if revision is None else revision
        return GroupStore(database).members(conn, "acme", group, at)


def delete(database: Database, kind: str, key: str) -> None:
    publisher = Publisher(database, REGISTRY)
    assert publisher.publish("acme", "qubs", [output(f"{kind}/{key}")], SYDNEY).deleted == 1


def group(database: Database, group_id: str) -> dict[str, Any]:
    with database.read() as conn:
        row = versions.read(conn, "acme", "Group", group_id)
    assert row is not None
    assert row.body is not None
    loaded: dict[str, Any] = json.loads(row.body)
    return loaded


@pytest.fixture
def clinic(database: Database) -> Database:
    publish(
        database,
        location("l1"),
        location("l2"),
        *(patient(n) for n in (1, 2, 3)),
        appointment(1, 1),
        appointment(2, 2, location="l2"),
        appointment(3, location="l2"),
        report(1, 1),
        with_provenance=True,
    )
    groups = GroupStore(database)
    groups.define("acme", GroupDefinition("all", "Everybody", "tenant"))
    groups.define("acme", GroupDefinition("site", "At site 2", "site", "l2"))
    groups.define(
        "acme", GroupDefinition("some", "By hand", "listed", members=listed(("p3", "p9")))
    )
    groups.refresh("acme")
    return database


def test_rules_find_members_and_the_group_says_who_they_are(clinic: Database) -> None:
    assert members(clinic, "all") == ["p1", "p2", "p3"]
    assert members(clinic, "site") == ["p2"]
    assert members(clinic, "some") == ["p3"]
    site = group(clinic, "site")
    assert (site["quantity"], site["name"]) == (1, "At site 2")
    assert site["member"] == [{"entity": {"reference": "Patient/p2"}}]
    assert GroupStore(clinic).refresh("acme") is None
    assert [g.group_id for g in GroupStore(clinic).list("acme")] == ["all", "site", "some"]


def test_members_follow_the_data_and_old_revisions_keep_theirs(clinic: Database) -> None:
    with clinic.read() as conn:
        before = versions.current_revision(conn, "acme")[0]
    publish(clinic, patient(9), appointment(1, 1, location="l2"))
    delete(clinic, "Patient", "p2")
    GroupStore(clinic).refresh("acme")
    assert members(clinic, "all") == ["p1", "p3", "p9"]
    assert members(clinic, "some") == ["p3", "p9"]
    assert members(clinic, "site") == ["p1"]
    assert members(clinic, "site", before) == ["p2"]
    assert group(clinic, "site")["meta"]["versionId"] == "2"


def test_a_group_that_is_not_active_has_no_members(clinic: Database) -> None:
    groups = GroupStore(clinic)
    groups.define("acme", GroupDefinition("all", "Everybody", "tenant", active=False))
    groups.refresh("acme")
    assert members(clinic, "all") == []
    assert group(clinic, "all")["active"] is False


def test_many_members_come_in_several_revisions(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhir_facade.mirror.groups._CHUNK", 10)
    monkeypatch.setattr("fhir_facade.mirror.groups.LISTED_MEMBERS", 20)
    publish(database, *(patient(n) for n in range(25)))
    groups = GroupStore(database)
    groups.define("acme", GroupDefinition("all", "Everybody", "tenant"))
    assert groups.refresh("acme") == 4
    assert group(database, "all")["quantity"] == 25
    assert "member" not in group(database, "all")


@pytest.mark.parametrize(
    "wrong",
    [
        GroupDefinition("no id", "x", "tenant"),
        GroupDefinition("g", "x", "site"),
        GroupDefinition("g", "x", "listed", members=listed(("not/an/id",))),
        GroupDefinition("g", "x", "everyone"),  # type: ignore[arg-type]
    ],
)
def test_a_malformed_definition_changes_nothing(database: Database, wrong: GroupDefinition) -> None:
    with pytest.raises(InvalidRequest):
        GroupStore(database).define("acme", wrong)
    assert GroupStore(database).list("acme") == []


def slice_of(kind: str, revision: int, group_id: str, since: int | None = None) -> ExportSlice:
    return ExportSlice("acme", kind, revision, reach(group_id), since, group_id)


def exported(database: Database, slice_: ExportSlice, page: int = 2) -> list[str]:
    found: list[str] = []
    after: str | None = None
    while True:
        with database.read() as conn:
            rows = find.export_rows(conn, slice_, after, page)
            checked = find.admitted(conn, "acme", slice_.reach, slice_.revision, rows)
            assert checked == rows
        found += [row.id for row in rows]
        if len(rows) < page:
            return found
        after = rows[-1].id


def test_a_group_export_holds_its_members_data_and_the_directory(clinic: Database) -> None:
    with clinic.read() as conn:
        revision = versions.current_revision(conn, "acme")[0]

    def of(kind: str, group_id: str) -> list[str]:
        return exported(clinic, slice_of(kind, revision, group_id))

    assert of("Patient", "site") == ["p2"]
    assert of("Appointment", "site") == ["a2"]
    assert of("Appointment", "all") == ["a1", "a2"]
    assert of("Location", "site") == ["l1", "l2"]
    assert of("Group", "site") == ["site"]
    assert of("Provenance", "site") == [
        "Appointment-a2",
        "Location-l1",
        "Location-l2",
        "Patient-p2",
    ]
    part = ExportSlice("acme", "Patient", revision, reach("all"), None, "all", "p2", "p3")
    assert exported(clinic, part) == ["p2"]


def test_an_export_reaches_no_further_than_the_clients_groups(clinic: Database) -> None:
    with clinic.read() as conn:
        revision = versions.current_revision(conn, "acme")[0]
    foreign = ExportSlice("acme", "Patient", revision, reach("site"), None, "some")
    assert exported(clinic, foreign) == []


def test_since_gives_what_changed_who_joined_and_what_is_gone(clinic: Database) -> None:
    with clinic.read() as conn:
        since = versions.current_revision(conn, "acme")[0]
    publish(clinic, patient(1, "Changed"), appointment(9, 3, location="l2"))
    delete(clinic, "Appointment", "a2")
    delete(clinic, "Patient", "p2")
    GroupStore(clinic).refresh("acme")
    with clinic.read() as conn:
        revision = versions.current_revision(conn, "acme")[0]
    assert exported(clinic, slice_of("Patient", revision, "all", since)) == ["p1"]
    # p3 joined the site's group: everything of that patient is new to it.
    assert exported(clinic, slice_of("Patient", revision, "site", since)) == ["p3"]
    assert exported(clinic, slice_of("Appointment", revision, "site", since)) == ["a9"]
    assert exported(clinic, slice_of("Location", revision, "site", since)) == []
    with clinic.read() as conn:

        def gone(kind: str, group_id: str, from_revision: int | None = since) -> Any:
            slice_ = slice_of(kind, revision, group_id, from_revision)
            return find.export_deleted(conn, slice_, None, 10)

        assert gone("Appointment", "site") == [("Appointment", "a2")]
        assert gone("Patient", "all") == [("Patient", "p2")]
        assert gone("Patient", "some") == []
        assert gone("Patient", "all", None) == []
        assert gone("Patient", "all", revision) == []


def test_a_deleted_patient_is_still_known_to_whom_had_it(clinic: Database) -> None:
    delete(clinic, "Patient", "p2")
    GroupStore(clinic).refresh("acme")
    with clinic.read() as conn:
        row = versions.read(conn, "acme", "Patient", "p2")
        assert row is not None
        assert row.deleted
        assert find.admitted(conn, "acme", reach("site"), None, [row], "r") == [row]
        assert find.admitted(conn, "acme", reach("some"), None, [row], "r") == []
