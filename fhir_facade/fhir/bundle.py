"""Bundles of type searchset, history and batch-response (R4 bundle.html), spliced from stored
bytes: no resource is parsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import orjson


class Entry(NamedTuple):
    """One finished resource of a searchset; `mode` is `match`, `include` or `outcome`.

    `full_url` is absolute and names no version; an outcome has none.
    """

    full_url: str | None
    body: bytes
    mode: str = "match"


class HistoryEntry(NamedTuple):
    """One version of a history; `body` is None for a deletion, `last_modified` an instant."""

    full_url: str
    body: bytes | None
    method: str
    url: str
    status: str
    last_modified: str
    etag: str | None = None


class BatchAnswer(NamedTuple):
    """What became of one entry of a batch. `body` is a finished resource, the OperationOutcome when
    it `failed`; `last_modified` is an instant."""

    status: str
    etag: str | None
    last_modified: str | None
    body: bytes | None
    failed: bool


def finished_entries(
    url_prefix: bytes, resources: Iterable[tuple[str, bytes]], mode: bytes
) -> list[bytes]:
    """Entries of a searchset as JSON, of resources given by FHIR id and body: `url_prefix` is
    `[base]/Type/`, free of what JSON escapes. For pages of many; the same bytes as of an `Entry`.
    """
    start, end = b'{"fullUrl":"%b' % url_prefix, b',"search":{"mode":"%b"}}' % mode
    return [
        b'%b%b","resource":%b%b' % (start, resource_id.encode(), body, end)
        for resource_id, body in resources
    ]


def searchset(
    entries: Iterable[Entry | bytes],
    total: int | None,
    links: Mapping[str, str],
    bundle_id: str | None = None,
    last_updated: str | None = None,
) -> bytes:
    """A searchset Bundle as UTF-8 JSON.

    `total` counts all matches (includes and outcomes not counted), None when unknown. `links` maps
    relation (`self`, `next`, …) to an absolute URL, kept in order. Bodies are copied as they are:
    each must be one JSON object. Entries given as bytes are finished (`finished_entries`).
    """
    head = _head("searchset", total, links, bundle_id, last_updated)
    return _splice(
        head, [entry if isinstance(entry, bytes) else _search_entry(entry) for entry in entries]
    )


def history(
    entries: Iterable[HistoryEntry],
    total: int | None,
    links: Mapping[str, str],
    bundle_id: str | None = None,
    last_updated: str | None = None,
) -> bytes:
    """A history Bundle as UTF-8 JSON, entries newest first as given (R4 http.html#history)."""
    head = _head("history", total, links, bundle_id, last_updated)
    return _splice(head, (_history_entry(entry) for entry in entries))


def batch_response(answers: Iterable[BatchAnswer]) -> bytes:
    """A batch-response Bundle as UTF-8 JSON, an entry for each answer in their order."""
    return _splice(
        _head("batch-response", None, {}, None, None), (_batch_entry(one) for one in answers)
    )


def _head(
    kind: str,
    total: int | None,
    links: Mapping[str, str],
    bundle_id: str | None,
    last_updated: str | None,
) -> bytes:
    head: dict[str, object] = {"resourceType": "Bundle"}
    if bundle_id is not None:
        head["id"] = bundle_id
    if last_updated is not None:
        head["meta"] = {"lastUpdated": last_updated}
    head["type"] = kind
    if total is not None:
        head["total"] = total
    if links:
        head["link"] = [{"relation": name, "url": url} for name, url in links.items()]
    return orjson.dumps(head)


def _splice(head: bytes, parts: Iterable[bytes]) -> bytes:
    listed = list(parts)
    if not listed:
        return head  # an empty list is no FHIR
    # Head and end go with their neighbours, so that the long parts are copied once.
    listed[0] = b'%b,"entry":[%b' % (head[:-1], listed[0])
    listed[-1] += b"]}"
    return b",".join(listed)


def _search_entry(entry: Entry) -> bytes:
    address = b"" if entry.full_url is None else b'"fullUrl":%b,' % orjson.dumps(entry.full_url)
    return b'{%b"resource":%b,"search":{"mode":"%b"}}' % (address, entry.body, entry.mode.encode())


def _history_entry(entry: HistoryEntry) -> bytes:
    response = {"status": entry.status, "lastModified": entry.last_modified}
    if entry.etag is not None:
        response["etag"] = entry.etag
    return b'{"fullUrl":%b,%b"request":%b,"response":%b}' % (
        orjson.dumps(entry.full_url),
        b"" if entry.body is None else b'"resource":%b,' % entry.body,
        orjson.dumps({"method": entry.method, "url": entry.url}),
        orjson.dumps(response),
    )


def _batch_entry(answer: BatchAnswer) -> bytes:
    response = {"status": answer.status}
    if answer.etag is not None:
        response["etag"] = answer.etag
    if answer.last_modified is not None:
        response["lastModified"] = answer.last_modified
    told = orjson.dumps(response)
    if answer.body is None:
        return b'{"response":%b}' % told
    if answer.failed:
        return b'{"response":%b,"outcome":%b}}' % (told[:-1], answer.body)
    return b'{"resource":%b,"response":%b}' % (answer.body, told)
