"""Every act that the code writes into the trail has its codes and its line in the document."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from fhir_facade.resources.audit_acts import INTERACTIONS, OTHERS, REST, Code, act_of
from smart_auth.rates import Endpoint

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs/reference/audit.md").read_text(encoding="utf-8")
BY_POSITION = {"AccessRow": 1, "AccessEvent": 1, "audit": 1}
INTERNAL = {"smart_auth/core.py", "fhir_facade/rest/auth_ports.py"}
"""Where the word comes from the caller."""


def written() -> Iterator[tuple[str, str | None]]:
    """The word of each call that writes a row, with its place; None where it is no constant."""
    for package in ("smart_auth", "fhir_facade", "sandbox"):
        for path in sorted((ROOT / package).rglob("*.py")):
            place = str(path.relative_to(ROOT))
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and place not in INTERNAL:
                    yield from _word(node, place)


def _word(call: ast.Call, place: str) -> Iterator[tuple[str, str | None]]:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    position = BY_POSITION.get(name)
    if position is None:
        return
    given = {keyword.arg: keyword.value for keyword in call.keywords}.get("action")
    if given is None and len(call.args) > position:
        given = call.args[position]
    if given is not None:
        constant = given.value if isinstance(given, ast.Constant) else None
        yield f"{place}:{call.lineno}", constant if isinstance(constant, str) else None


def test_every_word_has_its_codes() -> None:
    found = list(written())
    words = {word for _, word in found if word is not None}
    assert {"login", "token", "consent", "admin"} <= words
    assert words <= {REST, *OTHERS}
    # What is no constant is one of these.
    unclear = {place.partition(":")[0] for place, word in found if word is None}
    assert unclear <= {"smart_auth/rates.py", "smart_auth/oauth/server.py"}
    assert set(get_args(Endpoint)) <= set(OTHERS)


def test_each_word_is_a_subtype_of_its_own() -> None:
    for word in (*INTERACTIONS, *OTHERS):
        act = INTERACTIONS.get(word) or OTHERS[word]
        assert act.subtypes[0].code == word
        assert all(isinstance(code, Code) and re.fullmatch(r"\S+", code.code) for code in act[1])
    assert not set(INTERACTIONS) & set(OTHERS)
    assert act_of("rest", None) == act_of("rest", "other") == INTERACTIONS["other"]
    assert act_of("unheard-of", None).subtypes[0].code == "unheard-of"


def test_the_document_lists_each_act_with_its_codes() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| ((?:rest|110).*) \|$", DOCUMENT, re.MULTILINE))
    assert set(rows) == {*INTERACTIONS, *OTHERS}
    for word, line in rows.items():
        act = INTERACTIONS.get(word) or OTHERS[word]
        assert line.startswith(f"{act.type.code} | {act.action} | ")
