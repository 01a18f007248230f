"""Members of groups with periods: in from the start, out at the end, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest
from alembic import command
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from fhir_facade.errors import Conflict, InvalidRequest, NotFound
from fhir_facade.fhir import json
from fhir_facade.fhir.validation import deep_check, fast_check
from fhir_facade.mirror import find, versions
from fhir_facade.mirror.database import Database, open_database
from fhir_facade.mirror.find import ExportSlice
from fhir_facade.mirror.groups import GroupDefinition, GroupMember, GroupStore, listed
from fhir_facade.mirror.purge import purge_patient
from fhir_facade.policy import Grant, GroupMembers, Reach
from fhir_facade.resources.group import GroupFacts, group_resource
from fhir_facade.resources.registry import REGISTRY
from tests.support.migrations import step
from tests.support.published import patient, publish, report
from tests.support.soak import examples

CLASSES = {name: definition.reach for name, definition in REGISTRY.items()}
SECOND = 1_000_000


class House:
    """One group `g` in a mirror of three patients, and a clock to move."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = 1_000 * SECOND
        self.store = GroupStore(database, lambda: self.now)
        publish(database, *(patient(n) for n in (1, 2, 3)), *(report(n, n) for n in (1, 2, 3)))

    def define(self, *members: GroupMember, **more: Any) -> None:
        self.store.define("acme", GroupDefinition("g", "Some", "listed", members=members, **more))

    @property
    def revision(self) -> int:
        with self.database.read() as conn:
            return versions.current_revision(conn, "acme")[0]

    def members(self, revision: int | None = None) -> list[str]:
        with self.database.read() as conn:
            at = self.revision if revision is None else revision
            return list(self.store.members(conn, "acme", "g", at))

    def at(self, seconds: int) -> list[str]:
        """The members after housekeeping at this second."""
        self.now = seconds * SECOND
        self.store.refresh_due("acme")
        return self.members()

    def resource(self) -> dict[str, Any]:
        with self.database.read() as conn:
            row = versions.read(conn, "acme", "Group", "g")
        assert row is not None
        assert row.body is not None
        loaded: dict[str, Any] = json.loads(row.body)
        return loaded

    def exported(self, kind: str, since: int | None = None) -> list[str]:
        grant = Grant("system", "*", frozenset({"r", "s"}), GroupMembers(frozenset({"g"})))
        reach = Reach((grant,), CLASSES, frozenset({"g"}))
        slice_ = ExportSlice("acme", kind, self.revision, reach, since, "g")
        with self.database.read() as conn:
            return [row.id for row in find.export_rows(conn, slice_, None, 100)]


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


def test_a_period_counts_from_its_start_until_before_its_end(house: House) -> None:
    house.define(GroupMember("p1", 1_010 * SECOND, 1_020 * SECOND), GroupMember("p2"))
    found = {second: house.at(second) for second in (1_000, 1_009, 1_010, 1_019, 1_020, 1_030)}
    both, one = ["p1", "p2"], ["p2"]
    assert found == {1_000: one, 1_009: one, 1_010: both, 1_019: both, 1_020: one, 1_030: one}


def test_who_is_inactive_is_no_member_whatever_the_period(house: House) -> None:
    house.define(GroupMember("p1", inactive=True), GroupMember("p2", 0, None, inactive=True))
    assert house.at(1_000) == []


def test_nothing_is_written_while_no_period_begins_or_ends(house: House) -> None:
    house.define(GroupMember("p1", end_us=1_020 * SECOND))
    house.at(1_000)
    before = house.revision
    house.at(1_019)
    assert house.revision == before
    house.at(1_020)
    assert house.revision == before + 1
    house.at(1_021)
    assert house.revision == before + 1


def test_the_resource_says_who_is_in_and_who_left_and_not_who_comes(house: House) -> None:
    house.define(
        GroupMember("p1", 900 * SECOND, 1_020 * SECOND),
        GroupMember("p2", inactive=True),
        GroupMember("p3", 1_010 * SECOND),
        GroupMember("p9", inactive=True),
    )
    house.at(1_000)
    inside = {
        "entity": {"reference": "Patient/p1"},
        "period": {"start": "1970-01-01T00:15:00.000Z", "end": "1970-01-01T00:16:59.999Z"},
    }
    left = {"entity": {"reference": "Patient/p2"}, "inactive": True}
    assert (house.resource()["quantity"], house.resource()["member"]) == (1, [inside, left])
    house.at(1_020)
    after = house.resource()
    came = {
        "entity": {"reference": "Patient/p3"},
        "period": {"start": "1970-01-01T00:16:50.000Z"},
    }
    assert (after["quantity"], after["member"]) == (1, [{**inside, "inactive": True}, left, came])
    assert fast_check(after) == deep_check(after) == []


def test_exports_follow_the_members_and_since_tells_who_joined(house: House) -> None:
    house.define(GroupMember("p1", end_us=1_020 * SECOND), GroupMember("p2", 1_010 * SECOND))
    house.at(1_000)
    since = house.revision
    assert house.exported("Patient") == ["p1"]
    house.at(1_010)
    assert house.exported("Patient", since) == ["p2"]
    assert house.exported("DiagnosticReport", since) == ["r2"]
    house.at(1_020)
    assert house.exported("Patient") == ["p2"]
    assert house.members(since) == ["p1"]


def test_members_are_put_and_taken_one_by_one(house: House) -> None:
    house.define(GroupMember("p1"), GroupMember("p2"))
    house.store.change_members("acme", "g", put=listed(["p3"]), take=["p1"], as_of=1)
    assert house.at(1_000) == ["p2", "p3"]
    house.store.change_members("acme", "g", put=[GroupMember("p3", end_us=1_005 * SECOND)])
    assert house.at(1_005) == ["p2"]
    page = house.store.listed("acme", "g", after="p2", limit=5)
    assert page == [GroupMember("p3", end_us=1_005 * SECOND)]
    assert house.store.listed_among("acme", "g", ["p1", "p3"]) == {"p3": page[0]}


