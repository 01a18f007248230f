import json

from fhir_facade.fhir.bundle import Entry, HistoryEntry, finished_entries, history, searchset

BODIES = [b'{"resourceType":"Patient","id":"a","x":1.00}', b'{"resourceType":"Location"}']


def test_searchset_is_spliced_from_the_stored_bytes() -> None:
    entries = [
        Entry("https://h/fhir/Patient/a", BODIES[0]),
        Entry('https://h/fhir/Location/"b', BODIES[1], "include"),
        Entry(None, b'{"resourceType":"OperationOutcome"}', "outcome"),
    ]
    links = {"self": "https://h/fhir/Patient?x=1&y", "next": "https://h/fhir?c"}
    made = searchset(iter(entries), 7, links, "b1", "2026-01-01T00:00:00.000Z")
    assert all(body in made for body in BODIES)
    assert json.loads(made) == {
        "resourceType": "Bundle",
        "id": "b1",
        "meta": {"lastUpdated": "2026-01-01T00:00:00.000Z"},
        "type": "searchset",
        "total": 7,
        "link": [
            {"relation": "self", "url": "https://h/fhir/Patient?x=1&y"},
            {"relation": "next", "url": "https://h/fhir?c"},
        ],
        "entry": [
            {
                "fullUrl": "https://h/fhir/Patient/a",
                "resource": {"resourceType": "Patient", "id": "a", "x": 1.0},
                "search": {"mode": "match"},
            },
            {
                "fullUrl": 'https://h/fhir/Location/"b',
                "resource": {"resourceType": "Location"},
                "search": {"mode": "include"},
            },
            {"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}},
        ],
    }


def test_a_bundle_without_entries_has_no_empty_list() -> None:
    assert json.loads(searchset([], 0, {})) == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
    }
    assert "total" not in json.loads(searchset([], None, {}))


def test_history_shows_deletions_without_resource() -> None:
    when = "2026-01-01T00:00:00.000Z"
    url = "https://h/fhir/Patient/a"
    made = history(
        [
            HistoryEntry(url, None, "DELETE", "Patient/a", "204", when),
            HistoryEntry(url, BODIES[0], "PUT", "Patient/a", "200", when, 'W/"1"'),
        ],
        2,
        {"self": url + "/_history"},
    )
    gone, kept = json.loads(made)["entry"]
    assert gone == {
        "fullUrl": url,
        "request": {"method": "DELETE", "url": "Patient/a"},
        "response": {"status": "204", "lastModified": when},
    }
    assert kept["resource"]["id"] == "a"
    assert kept["response"]["etag"] == 'W/"1"'


def test_a_finished_entry_is_what_an_entry_gives() -> None:
    base, body = 'https://x.example/a"b', b'{"resourceType":"Patient","id":"p"}'
    prefix = json.dumps(f"{base}/Patient/")[1:-1].encode()
    finished = finished_entries(prefix, [("p", body)], b"include")
    entry = Entry(f"{base}/Patient/p", body, "include")
    assert searchset(finished, 1, {}) == searchset([entry], 1, {})
