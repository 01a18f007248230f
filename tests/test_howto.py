"""The recipes are followed to the letter: what a page tells an operator to type works."""

from __future__ import annotations

import json
import re
import shlex
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple, get_args
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from joserfc.jwk import ECKey

from fhir_facade.app import Facade, build, create_app
from fhir_facade.cli import main
from fhir_facade.settings import load
from smart_auth import admin
from smart_auth.ports import Step
from tests.support import exports
from tests.support.serving import facade_environment

PAGES = Path(__file__).parents[1] / "docs/howto"
SECRET = "49302857"
"""What is typed where a password or a PIN is asked for."""
PATIENTS = ("qubs-101", "qubs-102", "qubs-103")
PROVIDER = {
    "LABEL": "Hospital account",
    "ISSUER": "https://id.hospital.example",
    "CLIENT_ID": "facade",
    "CLIENT_SECRET": "a-secret-of-the-provider",
}


def keys() -> dict[str, Any]:
    return {"keys": [ECKey.generate_key("P-384", {"kid": "1"}).as_dict(private=False)]}


def app(facade: Facade, **metadata: Any) -> None:
    admin.create_client(facade.auth_store, "acme", metadata)


def growth_chart(facade: Facade) -> None:
    redirects = ["https://app.example.org/index.html"]
    launch = "https://app.example.org/launch.html"
    app(facade, client_id="growth-chart", redirect_uris=redirects, launch_uri=launch)


def registry(facade: Facade) -> None:
    app(facade, client_id="registry", jwks=keys())


def server(facade: Facade) -> None:
    method = {"token_endpoint_auth_method": "client_secret_basic"}
    app(facade, client_id="portal-server", redirect_uris=["https://app.example.org/"], **method)


def person(name: str) -> Callable[[Facade], None]:
    def make(facade: Facade) -> None:
        admin.create_user(facade.auth_store, "acme", name, "a-password", role="practitioner")

    return make


ada, dora = person("ada"), person("dora")

BEFORE: dict[str, tuple[Callable[[Facade], None], ...]] = {
    "approve-and-limit-apps": (growth_chart, registry, ada),
    "export-a-group": (),
    "federated-login": (dora,),
    "keys-and-purge": (registry, server),
    "launch-from-your-ehr": (growth_chart,),
    "register-an-app": (),
    "second-factor-and-lockout": (ada,),
    "see-who-saw-what": (growth_chart,),
}
"""Pages with what a reader has done before."""


@pytest.fixture
def facade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Facade]:
    """A practice with three patients, in a folder that is the working one."""
    provider = {f"TENANTS__ACME__LOGIN_PROVIDERS__HOSPITAL__{k}": v for k, v in PROVIDER.items()}
    for name, value in facade_environment(tmp_path, 1, DEMO="true", **provider).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jwks.json").write_text(json.dumps(keys()))
    made = build(load(), check=False)
    made.upgrade()
    patients = [{**exports.patient(1), "id": one} for one in PATIENTS]
    exports.publish(made.database, *patients)
    exports.publish(made.database, {**exports.location(), "id": "qubs-Northside"})
    appointment = exports.appointment(1, None)
    appointment["participant"] = [
        {"actor": {"reference": f"Patient/{PATIENTS[0]}"}, "status": "accepted"}
    ]
    exports.publish(made.database, {**appointment, "id": "qubs-9001"})
    yield made
    made.close()


class Block(NamedTuple):
    """A fenced block, and the text before it."""

    language: str
    content: str
    before: str


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    parts = re.split(r"^ *```(.*)\n", text, flags=re.MULTILINE)
    # Text, then by turns: a language, a block, nothing (the fence that closes), a text.
    before = parts[0]
    for place in range(1, len(parts), 4):
        language, content, _, behind = parts[place : place + 4]
        yield Block(language, dedent(content), before)
        before += behind


def files(text: str) -> Iterator[tuple[str, str]]:
    """JSON blocks, each with the name that was last given to a file before it."""
    for block in blocks(text):
        if block.language == "json":
            yield re.findall(r"`([\w-]+\.json)`", block.before)[-1], block.content


def commands(text: str) -> list[str]:
    """The commands of the page that need nothing of the reader's own ($TOKEN)."""
    lines = [
        line.strip()
        for block in blocks(text)
        if block.language in ("", "sh")
        for line in block.content.replace("\\\n", " ").splitlines()
    ]
    return [one for one in lines if one.startswith(("fhir-facade ", "curl ")) and "$" not in one]


def typed(line: str, seen: dict[str, Any]) -> list[str]:
    """The words of a command, with the values that earlier ones printed in <places>."""
    return shlex.split(re.sub(r"<(\w+)>", lambda place: str(seen[place[1]]), line))


def curl(client: FlaskClient, words: list[str]) -> Any:
    """Do what curl would."""
    parser = ArgumentParser()
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-u", dest="user")
    parser.add_argument("-d", dest="data")
    parser.add_argument("url")
    given = parser.parse_args(words)
    answer = client.post(
        urlsplit(given.url).path,
        data=given.data,
        headers=dict(header.split(": ", 1) for header in given.headers),
        auth=None if given.user is None else tuple(given.user.split(":", 1)),
    )
    assert answer.status_code == 201, answer.text
    return answer.get_json()


@pytest.mark.parametrize("page", sorted(BEFORE))
def test_a_recipe_works(page: str, facade: Facade, tmp_path: Path) -> None:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    client = create_app(facade=facade).test_client()
    for prepare in BEFORE[page]:
        prepare(facade)
    for name, content in files(text):
        (tmp_path / name).write_text(content)
    seen: dict[str, Any] = {}
    lines = commands(text)
    assert lines
    for line in lines:
        tool, *words = typed(line, seen)
        if tool == "curl":
            seen |= curl(client, words)
            continue
        done = CliRunner().invoke(main, words, input=f"{SECRET}\n{SECRET}\n")
        assert done.exit_code == 0, (line, done.output)
        if done.stdout.startswith("{"):
            seen |= json.loads(done.stdout)


def test_each_recipe_with_commands_is_followed() -> None:
    with_commands = {
        page.stem
        for page in PAGES.glob("*.md")
        if any(one.startswith("fhir-facade ") for one in commands(page.read_text("utf-8")))
    }
    assert with_commands == set(BEFORE)


def test_the_steps_of_a_trace_are_those_of_the_server() -> None:
    text = (PAGES / "see-who-saw-what.md").read_text(encoding="utf-8")
    table = text.partition("| Step |")[2]
    named = set(re.findall(r"`([a-z]+)`", "".join(re.findall(r"^\|(.*?)\|", table, re.MULTILINE))))
    assert named == set(get_args(Step)) - {"other"}
