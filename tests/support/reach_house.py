"""Random mirrors, drawn from fixed seeds, and random principals with random scopes. What a row is
about is read from its resource here, not from the columns the policy decides by.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from hypothesis import strategies as st

from fhir_facade.mirror import find, versions
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.find import ExportSlice, FindRequest
from fhir_facade.mirror.groups import GroupDefinition, GroupStore, listed
from fhir_facade.mirror.history import HistoryRequest, history, span_of
from fhir_facade.mirror.versions import Row
from fhir_facade.policy import Reach, compile_reach
from fhir_facade.resources.registry import REGISTRY
from smart_auth.verify import VerifiedToken
from tests.support.published import appointment, location, patient, publish, report
from tests.support.tokens import backend_token, user_token

Key = tuple[str, str]

PATIENTS = tuple(f"p{number}" for number in range(1, 7))
GROUPS = ("g1", "g2", "g3")
TYPES = ("Patient", "Appointment", "DiagnosticReport", "Location", "Group", "Provenance")
CODES = ("RAD", "CT", "LAB")
SYSTEM = "http://terminology.hl7.org/CodeSystem/v2-0074"


@dataclass(frozen=True)
class House:
    """A mirror with a past: some resources have changed."""

    database: Database

    @cached_property
    def revision(self) -> int:
        with self.database.read() as conn:
            return versions.current_revision(conn, "acme")[0]

    def reach(self, token: VerifiedToken) -> Reach:
        return compile_reach(token, REGISTRY)

    def rows(self, token: VerifiedToken) -> list[Row]:
        """All that searches of every type find."""
        reach = self.reach(token)
        with self.database.read() as conn:
            return [
                row
                for kind in TYPES
                for row in find.find(
                    conn, FindRequest("acme", kind, (), reach, self.revision, None, 1000)
                )
            ]

    def searched(self, token: VerifiedToken) -> set[Key]:
        return {(row.type, row.id) for row in self.rows(token)}

    @cached_property
    def everything(self) -> dict[Key, Row]:
        """Each resource there is now."""
        return {(row.type, row.id): row for row in self.rows(user_token("user/*.rs"))}

    def read(self, token: VerifiedToken) -> set[Key]:
        """What reads one by one give."""
        reach = self.reach(token)
        found = set()
        with self.database.read() as conn:
            for kind, resource_id in self.everything:
                row = versions.read(conn, "acme", kind, resource_id)
                if row is not None and find.admitted(conn, "acme", reach, None, [row], "r"):
                    found.add((kind, resource_id))
        return found

    def past(self, token: VerifiedToken) -> dict[Key, list[Row]]:
        """The versions that histories show, newest first."""
        shown: dict[Key, list[Row]] = {}
        with self.database.read() as conn:
            span = span_of(conn, "acme", self.revision)
            request = HistoryRequest("acme", TYPES, self.reach(token), span, 1000)
            for row in history(conn, request):
                shown.setdefault((row.type, row.id), []).append(row)
        return shown

    def exported(self, token: VerifiedToken, group_id: str | None = None) -> set[Key]:
        reach = self.reach(token)
        with self.database.read() as conn:
            return {
                (row.type, row.id)
                for kind in TYPES
                for row in find.export_rows(
                    conn,
                    ExportSlice("acme", kind, self.revision, reach, group_id=group_id),
                    None,
                    1000,
                )
            }


def draw_house(database: Database, seed: int) -> None:
    """Six patients with appointments of none to three of them, and reports of changing category."""
    draw = random.Random(seed)

    def visit(number: int) -> dict[str, Any]:
        about = draw.sample(PATIENTS, draw.choice((0, 1, 1, 1, 2, 3)))
        actors = ["Location/l1", *(f"Patient/{one}" for one in about)]
        participants = [{"actor": {"reference": one}, "status": "accepted"} for one in actors]
        return appointment(number, participant=participants)

    def reports() -> list[dict[str, Any]]:
        return [report(n, draw.randint(1, 6), draw.choice(CODES)) for n in range(1, 9)]

    publish(
        database,
        location("l1"),
        location("l2"),
        *(patient(number) for number in range(1, 7)),
        *(visit(number) for number in range(1, 9)),
        *reports(),
        with_provenance=True,
    )
    publish(database, *reports(), visit(1), visit(2), with_provenance=True)
    groups = GroupStore(database)
    for group_id in GROUPS:
        members = listed(tuple(draw.sample(PATIENTS, draw.randint(0, 4))))
        groups.define("acme", GroupDefinition(group_id, group_id, "listed", members=members))
    groups.refresh("acme")


def about(row: Row) -> set[str]:
    """The patients a resource names, read from the resource."""
    body = json.loads(row.body or b"{}")
    if row.type == "Patient":
        return {row.id}
    named = [body.get("subject", {}).get("reference", "")]
    named += [one["actor"].get("reference", "") for one in body.get("participant", [])]
    return {one.partition("/")[2] for one in named if one.startswith("Patient/")}


def codes_of(row: Row) -> set[tuple[str, str]]:
    body = json.loads(row.body or b"{}")
    codings = [coding for one in body.get("category", []) for coding in one["coding"]]
    return {(coding["system"], coding["code"]) for coding in codings}


# --- scopes and principals at random --------------------------------------------------------------

ACCESS = ("r", "s", "rs", "read", "cruds", "*", "u", "cud", "write")
tokens_of_categories = st.lists(
    st.builds(
        lambda system, code: f"{system}|{code}" if system is not None else code,
        st.sampled_from((None, SYSTEM, "urn:other")),
        st.sampled_from((*CODES, "NONE")),
    ),
    min_size=1,
    max_size=3,
    unique=True,
)


@dataclass(frozen=True)
class Wish:
    """One scope before it is text."""

    type: str
    access: str
    categories: tuple[str, ...] = ()

    def at(self, level: str) -> str:
        query = f"?category={','.join(self.categories)}" if self.categories else ""
        return f"{level}/{self.type}.{self.access}{query}"

    def whole(self) -> Wish:
        return replace(self, categories=())


wishes = st.one_of(
    st.builds(Wish, st.sampled_from(("*", *TYPES)), st.sampled_from(ACCESS)),
    st.builds(
        Wish,
        st.just("DiagnosticReport"),
        st.sampled_from(("r", "s", "rs")),
        tokens_of_categories.map(tuple),
    ),
)
wish_lists = st.lists(wishes, max_size=4)
some_patients = st.frozensets(st.sampled_from((*PATIENTS, "p99")), max_size=4)
app_lists = st.one_of(st.none(), some_patients)


@dataclass(frozen=True)
class Person:
    """Who is logged in, with a patient in context and an app that may have a list of its own."""

    own: bool
    whole_tenant: bool
    patients: frozenset[str]
    app: frozenset[str] | None
    patient: str | None

    def token(self, scope: str) -> VerifiedToken:
        return user_token(
            scope,
            patient=self.patient,
            fhir_user="Patient/p1" if self.own else "Practitioner/d1",
            whole_tenant=self.whole_tenant and not self.own,
            patients={"p1"} if self.own else self.patients,
            app_patients=self.app,
        )

    @property
    def may_see(self) -> frozenset[str]:
        """The patients this person may see through this app."""
        mine = frozenset({"p1"}) if self.own else self.patients
        mine = frozenset(PATIENTS) if self.whole_tenant and not self.own else mine
        return mine if self.app is None else mine & self.app


people = st.builds(
    Person,
    st.booleans(),
    st.booleans(),
    some_patients,
    app_lists,
    st.one_of(st.none(), st.sampled_from(PATIENTS)),
)
person_levels = st.sampled_from(("patient", "user"))


@dataclass(frozen=True)
class Service:
    """A backend client and what it was assigned."""

    groups: frozenset[str]
    whole_tenant: bool
    patients: frozenset[str] | None

    def token(self, scope: str) -> VerifiedToken:
        made = backend_token(scope, groups=self.groups, whole_tenant=self.whole_tenant)
        return replace(made, client_patients=self.patients)


services = st.builds(
    Service, st.frozensets(st.sampled_from(GROUPS), max_size=3), st.booleans(), app_lists
)
principals: st.SearchStrategy[tuple[Person | Service, str]] = st.one_of(
    st.tuples(people, person_levels), st.tuples(services, st.just("system"))
)


def text(wanted: Iterable[Wish], level: str) -> str:
    return " ".join(wish.at(level) for wish in wanted)
