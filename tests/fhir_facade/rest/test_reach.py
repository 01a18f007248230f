"""No search, include, read, history or count shows what is outside the token's reach."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_facade.mirror import migrate
from fhir_facade.mirror.database import open_database
from fhir_facade.resources.registry import REGISTRY
from tests.support.postgres import fresh_postgres_url
from tests.support.published import appointment, location, patient, publish, report
from tests.support.rest_app import RestApp, rest_app
from tests.support.soak import examples
from tests.support.tokens import user_token

PATIENT_TYPES = ("Patient", "Appointment", "DiagnosticReport", "Provenance")
TYPES = (*PATIENT_TYPES, "Location", "Group")
INCLUDES = [f"_include={name}" for d in REGISTRY.values() if d.stored for name in d.includes]
REVERSE = [text.replace("_include", "_revinclude") for text in INCLUDES]


def belongs_to(resource: dict[str, Any]) -> set[str]:
    """Patients a resource is about, by a walk of its own."""
    if resource["resourceType"] == "Patient":
        return {resource["id"]}
    found = {
        text.partition("/")[2] for text in _references(resource) if text.startswith("Patient/")
    }
    if resource["resourceType"] == "Provenance":
        target = resource["target"][0]["reference"]
        # By the ids of the fixture: appointment and report n are of patient (n - 1) % 5 + 1.
        found |= {f"p{(int(target.rpartition('/')[2][1:]) - 1) % 5 + 1}"}
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "reference" and isinstance(value, str):
                yield value
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    scopes=st.lists(
        st.builds(
            "{}/{}.{}".format,
            st.sampled_from(["patient", "user"]),
            st.sampled_from(["*", *TYPES]),
            st.sampled_from(["r", "s", "rs"]),
        ),
        min_size=1,
        max_size=4,
    ),
    own=st.sampled_from(["p1", "p2", "p3"]),
    searched=st.sampled_from(TYPES),
    includes=st.lists(st.sampled_from(INCLUDES + REVERSE), max_size=3),
    extra=st.sampled_from(["", "&_count=2", "&_total=accurate", "&_summary=count"]),
)
def test_every_entry_is_within_reach(
    calm: RestApp, scopes: list[str], own: str, searched: str, includes: list[str], extra: str
) -> None:
    token = user_token(" ".join(scopes), patient=own, whole_tenant=False, patients={own})
    fitting = [text for text in includes if _fits(text, searched)]
    answer = calm.get(f"/{searched}?{'&'.join(fitting)}{extra}", token)
    if answer.status_code == 403:
        return
    assert answer.status_code == 200, answer.data
    found = json.loads(answer.data)
    shown = [entry["resource"] for entry in found.get("entry", ())]
    for resource in shown:
        name = resource["resourceType"]
        assert any(f"/{kind}." in scope for scope in scopes for kind in ("*", name))
        if name in PATIENT_TYPES:
            assert belongs_to(resource) == {own}
        path = f"/{name}/{resource['id']}"
        assert calm.get(path, token).status_code in (200, 403)
    if searched in PATIENT_TYPES:
        all_of_type = json.loads(calm.get(f"/{searched}", user_token("user/*.rs")).data)
        mine = [e for e in all_of_type["entry"] if own in belongs_to(e["resource"])]
        assert found["total"] <= len(mine)


def _fits(text: str, searched: str) -> bool:
    name, _, value = text.partition("=")
    source, _, param = value.partition(":")
    if name == "_include":
        return source == searched
    parameter = REGISTRY[source].parameter(param)
    return parameter is not None and searched in parameter.targets


@pytest.mark.postgres
def test_the_same_holds_on_postgresql(tmp_path: Path) -> None:
    url = fresh_postgres_url()
    migrate.upgrade(url)
    database = open_database(url)
    publish(database, location(), patient(1), patient(2))
    publish(database, appointment(1, 1), appointment(2, 2), report(1, 1), with_provenance=True)
    built = rest_app(database, tmp_path)
    try:
        own = user_token("patient/*.rs", patient="p1")
        page = json.loads(
            built.get(
                "/Appointment?_include=Appointment:actor&_revinclude=Provenance:target"
                "&date=ge2026-11-21&_count=1",
                own,
            ).data
        )
        assert [e["resource"]["id"] for e in page["entry"]] == ["a1", "l1", "p1", "Appointment-a1"]
        assert page["total"] == 1
        assert built.get("/Appointment/a2", own).status_code == 404
        assert built.get("/Patient/p1", own, headers={"If-None-Match": 'W/"1"'}).status_code == 304
        doctor = user_token("user/*.rs")
        first = json.loads(built.get("/Patient?name=exam&_count=1", doctor).data)
        path = first["link"][1]["url"].partition("/fhir/acme")[2]
        second = json.loads(built.get(path, doctor).data)
        assert [e["resource"]["id"] for e in second["entry"]] == ["p2"]
        assert built.get("/Patient?name=%25&identifier=%3F%3F", doctor).status_code == 200
    finally:
        built.close()
        database.close()
