"""What is out of a principal's reach leaves no trace in any answer.

Two mirrors are the same but for the resources that the principal may not see: one has them. Every
request must get the same answer of both, to the byte; only the secret texts of page links and the
ids of jobs may differ.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fhir_facade.mirror.database import Database, open_database
from fhir_facade.mirror.groups import GroupDefinition, GroupStore, listed
from fhir_facade.mirror.publish import Prepared, Publisher, SubjectOutput
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.resources.subject import Subject
from tests.support.databases import copied_url, no_rows
from tests.support.exports import run_all
from tests.support.principals import (
    BEHIND,
    MEMBERS,
    PRINCIPALS,
    Key,
    Principal,
    Resource,
    behind,
)
from tests.support.published import SYDNEY
from tests.support.random_requests import Asked, Requests
from tests.support.random_world import world as random_world
from tests.support.rest_app import RestApp, base_of, rest_app
from tests.support.soak import examples

START = 1_793_000_000
"""Seconds: when the first resources were published; each further step is a second later."""
INSTANTS = [f"2026-10-26T07:33:{20 + second:02d}Z" for second in range(-1, 5)]
LAST = 8
REQUESTS = 60
REQUESTS_ON_POSTGRESQL = examples(25)
PAGES = 12


@contextmanager
def at(second: int) -> Iterator[None]:
    with time_machine.travel(START + second, tick=False):
        yield


class Story:
    """What happened to a random world: published, some of it changed, some of it deleted."""

    def __init__(self, random: Random) -> None:
        self.resources = random_world(random)
        self.by_key: dict[Key, Resource] = {
            (one["resourceType"], one["id"]): one for one in self.resources
        }
        plain = [key for key in self.by_key if key[0] not in BEHIND]
        self._changed = set(random.sample(plain, len(plain) // 3))
        self._deleted = set(random.sample(plain, len(plain) // 6))

    def tell(self, database: Database, principal: Principal | None) -> None:
        """Everything, or what the principal may see of it."""

        def seen(resource: Resource) -> bool:
            return principal is None or principal.sees(resource, self.by_key)

        there = [one for one in self.resources if seen(one)]
        after = {
            (kind, behind(one)): one
            for one in there
            for kind in BEHIND
            if one["resourceType"] == kind
        }
        steps: list[list[tuple[Key, Resource | None]]] = [
            [(key, one) for key, one in self.by_key.items() if key[0] not in BEHIND],
            [(key, _changed(self.by_key[key])) for key in sorted(self._changed)],
            [(key, None) for key in sorted(self._deleted)],
        ]
        for number, step in enumerate(steps):
            outputs = [
                SubjectOutput(
                    Subject("appointment", "/".join(key)),
                    None,
                    () if one is None else _prepared(one, key, after),
                )
                for key, one in step
                if seen(self.by_key[key])
            ]
            with at(number):
                Publisher(database, REGISTRY).publish("acme", "qubs", outputs, SYDNEY)
        for number, (group_id, members) in enumerate(MEMBERS.items(), len(steps)):
            if principal is None or group_id in principal.groups:
                group = GroupDefinition(group_id, "G", "listed", members=listed(members))
                with at(number):
                    GroupStore(database).define("acme", group)
                    GroupStore(database).refresh("acme")
        with at(LAST):
            # The instant of the last change is no secret: it is the time of every export.
            last = {"resourceType": "Location", "id": "last"}
            output = SubjectOutput(Subject("appointment", "last"), None, (Prepared(last, None),))
            Publisher(database, REGISTRY).publish("acme", "qubs", [output], SYDNEY)


def _prepared(
    one: Resource, key: Key, after: Mapping[tuple[str, str], Resource]
) -> tuple[Prepared, ...]:
    """The resource, its Provenance and its Binary, so far as they are there."""
    own = Prepared(one, after.get(("Provenance", "/".join(key))))
    content = after.get(("Binary", "/".join(key)))
    return (own,) if content is None else (own, Prepared(content, None, (key,)))


def _changed(resource: Resource) -> Resource:
    return resource | {"extension": [{"url": "urn:changed", "valueBoolean": True}]}


@contextmanager
def server(url: str, folder: Path, story: Story, principal: Principal | None) -> Iterator[RestApp]:
    database = open_database(url)
    story.tell(database, principal)
    built = rest_app(database, folder)
    try:
        yield built
    finally:
        built.close()
        database.close()


_SECRET = re.compile(rb'_cursor=[^"&]+|/bulk(?:status|files)/[^"/]+')


def answered(rest: RestApp, asked: Asked, principal: Principal) -> tuple[Any, ...]:
    """Status, headers and body without what differs between any two answers, and the next page."""
    answer = rest.request(
        asked.method,
        asked.path,
        principal.token,
        {"X-Correlation-Id": "the-same-for-both", **asked.headers},
        data=asked.body,
    )
    headers = {name: value for name, value in answer.headers if name != "Content-Length"}
    if "Content-Location" in headers:
        headers["Content-Location"] = "…"
    next_page = ""
    found = answer.json if answer.is_json and answer.data else None
    if isinstance(found, dict) and found["resourceType"] == "Bundle" and asked.method == "GET":
        links = {one["relation"]: one["url"] for one in found.get("link", ())}
        next_page = links.get("next", "").removeprefix(base_of("acme"))
    return next_page, answer.status_code, headers, _SECRET.sub(b"secret", answer.data)


def compare(apps: tuple[RestApp, RestApp], asked: Asked, principal: Principal) -> None:
    """Ask both, page after page."""
    followed = [asked, asked]
    for page in range(PAGES):
        with at(10):
            got = [answered(app, one, principal) for app, one in zip(apps, followed, strict=True)]
        assert got[0][1:] == got[1][1:], (asked, page)
        # The bytes of a Binary are not here, but with an upstream.
        assert got[0][1] < 500 or asked.path.startswith("/Binary/"), asked
        assert bool(got[0][0]) == bool(got[1][0]), (asked, page)
        if not got[0][0]:
            return
        followed = [Asked("GET", next_page) for next_page, *_ in got]


def exported(app: RestApp, group_id: str, principal: Principal, query: str) -> Any:
    """Kick-off, manifest and files of an export, without the id of the job."""
    headers = {"Prefer": "respond-async", "X-Correlation-Id": "the-same-for-both"}
    with at(11):
        path = f"/Group/{group_id}/$export{query}"
        answer = app.get(path, principal.token, headers=headers)
        if answer.status_code != 202:
            return answer.status_code, answer.data
        status_url = answer.headers["Content-Location"].removeprefix(base_of("acme"))
    run_all(app.bulk)
    with at(20):
        answer = app.get(status_url, principal.token)
        assert answer.status_code == 200, answer.data
        manifest: Mapping[str, Any] = answer.json or {}
        files = [
            app.get(item["url"].removeprefix(base_of("acme")), principal.token).data
            for section in ("output", "deleted", "error")
            for item in manifest[section]
        ]
    return _SECRET.sub(b"secret", answer.data), files


def hold(
    urls: tuple[str, str], folder: Path, seed: int, principal: Principal, many: int = REQUESTS
) -> None:
    """Tell one story twice, and ask both tellers the same so many times."""
    random = Random(seed)
    story = Story(random)
    assert any(not principal.sees(one, story.by_key) for one in story.resources)
    with ExitStack() as opened:
        apps = []
        for name, url, who in zip(("whole", "part"), urls, (None, principal), strict=True):
            (folder / name).mkdir(parents=True)
            apps.append(opened.enter_context(server(url, folder / name, story, who)))
        both = (apps[0], apps[1])
        requests = Requests(random, story.resources, INSTANTS)
        for _ in range(many):
            compare(both, requests.any(), principal)
        if principal.token.kind == "backend":
            for group_id in (*MEMBERS, "g3"):
                for query in ("", f"?_since={INSTANTS[2]}"):
                    one, other = (exported(app, group_id, principal, query) for app in both)
                    assert one == other, (group_id, query)


def _mirrors(kind: str, places: tuple[Path, Path]) -> tuple[str, str]:
    """The addresses of two mirrors with nothing in them."""
    one, other = (copied_url(kind, place, no_rows) for place in places)
    return one, other


@pytest.mark.parametrize("name", PRINCIPALS)
@settings(
    max_examples=examples(2),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32))
def test_what_is_out_of_reach_changes_no_answer(
    tmp_path_factory: Any, name: str, seed: int
) -> None:
    folder: Path = tmp_path_factory.mktemp("story")
    places = (folder / "one", folder / "other")
    for place in places:
        place.mkdir()
    hold(_mirrors("sqlite", places), folder, seed, PRINCIPALS[name])
    shutil.rmtree(folder)


@pytest.mark.postgres
@pytest.mark.parametrize("name", PRINCIPALS)
def test_the_same_holds_on_postgresql(tmp_path: Path, name: str) -> None:
    urls = _mirrors("postgresql", (tmp_path, tmp_path))
    hold(urls, tmp_path, 20261121, PRINCIPALS[name], REQUESTS_ON_POSTGRESQL)
