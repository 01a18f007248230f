"""The scopes of an app as its developer writes them."""

from __future__ import annotations

from collections.abc import Callable

from smart_auth.records import Service
from smart_auth.scopes import ScopeSet

LONGEST_SCOPE = 4000

DEFAULT_SCOPES = {
    False: "launch launch/patient openid fhirUser offline_access patient/*.rs",
    True: "system/*.rs",
}
"""What an app asks for when nothing is written, by whether it is a backend service."""

EXAMPLES = "patient/Observation.rs, patient/*.read, launch/patient or openid"


def scope_problem(
    text: str, backend: bool, service: Service | None, parse: Callable[[str], ScopeSet]
) -> str:
    """Why an app of this kind cannot have these scopes, '' when it can. It names the words."""
    if not text:
        return ""
    if len(text) > LONGEST_SCOPE:
        return f"Write at most {LONGEST_SCOPE} characters."
    words = text.split()
    unknown = [word for word in words if not parse(word)]
    if unknown:
        return f"No scopes of this server: {_list(unknown)}. Write them as {EXAMPLES}."
    levels = {word: {scope.level for scope in parse(word).resources} for word in words}
    if backend:
        wrong = [word for word in words if levels[word] != {"system"}]
        problem = f"A backend service has system scopes only: leave out {_list(wrong)}."
        return problem if wrong else ""
    wrong = [word for word in words if "system" in levels[word]]
    if wrong:
        return f"system scopes are for backend services: leave out {_list(wrong)}."
    wrong = [word for word in words if "user" in levels[word]]
    if service == "patient" and wrong:
        return f"An app for patients has patient scopes only: leave out {_list(wrong)}."
    if not parse(text).meaningful:
        return "Add a scope that gives something: launch/patient, openid or one for resources."
    return ""


def _list(words: list[str]) -> str:
    shown = [word if len(word) <= 60 else f"{word[:57]}…" for word in words[:5]]
    more = len(words) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
