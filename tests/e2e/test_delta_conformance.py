"""What clients see of data that changes: versions, cursors, `_since`, deletions, groups that grow.

Real edits at the emulated upstream of the second tenant, synced while the server runs.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir_facade.fhir.validation.deep import deep_check
from fhir_facade.fhir.validation.fast import fast_check
from sandbox.qubs.control import EmulatorControl
from tests.support.demo import RunningDemo
from tests.support.demo_operator import operator
from tests.support.fhir_api import Api, Exported, api_of, entries, issue, link, wait_for

TENANT = "zenith"
RUN = secrets.token_hex(3)  # a state may be kept between runs
GROUP = f"e2e-listed-{RUN}"
Resource = dict[str, Any]


@dataclass
class Story:
    """What was there before the edits, what was edited, and what is there now."""

    before: Exported
    after: Exported
    since: Exported
    first_page: Resource
    before_ids: list[str]
    changed: str
    removed: str
    added: str
    newcomer: str
    patient: str
    edited_patient: str
    listed_since: list[Exported] = field(default_factory=list)
    listed_before: Exported | None = None

    @property
    def time(self) -> str:
        return str(self.before.manifest["transactionTime"])


@pytest.fixture(scope="module")
def api(demo: RunningDemo) -> Api:
    return api_of(demo, TENANT)


def upstream_id(resource: Resource) -> str:
    return str(resource["identifier"][0]["value"])


def patient_of(appointment: Resource) -> str | None:
    actors = [one["actor"].get("reference", "") for one in appointment["participant"]]
    return next((one.partition("/")[2] for one in actors if one.startswith("Patient/")), None)


def chosen(api: Api, before: Exported) -> list[Resource]:
    """Appointments that other tests do not lean on: one each of several patients, dated."""
    kept = {
        api.contract["patient_id"],
        api.contract["other_patient_id"],
        api.contract["users"]["patient"]["patient_id"],
    }
    found: dict[str, Resource] = {}
    for one in before.of_type("Appointment").values():
        patient = patient_of(one)
        if patient and patient not in kept and "start" in one and one["status"] != "cancelled":
            found.setdefault(patient, one)
    assert len(found) >= 4
    return list(found.values())


@pytest.fixture(scope="module")
def story(api: Api, demo: RunningDemo) -> Iterator[Story]:
    with operator(demo, TENANT) as host, EmulatorControl(api.contract["sandbox"]["qubs"]) as qubs:
        before = api.export()
        before_ids = api.ids("Appointment", "_count=1000")
        first_page = api.search("Appointment", "_count=20")
        changed, removed, third, fourth = chosen(api, before)[:4]
        site = next(
            one["actor"]["display"]
            for one in third["participant"]
            if one["actor"].get("reference", "").startswith("Location/")
        )
        edited_patient = patient_of(third) or ""
        today = dt.datetime.now(dt.UTC).date().isoformat()
        new = {"scheduledSite": site, "status": "BOOKED", "appointmentDate": today}
        new |= {"startTime": "09:30:00", "endTime": "10:00:00"}
        numbers = {
            name: upstream_id(before.of_type("Patient")[one])
            for name, one in (("third", edited_patient), ("fourth", patient_of(fourth) or ""))
        }
        qubs.change("appointment", TENANT, upstream_id(changed), studyDescription="Changed once")
        qubs.remove("appointment", TENANT, upstream_id(removed))
        qubs.change("patient", TENANT, numbers["third"], lastName="Renamed-Müller")
        qubs.add("appointment", TENANT, f"E2E-{RUN}-1", patientId=numbers["third"], **new)
        qubs.add("patient", TENANT, f"99{RUN}", firstName="New", lastName="Comer", gender="F")
        qubs.add("appointment", TENANT, f"E2E-{RUN}-2", patientId=f"99{RUN}", **new)
        host.sync(sweeps=2)
        qubs.change("appointment", TENANT, upstream_id(changed), studyDescription="Changed twice")
        host.sync()
        time = before.manifest["transactionTime"]
        yield Story(
            before=before,
            after=api.export(),
            since=api.export([("_since", time)]),
            first_page=first_page,
            before_ids=before_ids,
            changed=changed["id"],
            removed=removed["id"],
            added=f"qubs-E2E-{RUN}-1",
            newcomer=f"qubs-99{RUN}",
            patient=patient_of(changed) or "",
            edited_patient=edited_patient,
        )


def everything(made: Exported) -> dict[str, Resource]:
    return {f"{one['resourceType']}/{one['id']}": one for _, one in made.lines()}


def deletions(made: Exported) -> list[str]:
    return [
        entry["request"]["url"] for _, bundle in made.lines("deleted") for entry in bundle["entry"]
    ]


# --- versions


def test_a_change_is_a_new_version(api: Api, story: Story) -> None:
    path = f"/Appointment/{story.changed}"
    old = story.before.of_type("Appointment")[story.changed]
    first = int(old["meta"]["versionId"])
    now = api.get(path)
    assert now.headers["ETag"] == f'W/"{first + 2}"'
    assert now.json()["description"] == "Changed twice"
    assert api.get(path, headers={"If-None-Match": f'W/"{first}"'}).status_code == 200
    assert api.get(path, headers={"If-None-Match": f'W/"{first + 2}"'}).status_code == 304
    assert api.get(f"{path}/_history/{first}").json() == old
    middle = api.get(f"{path}/_history/{first + 1}").json()
    assert middle["description"] == "Changed once"
    assert old["meta"]["lastUpdated"] < middle["meta"]["lastUpdated"]
    assert middle["meta"]["lastUpdated"] < now.json()["meta"]["lastUpdated"]
    issue(api.get(f"{path}/_history/{first + 3}"), 404)
    past = api.get(f"{path}/_history").json()
    assert [one["resource"]["meta"]["versionId"] for one in past["entry"]] == [
        str(number) for number in range(first + 2, 0, -1)
    ]
    assert api.search("Appointment", [("_id", story.changed)])["total"] == 1


def test_what_did_not_change_keeps_its_version(story: Story) -> None:
    before, after = everything(story.before), everything(story.after)
    touched = {
        f"Appointment/{story.changed}",
        f"DiagnosticReport/{story.changed}",
        f"Patient/{story.edited_patient}",
        f"Group/{next(iter(story.after.of_type('Group')))}",
    }
    touched |= {f"Provenance/{one.replace('/', '-')}" for one in touched}
    for key in before.keys() & after.keys() - touched:
        assert before[key] == after[key], key


def test_a_removal_is_a_tombstone(api: Api, story: Story) -> None:
    path = f"/Appointment/{story.removed}"
    assert issue(api.get(path), 410)["code"] == "deleted"
    assert issue(api.get(path, "backend"), 410)["code"] == "deleted"
    issue(api.get(path, "patient"), 404)
    issue(api.get(path, "portal"), 404)
    assert api.get(f"{path}/_history/1").status_code == 200
    issue(api.get(f"{path}/_history/1", "patient"), 404)
    assert api.search("Appointment", [("_id", story.removed)])["total"] == 0
    assert story.removed not in api.ids("Appointment", "_count=1000")


def test_a_new_name_is_found_and_the_old_one_is_not(api: Api, story: Story) -> None:
    old = story.before.of_type("Patient")[story.edited_patient]["name"][0]
    wanted = [("_id", story.edited_patient)]
    for name in ("Renamed-Müller", "renamed-muller", "RENAMED"):
        assert api.ids("Patient", [("family", name), *wanted]) == [story.edited_patient]
    assert api.ids("Patient", [("family:exact", old["family"]), *wanted]) == []
    exact = api.ids("Patient", [("family:exact", "renamed-müller")])
    assert exact == []


def test_last_updated_finds_what_changed(api: Api, story: Story) -> None:
    for name in ("Patient", "Appointment", "DiagnosticReport", "Provenance"):
        found = api.ids(name, [("_lastUpdated", f"gt{story.time}"), ("_count", "1000")], "backend")
        right = [
            one["id"]
            for one in story.after.of_type(name).values()
            if one["meta"]["lastUpdated"] > story.time
        ]
        assert found == sorted(right), name


# --- cursors while data moves


def test_a_walk_begun_before_the_changes_sees_what_was_there(api: Api, story: Story) -> None:
    pages = list(api.pages(story.first_page))
    walked = [one for page in pages for one in entries(page)]
    assert [one["id"] for one in walked] == story.before_ids
    assert {page["total"] for page in pages} == {len(story.before_ids)}
    by_id = {one["id"]: one for one in walked}
    assert by_id[story.removed] == story.before.of_type("Appointment")[story.removed]
    assert by_id[story.changed] == story.before.of_type("Appointment")[story.changed]
    assert story.added not in by_id
    now = api.ids("Appointment", "_count=1000")
    assert story.added in now
    assert story.removed not in now
    again = api.get(str(link(story.first_page, "self")))
    assert len(entries(again.json())) == 20


# --- _since


def test_baseline_and_changes_make_the_whole(story: Story) -> None:
    replayed = everything(story.before)
    for key, resource in everything(story.since).items():
        replayed[key] = resource
    for key in deletions(story.since):
        del replayed[key]
    assert replayed == everything(story.after)


def test_since_gives_what_changed_and_nothing_else(story: Story) -> None:
    after = everything(story.after)
    fresh = {key for key, one in after.items() if one["meta"]["lastUpdated"] > story.time}
    assert fresh == set(everything(story.since))
    assert f"Appointment/{story.added}" in fresh
    assert f"Patient/{story.newcomer}" in fresh
    assert f"Appointment/qubs-E2E-{RUN}-2" in fresh
    assert f"Patient/{story.patient}" not in fresh
    assert story.since.manifest["transactionTime"] == story.after.manifest["transactionTime"]
    assert story.since.manifest["transactionTime"] > story.time


def test_deletions_are_transactions(api: Api, story: Story) -> None:
    manifest = story.since.manifest
    assert [item["type"] for item in manifest["deleted"]] == ["Bundle"]
    bundles = [one for _, one in story.since.lines("deleted")]
    assert manifest["deleted"][0]["count"] == len(bundles)
    for bundle in bundles:
        assert bundle["type"] == "transaction"
        assert {one["request"]["method"] for one in bundle["entry"]} == {"DELETE"}
        assert deep_check(bundle) == []
    deleted = deletions(story.since)
    assert len(deleted) == len(set(deleted))
    assert f"Appointment/{story.removed}" in deleted
    assert not set(deleted) & set(everything(story.after))
    assert set(deleted) <= set(everything(story.before))
    issue(api.get(manifest["deleted"][0]["url"], "backend:system/Patient.rs"), 403)
    narrow = api.export([("_since", story.time), ("_type", "Patient")])
    assert all(url.startswith("Patient/") for url in deletions(narrow))


def test_the_lines_of_a_delta_are_valid(story: Story) -> None:
    for _, resource in story.since.lines():
        assert fast_check(resource) == []
        assert deep_check(resource) == []


def test_how_since_may_be_written(api: Api, story: Story) -> None:
    moment = dt.datetime.fromisoformat(story.time)
    zone = ZoneInfo(api.contract["timezone"])
    right = set(everything(story.since))
    local = moment.astimezone(zone).isoformat(timespec="milliseconds")
    for text in (
        story.time,
        story.time.replace("Z", "+00:00"),
        local,
        local[: len("2026-11-21T00:00:00.000")],
    ):
        made = api.export([("_since", text)])
        assert set(everything(made)) == right, text
    # A plus sign that nobody escaped arrives as a blank.
    assert set(everything(api.export(f"_since={local}"))) == right
    body = json.dumps(
        {
            "resourceType": "Parameters",
            "parameter": [{"name": "_since", "valueInstant": story.time}],
        }
    )
    headers = {"Content-Type": "application/fhir+json"}
    posted = api.export(method="POST", headers=headers, body=body)
    assert set(everything(posted)) == right


def test_nothing_since_now(api: Api, story: Story) -> None:
    time = story.after.manifest["transactionTime"]
    made = api.export([("_since", time)])
    assert made.manifest["output"] == []
    assert made.manifest["deleted"] == []
    assert made.manifest["error"] == []
    assert made.manifest["transactionTime"] == time


def test_a_future_or_forgotten_since_is_refused(api: Api) -> None:
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    issue(api.kickoff([("_since", tomorrow.isoformat())]), 400)


def test_the_group_counts_its_members(api: Api, story: Story) -> None:
    group = story.after.of_type("Group")[api.contract["group_id"]]
    members = {one["entity"]["reference"] for one in group["member"]}
    assert members == {f"Patient/{one}" for one in story.after.of_type("Patient")}
    assert f"Patient/{story.newcomer}" in members


# --- groups that grow and shrink


@pytest.fixture(scope="module")
def listed(api: Api, story: Story, demo: RunningDemo) -> Iterator[tuple[Api, list[Exported]]]:
    """A group of one patient, then of two, then of the other only; an export after each."""
    jwk = api.contract["clients"]["backend"]["jwk"]
    public = {name: value for name, value in jwk.items() if name != "d"}
    own = Api(demo, TENANT)
    own.contract = {
        **api.contract,
        "group_id": GROUP,
        "clients": {"backend": {"client_id": GROUP, "jwk": jwk}},
    }
    own.demo = RunningDemo(
        demo.process,
        demo.state,
        demo.port,
        {
            **demo.contract,
            "demo": {**demo.demo, "tenants": {**demo.demo["tenants"], TENANT: own.contract}},
        },
    )
    first, second = story.patient, story.edited_patient
    exports: list[Exported] = []
    with operator(demo, TENANT) as host:
        host.list_group(GROUP, (first,))
        host.add_app(
            {
                "client_id": GROUP,
                "client_name": "Listed",
                "token_endpoint_auth_method": "private_key_jwt",
                "grant_types": ["client_credentials"],
                "scope": "system/*.rs",
                "jwks": {"keys": [public]},
                "groups": [GROUP],
            }
        )
        exports.append(own.export())
        for members in ((first, second), (second,)):
            host.list_group(GROUP, members)
            time = exports[-1].manifest["transactionTime"]
            exports.append(own.export([("_since", time)]))
        yield own, exports
        host.list_group(GROUP, ())


def of_patients(made: Exported) -> set[str]:
    return set(re.findall(r'"(?:Patient/)([^"/]+)"', json.dumps([one for _, one in made.lines()])))


def test_a_group_holds_its_members_only(story: Story, listed: tuple[Api, list[Exported]]) -> None:
    _, (only, _, _) = listed
    assert set(only.of_type("Patient")) == {story.patient}
    assert of_patients(only) == {story.patient}
    assert set(only.of_type("Group")) == {GROUP}
    assert set(only.of_type("Location")) == set(story.after.of_type("Location"))
    targets = {t["reference"] for one in only.of_type("Provenance").values() for t in one["target"]}
    assert targets <= only.keys()


def test_who_joins_brings_the_whole_record(
    story: Story, listed: tuple[Api, list[Exported]]
) -> None:
    _, (only, joined, _) = listed
    theirs = {
        key
        for key, one in everything(story.after).items()
        if f'"Patient/{story.edited_patient}"' in json.dumps(one)
        and one["resourceType"] in ("Appointment", "DiagnosticReport")
    }
    assert theirs
    assert theirs | {f"Patient/{story.edited_patient}", f"Group/{GROUP}"} <= joined.keys()
    assert of_patients(joined) == {story.patient, story.edited_patient}
    assert set(joined.of_type("Patient")) == {story.edited_patient}
    assert not joined.of_type("Location")
    older = [
        one
        for one in joined.of_type("Appointment").values()
        if one["meta"]["lastUpdated"] < only.manifest["transactionTime"]
    ]
    assert older


def test_who_leaves_is_out_of_reach_and_not_deleted(
    story: Story, listed: tuple[Api, list[Exported]]
) -> None:
    own, (_, _, left) = listed
    assert set(left.of_type("Patient")) == set()
    assert set(left.of_type("Group")) == {GROUP}
    assert deletions(left) == []
    issue(own.get(f"/Patient/{story.patient}", "backend"), 404)
    issue(own.get(f"/Appointment/{story.changed}", "backend"), 404)
    assert own.get(f"/Patient/{story.edited_patient}", "backend").status_code == 200
    assert set(own.ids("Patient", "", "backend")) == {story.edited_patient}
    found = own.get(f"/Appointment?patient={story.patient}", "backend")
    assert found.status_code == 403 or found.json()["total"] == 0


def test_a_job_of_one_group_is_nothing_to_a_client_of_another(
    api: Api, listed: tuple[Api, list[Exported]]
) -> None:
    own, (only, _, _) = listed
    issue(api.get(only.status_url, "backend"), 404)
    issue(api.get(next(iter(only.files)), "backend"), 404)
    issue(own.kickoff(group=api.contract["group_id"]), 404)
    issue(api.kickoff(group=GROUP), 404)


# --- the server's own sync


def test_changes_arrive_by_themselves_and_pages_stay(api: Api, story: Story) -> None:
    path = f"/Appointment/{story.added}"
    first_page = api.search("Appointment", "_count=50")
    whole = api.ids("Appointment", "_count=1000")
    tag = api.get(path).headers["ETag"]
    with EmulatorControl(api.contract["sandbox"]["qubs"]) as qubs:
        number = story.added.removeprefix("qubs-")
        qubs.change("appointment", TENANT, number, studyDescription="Seen without being asked")

    def changed() -> Any:
        answer = api.get(path, headers={"If-None-Match": tag})
        return None if answer.status_code == 304 else answer

    answer = wait_for(changed, 150, pause=0.5)
    assert answer.json()["description"] == "Seen without being asked"
    walked = [one for page in api.pages(first_page) for one in entries(page)]
    assert [one["id"] for one in walked] == whole
    old = next((one for one in walked if one["id"] == story.added), None)
    assert old is not None
    assert old.get("description") != "Seen without being asked"
