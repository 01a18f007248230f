"""A page of results as a searchset Bundle, spliced from stored bytes (R4 http.html#search)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from urllib.parse import quote, urlencode

from fhir_facade.fhir import json
from fhir_facade.fhir.bundle import Entry, finished_entries, searchset
from fhir_facade.fhir.outcome import Issue, outcome_of
from fhir_facade.mirror.versions import Row
from fhir_facade.search.cursor import PARAMETER
from fhir_facade.search.includes import INCLUDE_LIMIT
from fhir_facade.search.parse import NEGOTIATED
from fhir_facade.search.query import Pair, SearchQuery
from fhir_facade.search.subset import subset


@dataclass(frozen=True)
class PageContent:
    """What goes into one Bundle: rows, total, links by relation, issues for an outcome entry."""

    matches: Sequence[Row]
    included: Sequence[Row]
    total: int | None
    links: Mapping[str, str]
    issues: Sequence[Issue] = ()


def bundle(base: str, query: SearchQuery, content: PageContent) -> bytes:
    """The searchset Bundle as JSON bytes; resources are copied as stored unless `_elements` or
    `_summary` asks for parts of them.
    """
    entries: list[Entry | bytes] = [
        *_entries(base, content.matches, b"match", query),
        *_entries(base, content.included, b"include", query),
    ]
    if content.issues:
        entries.append(Entry(None, json.dumps(outcome_of(content.issues)), "outcome"))
    return searchset(entries, content.total, content.links)


def self_url(base: str, path: str, used: Sequence[Pair]) -> str:
    """The search as a URL with the parameters that were applied. `path` is the searched type, ''
    for a search over several."""
    text = urlencode(used, quote_via=quote, safe=",:/")
    url = _searched(base, path)
    return f"{url}?{text}" if text else url


def cursor_url(base: str, path: str, used: Sequence[Pair], cursor: str) -> str:
    """A page as a URL: the sealed cursor, and the parameters about the form of the answer only."""
    url = f"{_searched(base, path)}?{PARAMETER}={cursor}"
    form = [(name, value) for name, value in used if name in NEGOTIATED]
    return f"{url}&{urlencode(form, quote_via=quote)}" if form else url


def _searched(base: str, path: str) -> str:
    return f"{base}/{path}" if path else base


def ignored_issues(query: SearchQuery) -> list[Issue]:
    """One warning for each parameter that lenient handling left out."""
    return [
        Issue(
            "warning",
            "not-supported",
            f"The parameter '{name}' was ignored.",
            "The results are not filtered by it; the link 'self' shows what was applied.",
            (name,),
        )
        for name in query.ignored
    ]


def cut_issue() -> Issue:
    """The warning for a page whose includes were cut."""
    return Issue(
        "warning",
        "too-costly",
        f"Only the first {INCLUDE_LIMIT} included resources are on this page.",
        "Ask for fewer matches a page with _count, or search the included type itself.",
    )


def _entries(base: str, rows: Sequence[Row], mode: bytes, query: SearchQuery) -> list[bytes]:
    elements = query.elements if mode == b"match" else ()
    whole = not elements and query.summary in ("false", "count")
    entries: list[bytes] = []
    for name, of_type in groupby(rows, attrgetter("type")):
        # A base may hold what JSON escapes; types and ids cannot. Tombstones match no search.
        prefix = json.dumps(f"{base}/{name}/")[1:-1]
        found = [(row.id, row.body or b"null") for row in of_type]
        if not whole:
            found = [(id_, subset(body, query.summary, elements)) for id_, body in found]
        entries += finished_entries(prefix, found, mode)
    return entries