def test_a_change_of_what_was_changed_since_is_refused(house: House) -> None:
    house.define(GroupMember("p1"))
    group = house.store.get("acme", "g")
    assert group is not None
    assert group.version == 1
    house.store.change_members("acme", "g", put=listed(["p2"]), as_of=1)
    for attempt in (
        lambda: house.store.change("acme", group, as_of=1),
        lambda: house.store.change_members("acme", "g", take=["p2"], as_of=1),
        lambda: house.store.define("acme", group, as_of=1),
        lambda: house.store.define("acme", group, as_of=0),
    ):
        with pytest.raises(Conflict):
            attempt()
    unknown = GroupDefinition("other", "Other", "tenant")
    for attempt in (
        lambda: house.store.define("acme", unknown, as_of=3),
        lambda: house.store.change("acme", unknown),
        lambda: house.store.change_members("acme", "other", take=["p1"]),
        lambda: house.store.remove("acme", "other"),
    ):
        with pytest.raises(NotFound):
            attempt()
    now = house.store.get("acme", "g")
    assert now is not None
    assert [member.patient_id for member in now.members] == ["p1", "p2"]
    assert [one.group_id for one in house.store.list("acme")] == ["g"]


@pytest.mark.parametrize(
    "members",
    [(GroupMember("p1", 5, 5),), (GroupMember("p1", 6, 5),), (GroupMember("p1"),) * 2],
)
def test_a_period_must_end_after_it_starts_and_a_member_is_named_once(
    house: House, members: tuple[GroupMember, ...]
) -> None:
    with pytest.raises(InvalidRequest):
        house.define(*members)
    assert house.store.get("acme", "g") is None


def test_a_removed_group_is_a_tombstone_without_members(house: House) -> None:
    house.define(GroupMember("p1"))
    house.at(1_000)
    before = house.revision
    house.store.remove("acme", "g")
    with house.database.read() as conn:
        row = versions.read(conn, "acme", "Group", "g")
    assert row is not None
    assert row.deleted
    assert (house.members(), house.members(before)) == ([], ["p1"])
    assert house.store.list("acme") == []
    assert house.store.refresh("acme") is None
    house.define(GroupMember("p2"))
    assert house.at(1_000) == ["p2"]


def test_a_deactivated_group_keeps_its_list(house: House) -> None:
    house.define(GroupMember("p1"))
    house.at(1_000)
    house.store.deactivate("acme", "g")
    assert house.members() == []
    assert house.resource()["active"] is False
    group = house.store.get("acme", "g")
    assert group is not None
    assert group.members == listed(["p1"])


def test_a_purged_patient_is_on_no_list(house: House) -> None:
    house.define(GroupMember("p1"), GroupMember("p2"))
    house.at(1_000)
    purge_patient(house.database, "acme", "p1")
    assert [one.patient_id for one in house.store.listed("acme", "g", limit=9)] == ["p2"]


def test_only_groups_that_are_due_are_touched(house: House) -> None:
    house.store.define("acme", GroupDefinition("all", "Everybody", "tenant"))
    house.define(GroupMember("p1", end_us=1_020 * SECOND))
    house.at(1_000)
    publish(house.database, patient(4))
    house.at(1_020)
    assert house.store.counts("acme") == {"all": 3}
    house.store.refresh("acme")
    assert house.store.counts("acme") == {"all": 4}


def test_ids_that_were_lines_become_members_and_lines_again(database_url: str) -> None:
    opened = open_database(database_url)
    try:
        step(opened, command.upgrade, "0002")
        insert = (
            "INSERT INTO group_definition (tenant, group_id, name, rule, rule_value, members,"
            " active) VALUES ('acme', :id, 'Some', :rule, '', :members, true)"
        )
        with opened.write() as conn:
            conn.execute(text(insert), {"id": "g", "rule": "listed", "members": "p1\np2"})
            conn.execute(text(insert), {"id": "all", "rule": "tenant", "members": ""})
        step(opened, command.upgrade, "head")
        store = GroupStore(opened)
        everybody, some = store.list("acme")
        assert (everybody.members, some.members) == ((), listed(["p1", "p2"]))
        put = [GroupMember("p2", 5, None), GroupMember("p3", inactive=True)]
        store.change_members("acme", "g", put=put, as_of=some.version)
        step(opened, command.downgrade, "0002")
        with opened.read() as conn:
            rows = conn.execute(text("SELECT group_id, members FROM group_definition")).all()
        assert {(group, *sorted(lines.split())) for group, lines in rows} == {
            ("g", "p1", "p2"),
            ("all",),
        }
    finally:
        opened.close()


instants = st.none() | st.integers(-(10**15), 2 * 10**15)


@settings(max_examples=examples(80), deadline=None)
@given(start=instants, end=instants, inactive=st.booleans(), now=st.integers(-(10**15), 10**15))
def test_a_named_member_is_valid_fhir_and_its_period_is_ours(
    start: int | None, end: int | None, inactive: bool, now: int
) -> None:
    if start is not None and end is not None and end - start < 2_000:
        return
    member = GroupMember("p1", start, end, inactive)
    facts = GroupFacts("g", "Some", active=True, rule=None, quantity=1)
    resource = group_resource(facts, [member])
    assert fast_check(resource) == []
    inside = (start is None or start <= now) and (end is None or now < end)
    assert (member.begun(now) and not member.over(now)) == (inside and not inactive)
