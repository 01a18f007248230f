"""Random resources, random searches: the index finds what reading every resource finds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fhir_facade.fhir import json
from fhir_facade.mirror import plan
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.publish import Prepared, Publisher, SubjectOutput
from fhir_facade.policy import AllPatients, Grant, Reach
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.resources.subject import Subject
from fhir_facade.search.cursor import Position
from fhir_facade.search.parse import parse
from fhir_facade.search.query import Pair, SearchContext
from fhir_facade.search.run import SearchPage, TotalCache, run
from tests.support.databases import BOTH, shared_database
from tests.support.published import SYDNEY
from tests.support.random_world import TYPES, Questions
from tests.support.random_world import world as random_world
from tests.support.search_world import World
from tests.support.soak import examples

CLASSES = {name: definition.reach for name, definition in REGISTRY.items()}
ALL = Reach((Grant("user", "*", frozenset({"r", "s"}), AllPatients()),), CLASSES)
CONTEXT = SearchContext(REGISTRY, SYDNEY, "https://fhir.example.org/fhir/acme")
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
BUDGET = settings(
    max_examples=examples(20),
    deadline=None,
    phases=PHASES,
    suppress_health_check=[HealthCheck.too_slow],
)
SEARCHES = 20
seeds = st.integers(0, 2**32)
tenants = itertools.count()


@pytest.fixture(scope="module", params=BOTH)
def shared(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Database]:
    with shared_database(request.param, tmp_path_factory.mktemp("scan")) as opened:
        yield opened


def pages(
    database: Database, tenant: str, kind: str, pairs: list[Pair], reach: Reach = ALL
) -> Iterator[SearchPage]:
    """Every page of a search, each after the one before."""
    query = parse(REGISTRY[kind], pairs, CONTEXT)
    position = None
    with database.read() as conn:
        while True:
            page = run(conn, tenant, query, reach, TotalCache(), position)
            yield page
            if page.after is None:
                return
            position = Position(query.used, page.revision, page.after, page.total)


def stored(database: Database, resources: list[dict[str, Any]]) -> tuple[str, World]:
    """A tenant with these resources, and the world as it is served; without contents."""
    tenant = f"t{next(tenants)}"
    resources = [one for one in resources if one["resourceType"] != "Binary"]
    about = {one["target"][0]["reference"]: one for one in resources if "target" in one}
    outputs = [
        SubjectOutput(Subject("appointment", key), None, (Prepared(one, about.get(key)),))
        for one in resources
        if (key := f"{one['resourceType']}/{one['id']}") and "target" not in one
    ]
    Publisher(database, REGISTRY).publish(tenant, "qubs", outputs, SYDNEY)
    served = [
        json.loads(row.body)
        for kind in TYPES
        for page in pages(database, tenant, kind, [("_count", "1000")])
        for row in page.matches
        if row.body is not None
    ]
    assert len(served) == len(resources)
    return tenant, World(served, SYDNEY)


def few_rows(most: int | None) -> Any:
    """How many listed rows are few; None: no list is ever short enough."""
    if most is None:
        return patch.object(plan, "_shortest_of", lambda *_: (None, 0))
    return patch.object(plan, "FEW_ROWS", most)


@BUDGET
@given(seed=seeds, few=st.sampled_from((None, 1, 4000)))
def test_every_kind_of_parameter(shared: Database, seed: int, few: int | None) -> None:
    random = Random(seed)
    tenant, world = stored(shared, random_world(random))
    ask = Questions(random, list(world.by_key.values()))
    with few_rows(few):
        for _ in range(SEARCHES):
            kind = random.choice(TYPES)
            asked = ask.questions(kind, 3)
            [page] = pages(shared, tenant, kind, [*asked, ("_count", "1000")])
            assert [row.id for row in page.matches] == world.search(kind, asked), (kind, asked)
            [count] = pages(shared, tenant, kind, [*asked, ("_summary", "count")])
            assert count.total == page.total == len(page.matches)


@BUDGET
@given(seed=seeds, few=st.sampled_from((None, 1, 4000)))
def test_orders_and_pages(shared: Database, seed: int, few: int | None) -> None:
    random = Random(seed)
    tenant, world = stored(shared, random_world(random, 6))
    ask = Questions(random, list(world.by_key.values()))
    with few_rows(few):
        for _ in range(SEARCHES):
            kind = random.choice(TYPES)
            asked = ask.questions(kind, 1, 0) if random.random() < 0.3 else []
            asked.append(("_sort", ask.order(kind)))
            size = random.choice(("1", "2", "1000"))
            walked = list(pages(shared, tenant, kind, [*asked, ("_count", size)]))
            found = [row.id for page in walked for row in page.matches]
            assert found == world.search(kind, asked), (kind, asked)
            assert {page.total for page in walked} == {len(found)}
            assert all(page.matches for page in walked[1:])


@BUDGET
@given(seed=seeds)
def test_includes(shared: Database, seed: int) -> None:
    random = Random(seed)
    tenant, world = stored(shared, random_world(random))
    ask = Questions(random, list(world.by_key.values()))
    for _ in range(SEARCHES):
        kind = random.choice(TYPES)
        asked = ask.includes(kind)
        for page in pages(shared, tenant, kind, [*asked, ("_count", "2")]):
            found = [(row.type, row.id) for row in page.included]
            assert len(found) == len(set(found))
            matches = [row.id for row in page.matches]
            assert set(found) == world.included(kind, matches, asked), (kind, asked)


MANY = [
    ("Patient", "identifier", "v%d"),
    ("Patient", "identifier:not", "v%d"),
    ("Patient", "name:contains", "v%d"),
    ("Patient", "_profile:below", "http://example.org/%d"),
    ("Patient", "_lastUpdated", "lt%04d"),
    ("Appointment", "date", "ne%04d"),
    ("Appointment", "patient", "p%d"),
    ("Appointment", "patient.birthdate", "eq%04d"),
    ("Patient", "_has:Appointment:patient:_has:Provenance:target:recorded", "lt%04d"),
]


@pytest.mark.parametrize("few", [None, 1, 4000])
@pytest.mark.parametrize(("kind", "name", "value"), MANY)
def test_a_thousand_values(
    shared: Database, few: int | None, kind: str, name: str, value: str
) -> None:
    tenant, world = stored(shared, random_world(Random(7)))
    asked = [(name, ",".join(value % number for number in range(1001, 2001)))]
    with few_rows(few):
        [page] = pages(shared, tenant, kind, asked)
    assert [row.id for row in page.matches] == world.search(kind, asked)
