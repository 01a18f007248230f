"""Nonsense over a real gunicorn: whatever comes in, what goes out is HTTP, at most 499, FHIR JSON
when it is an error, and without a word of the inside.

Fixed lists for what is known to hurt servers, hypothesis for what nobody thinks of.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import quote, quote_from_bytes, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.demo import RunningDemo
from tests.support.fhir_api import FHIR_JSON, Api, api_of, link
from tests.support.search_paths import PATHS
from tests.support.soak import examples

BUDGET = settings(
    max_examples=examples(75),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
INSIDE = re.compile(
    rb"Traceback|\.py\b|sqlalchemy|sqlite3?\.|psycopg|SELECT |werkzeug|gunicorn/|/site-packages/",
    re.I,
)
ALLOWED = {200, 206, 304, 400, 401, 403, 404, 405, 406, 409, 410, 413, 414, 415, 416, 422, 429, 431}


@pytest.fixture(scope="module")
def api(demo: RunningDemo) -> Api:
    return api_of(demo)


@pytest.fixture(scope="module", autouse=True)
def quiet_logs(demo: RunningDemo) -> Iterator[None]:
    """Nothing that these tests send ends up as a fault of the server in its logs."""
    logs = sorted((demo.state / "logs").glob("*.log"))
    before = {log: log.stat().st_size for log in logs}
    yield
    for log, size in before.items():
        with log.open("rb") as opened:
            opened.seek(size)
            fresh = opened.read()
        assert b"Traceback" not in fresh, log.name
        assert b"request.failed" not in fresh, log.name


def ask(
    api: Api,
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    who: str | None = "practitioner",
) -> tuple[int, Any, bytes]:
    """One request as it is, and what must hold of every answer."""
    sent = {"Accept": FHIR_JSON}
    if who is not None:
        sent["Authorization"] = f"Bearer {api.token(who)}"
    sent.update(headers or {})
    status, answered, content = api.raw(method, target, sent, body)
    assert status in ALLOWED, (status, method, target[:300], content[:300])
    assert not INSIDE.search(content), content[:500]
    if status >= 400 and method != "HEAD":
        assert answered["Content-Type"].startswith(FHIR_JSON), answered["Content-Type"]
        outcome = json.loads(content)
        assert outcome["resourceType"] == "OperationOutcome"
        assert outcome["issue"]
    return status, answered, content


# --- queries

NAMES = sorted(
    {"_id", "_lastUpdated", "_count", "_sort", "_summary", "_total", "_elements", "_include"}
    | {"_revinclude", "_type", "_has:Appointment:patient:status", "patient.name", "_cursor"}
    | {"_format", "_pretty", "_since", "_at", "_filter", "_has", "_has:", "a.b.c.d", ".", ":", ""}
    | {param for kind in ("Patient", "Appointment", "Provenance") for param in PATHS[kind]}
)
MODIFIERS = [
    "",
    ":exact",
    ":missing",
    ":not",
    ":text",
    ":identifier",
    ":Patient",
    ":below",
    ":",
    "::",
]
NASTY = [
    "",
    " ",
    "\x00",
    "a\x00b",
    "\x1b[31m",
    "\r\nSet-Cookie: a=b",
    "'",
    "' OR '1'='1",
    "'; DROP TABLE resource_version; --",
    '"',
    "\\",
    "\\,",
    ",",
    ",,,",
    "|",
    "||",
    "|||",
    "a|b|c|d",
    "$",
    "%",
    "%00",
    "%25",
    "_",
    "*",
    "?",
    "&",
    "=",
    "#",
    ";",
    "../../etc/passwd",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "<script>alert(1)</script>",
    "\u202e",
    "\ufeff",
    "\uffff",
    "\U0010ffff",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "e\u0301" * 50,
    "\u0130ı\u00df\ufb03",
    "١٢٣",
    "-1",
    "0",
    "1e400",
    "-1e400",
    "1e-400",
    "NaN",
    "Infinity",
    "9" * 400,
    "0x10",
    "2147483648",
    "9223372036854775808",
    "true",
    "null",
    "0000-00-00",
    "0000",
    "0001",
    "9999-12-31T23:59:60Z",
    "9999-12-31T23:59:59.999999999-12:00",
    "0001-01-01T00:00:00+14:00",
    "2026-02-29",
    "2026-11-21T24:00:00Z",
    "2026-W47-6",
    "gegt2026",
    "ap0001",
    "ap9999",
    "ne9999-12-31",
    "Patient/" + "a" * 64,
    "Patient/" + "a" * 65,
    "Patient/x/_history/x",
    "http://[::1",
    "http://elsewhere.example/fhir/Patient/1|2",
    "urn:uuid:x",
    "(" * 500,
    "a" * 3000,
    ",".join("a" * 3 for _ in range(900)),
    ",".join(f"-{n}" for n in range(900)),
]
KINDS = ["Patient", "Appointment", "Provenance", "Group", "ConceptMap", "DocumentReference"]


@pytest.mark.parametrize("value", NASTY, ids=range(len(NASTY)))
def test_nasty_values_of_every_parameter(api: Api, value: str) -> None:
    sent = quote(value, safe="")
    for number, name in enumerate(NAMES):
        kind = KINDS[number % len(KINDS)]
        modifier = MODIFIERS[(number + len(value)) % len(MODIFIERS)]
        ask(api, "GET", f"/{kind}?{quote(name + modifier, safe=':._')}={sent}")
    ask(api, "GET", f"?_type={sent}")
    ask(api, "GET", f"?_id={sent}")
    ask(api, "GET", f"/_history?_since={sent}")
    ask(api, "GET", f"/Patient/_history?_at={sent}")
    ask(api, "GET", f"/Patient/$everything?start={sent}")
    ask(api, "GET", f"/DocumentReference/$docref?patient={sent}")
    ask(api, "GET", f"/metadata?mode={sent}", who=None)
    ask(api, "GET", f"/Group/all-patients/$export?_typeFilter={sent}", who="patient")


@pytest.mark.parametrize("value", NASTY, ids=range(len(NASTY)))
def test_nasty_names_and_paths(api: Api, value: str) -> None:
    sent = quote(value, safe="")
    if len(sent) > 3000:
        sent = sent[:3000]
    for target in (
        f"/Patient?{sent}=1",
        f"/Patient?name:{sent}=1",
        f"/Patient?_has:{sent}:patient:status=1",
        f"/Patient?_has:Appointment:{sent}:status=1",
        f"/Appointment?patient.{sent}=1",
        f"/Appointment?patient:{sent}.name=1",
        f"/Patient?_include={sent}:patient",
        f"/Patient?{sent}",
        f"/{sent}",
        f"/{sent}?name=x",
        f"/Patient/{sent}",
        f"/Patient/{sent}/_history",
        f"/Patient/x/_history/{sent}",
        f"/Patient/{sent}/$everything",
        f"/Patient/${sent}",
        f"/Binary/{sent}",
        f"/bulkstatus/{sent}",
        f"/bulkfiles/{sent}/{sent}",
    ):
        ask(api, "GET", target)


text = st.text(max_size=40)
raw = st.binary(max_size=60)


@BUDGET
@given(data=st.data())
def test_random_queries(api: Api, data: st.DataObject) -> None:
    pairs = data.draw(
        st.lists(
            st.tuples(
                st.one_of(st.sampled_from(NAMES), text),
                st.one_of(st.just(""), st.sampled_from(MODIFIERS), text.map(":{}".format)),
                st.one_of(st.sampled_from(NASTY), text),
            ),
            max_size=5,
        )
    )
    query = urlencode([(name + modifier, value) for name, modifier, value in pairs])[:7000]
    kind = data.draw(st.sampled_from(KINDS))
    headers = data.draw(st.sampled_from([{}, {"Prefer": "handling=lenient"}]))
    ask(api, "GET", f"/{kind}?{query}", headers)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    ask(api, "POST", f"/{kind}/_search", {**form, **headers}, query.encode())


@BUDGET
@given(query=raw, path=raw)
def test_random_bytes(api: Api, query: bytes, path: bytes) -> None:
    ask(api, "GET", f"/Patient?{quote_from_bytes(query)}")
    ask(api, "GET", f"/Patient?name={quote_from_bytes(query, safe='=&:,|$')}")
    ask(api, "GET", f"/{quote_from_bytes(path, safe='')}")
    ask(api, "GET", f"/Patient/{quote_from_bytes(path, safe='')}")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    ask(api, "POST", "/Patient/_search", form, query)


# --- cursors


@BUDGET
@given(data=st.data())
def test_changed_cursors(api: Api, data: st.DataObject) -> None:
    following = str(link(api.search("Appointment", "_count=2&_sort=date"), "next"))
    cursor = following.partition("_cursor=")[2]
    place = data.draw(st.integers(0, len(cursor) - 1))
    inserted = data.draw(st.one_of(text, st.sampled_from(["", "A", "=", "-", "_", "\x00"])))
    cut = data.draw(st.integers(0, 3))
    changed = cursor[:place] + inserted + cursor[place + cut :]
    status, _, _ = ask(api, "GET", f"/Appointment?_cursor={quote(changed)}")
    assert status == (200 if changed == cursor else 400)
    for path in ("/_history", "/Appointment/_history", "", "/Patient/$everything"):
        status, _, _ = ask(api, "GET", f"{path}?_cursor={quote(changed)}")
        assert status == 400


# --- headers

HEADERS = {
    "Accept": [
        "application/fhir+json;q=abc",
        ";;;",
        "*/*;q=-1",
        "a/b/c",
        "*",
        ",",
        "application/fhir+json" * 100,
        "q=1",
        '"',
        "\xe9",
    ],
    "Prefer": [
        "handling",
        "handling=",
        ";",
        "respond-async, respond-async",
        "handling=lenient" * 90,
    ],
    "If-None-Match": ['W/"', "*", ",,,", '"' * 500, 'W/"-1"', "\xe9"],
    "If-Modified-Since": [
        "soon",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 99999 00:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +2400",
        "-1",
        "2026-11-21",
    ],
    "Range": [
        "bytes=",
        "bytes=-",
        "bytes=5-1",
        "bytes=0-0,2-3,5-",
        "bytes=" + "0-1," * 500,
        "x=1-2",
    ],
    "Authorization": [
        "Bearer",
        "Bearer ",
        "Basic x",
        "Bearer \xe9",
        "Bearer a.b.c",
        "Bearer " + "a" * 4000,
    ],
    "X-Correlation-Id": ["", "\xe9", "a" * 500, "<x>", "a\tb"],
    "Content-Type": [
        "",
        ";",
        "application/fhir+json; charset=utf-9",
        "a",
        "\xe9",
        "multipart/form-data",
    ],
    "Origin": ["null", "http://[", "\xe9"],
    "Host": ["evil.example", "a" * 300, "[::1]:99999", "\xe9"],
    "X-Forwarded-Proto": ["javascript", "\xe9"],
    "X-Forwarded-For": ["'", "a" * 300, ",,,", "::::"],
    "Transfer-Encoding": ["identity"],
    "Cookie": ["a", "a=b; " * 300, "\xe9=\xe9"],
    "Accept-Encoding": ["nonsense", "gzip;q=x"],
    "Forwarded": ['for="_x";proto=x'],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in HEADERS.items() for value in values],
    ids=lambda one: str(one)[:24].encode("ascii", "replace").decode(),
)
def test_odd_headers(api: Api, name: str, value: str) -> None:
    for method, path, body in (
        ("GET", f"/Patient/{api.contract['patient_id']}", None),
        ("GET", "/Patient?_count=1", None),
        ("GET", "/Patient/nobody", None),
        ("GET", "/metadata", None),
        ("POST", "/Patient/_search", b"name=x"),
        ("POST", "/Patient/$validate", b"{}"),
        ("OPTIONS", "/Patient", None),
    ):
        if method == "OPTIONS":
            status, _, _ = api.raw(method, path, {name: value})
            assert status < 500
        else:
            ask(api, method, path, {name: value}, body)


@pytest.mark.parametrize("size", [7000, 9000, 40_000])
def test_long_headers_and_targets(api: Api, size: int) -> None:
    for name in ("X-Anything", "Accept", "If-None-Match", "Prefer", "Authorization"):
        status, _, _ = ask(api, "GET", "/Patient?_count=1", {name: "a" * size})
        if size > 8200:
            assert status == 431, name
    status, _, _ = ask(api, "GET", f"/Patient?name={'a' * size}")
    assert (status == 414) == (size > 8100)
    status, _, _ = ask(api, "GET", f"/Patient/{'a' * size}")
    assert status == (414 if size > 8100 else 404)
    many = {f"X-{number}": "a" for number in range(size // 40)}
    status, _, _ = ask(api, "GET", "/Patient?_count=1", many)
    assert status in (200, 431)


# --- bodies

BODIES: list[bytes] = [
    b"",
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"null",
    b"1",
    b'"x"',
    b"[]",
    b"{}",
    b"{" * 5000,
    b"[" * 100_000,
    b'{"a":' * 3000 + b"1" + b"}" * 3000,
    b'{"resourceType":"Bundle","type":"batch","entry":' + b"[" * 5000,
    b'{"resourceType": 1}',
    b'{"resourceType": null}',
    b'{"resourceType": "Patient", "resourceType": "Bundle"}',
    b'{"resourceType": "Patient", "id": 1e999}',
    b'{"resourceType": "Patient", "birthDate": "\\ud800"}',
    b'{"resourceType": "Patient", "multipleBirthInteger": ' + b"9" * 5000 + b"}",
    b'{"resourceType": "Patient", "text": {"div": "<div>\\u0000</div>"}}',
    b'{"resourceType": "Patient", "contained": [[[]]]}',
    b'{"resourceType": "Patient", "extension": [{"extension": [{}]}]}',
    b'{"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": 1, "url": 2}}]}',
    b'{"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "'
    + b"a/" * 3000
    + b'"}}]}',
    b'{"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", '
    b'"url": "Patient?name=\\u0000"}}, {"request": {"method": "GET", "url": "Patient/\\ud800"}}, '
    b'{"request": {"method": "GET", "url": "//x/Patient"}}, {"request": {"method": "GET", '
    b'"url": "Patient?%ff"}}, {"request": {"method": "GET", "url": "http://[::1"}}, '
    b'{"request": {"method": "GET", "url": "Patient/%00"}}, {"request": {"method": "GET", '
    b'"url": "Patient/x", "ifNoneMatch": "\\u00e9\\n"}}, {"request": {"method": "GET", '
    b'"url": "Patient/x", "ifModifiedSince": "9999-12-31T23:59:59Z"}}]}',
    b'{"resourceType": "Parameters", "parameter": 1}',
    b'{"resourceType": "Parameters", "parameter": [1, null, {}, {"name": 1}]}',
    b'{"resourceType": "Parameters", "parameter": [{"name": "_count", "valueInteger": 1e99}]}',
    b'{"resourceType": "Parameters", "parameter": [{"name": "start", "valueDate": "\\u0000"}]}',
    b'{"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": 1}]}',
    b"name=" + b"%00" * 400,
    b"name=%",
    b"name=%zz&&&=&==",
    b"&" * 5000,
    b"=" * 5000,
    b";" * 5000,
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", FHIR_JSON),
        ("/Patient/$validate", FHIR_JSON),
        ("/Bundle/$validate", FHIR_JSON),
        ("/Patient/$everything", FHIR_JSON),
        ("/DocumentReference/$docref", FHIR_JSON),
        ("/Patient/_search", "application/x-www-form-urlencoded"),
        ("/_search", "application/x-www-form-urlencoded"),
    ],
)
def test_odd_bodies(api: Api, path: str, kind: str, body: bytes) -> None:
    ask(api, "POST", path, {"Content-Type": kind}, body)
    status, _, _ = ask(api, "POST", path, {"Content-Type": kind}, body, who=None)
    assert status == 401 or path.startswith("/Bundle")


documents = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), text),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(
                st.sampled_from(
                    "resourceType id meta entry request method url type parameter name value"
                    " valueString resource extension contained identifier participant".split()
                ),
                text,
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=25,
)


@BUDGET
@given(document=documents, kind=st.sampled_from(["Patient", "Appointment", "Parameters", "Bundle"]))
def test_random_documents(api: Api, document: Any, kind: str) -> None:
    if isinstance(document, dict):
        document = {**document, "resourceType": kind}
        if kind == "Bundle":
            document["type"] = "batch"
    body = json.dumps(document).encode()
    json_body = {"Content-Type": FHIR_JSON}
    for path in ("", "/Patient/$validate", "/Appointment/x/$validate", "/Patient/$everything"):
        ask(api, "POST", path, json_body, body)


def test_as_many_values_as_a_body_holds(api: Api) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    thousand = ",".join(f"v{number}" for number in range(1000))
    for names, right in ((["name"], 200), (["name", "identifier:not"], 200), (["name"] * 150, 400)):
        body = "&".join(f"{name}={thousand}" for name in names).encode()
        status, _, _ = ask(api, "POST", "/Patient/_search", form, body)
        assert status == right
        status, _, _ = ask(api, "POST", "/Patient/_search?_sort=-family", form, body)
        assert status == right


def test_a_body_beyond_any_bound(api: Api) -> None:
    body = b"a" * (2 << 20)
    for path, kind in (
        ("/Patient/_search", "application/x-www-form-urlencoded"),
        ("", FHIR_JSON),
        ("/Patient/$validate", FHIR_JSON),
    ):
        headers = {"Content-Type": kind, "Connection": "close"}
        try:
            status, _, _ = ask(api, "POST", path, headers, body)
        except (BrokenPipeError, ConnectionResetError):
            continue  # it said so before it had read everything
        assert status == 413, path


# --- what is hardly HTTP

RAW = [
    b"\x00\x00\x00\x00\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET\r\n\r\n",
    b"GET / HTTP/1.1\r\n",
    b"GET {path}/Patient HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"GET {path}/Patient HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    b"POST {path}/Patient/_search HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
    b"Content-Length: 2\r\n\r\nab",
    b"POST {path}/Patient/_search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST {path}/Patient/_search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Length: 3\r\n\r\n0\r\n\r\n",
    b"POST {path}/Patient/_search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\n\r\n",
    b"GET {path}/Patient\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET {path}/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET {path}/Patient?name=\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET {path}/Patient HTTP/1.1\r\nHost: x\r\nA\x00: b\r\n\r\n",
    b"GET {path}/Patient HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
    b"GET {path}/Patient HTTP/1.1\r\nHost: x\r\n A: folded\r\n\r\n",
    b"GET {path}/Patient HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\n"
    b"Authorization: b\r\n\r\n",
    b"GET http://elsewhere.example/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"* {path}/Patient HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET {path}/Patient HTTP/1.0\r\n\r\n",
    b"GET {path}/Patient HTTP/1.1\r\n\r\n",
    b"TRACE {path}/Patient HTTP/1.1\r\nHost: x\r\nX-Secret: 1\r\n\r\n",
    b"get {path}/Patient HTTP/1.1\r\nHost: x\r\n\r\n",
]


def spoken(api: Api, request: bytes) -> bytes:
    """All that comes back on a connection of its own."""
    address = urlsplit(api.base)
    with closing(socket.create_connection((address.hostname, address.port), 20)) as connection:
        connection.sendall(request.replace(b"{path}", address.path.encode()))
        connection.shutdown(socket.SHUT_WR)
        try:
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("request_bytes", RAW, ids=range(len(RAW)))
def test_what_is_hardly_http(api: Api, request_bytes: bytes) -> None:
    answer = spoken(api, request_bytes)
    assert not INSIDE.search(answer)
    assert b"X-Secret" not in answer
    if answer:
        status = int(answer.split(b" ", 2)[1])
        assert status < 500 or status in (501, 505), answer[:200]


@BUDGET
@given(request=st.binary(min_size=1, max_size=400))
def test_random_connections(api: Api, request: bytes) -> None:
    answer = spoken(api, request)
    assert not INSIDE.search(answer)
    if answer:
        assert int(answer.split(b" ", 2)[1]) < 500, answer[:200]


def test_the_server_is_still_there(api: Api) -> None:
    assert api.get("/Patient?_count=1").status_code == 200
