from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest

from fhir_facade import clock
from fhir_facade.upstream.backoff import Retries, parse_retry_after
from fhir_facade.upstream.errors import (
    AccessDenied,
    BudgetSpent,
    CallFacts,
    Malformed,
    NotFoundUpstream,
    RateLimited,
    Refused,
    Stopped,
    Unauthorized,
    Unavailable,
    UpstreamError,
)
from fhir_facade.upstream.http import Call, UpstreamClient
from fhir_facade.upstream.transport import Timeouts
from tests.support.scripted_http import Reply, Request, Scripted, serve

FAST = Retries(attempts=4, first=0.01, longest=0.02, obey=2.0)


class Tokens:
    def __init__(self) -> None:
        self.number = 1

    def token(self) -> str:
        return f"token-{self.number}"

    def discard(self, used: str) -> None:
        if used == f"token-{self.number}":
            self.number += 1


@contextmanager
def client_of(
    answer: Callable[[Request], Reply | None], **options: Any
) -> Iterator[tuple[UpstreamClient, Scripted]]:
    options.setdefault("retries", FAST)
    options.setdefault("timeouts", Timeouts(1.0, 1.0, 5.0))
    with serve(answer) as server:
        client = UpstreamClient(server.url, Tokens(), **options)
        try:
            yield client, server
        finally:
            client.close()


def in_turn(*replies: Reply | None) -> Callable[[Request], Reply | None]:
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def test_an_answer_keeps_its_decimals_and_its_correlation_id() -> None:
    reply = Reply(200, b'{"score": 1.00}', {"X-Correlation-Id": "abc12345"})
    with client_of(in_turn(reply)) as (client, server):
        answer = client.get("op", ("sites", "Westgate MRI & CT/1"), {"take": "5"})
    assert answer.body == {"score": Decimal("1.00")}
    assert str(answer.body["score"]) == "1.00"
    assert answer.correlation_id == "abc12345"
    request = server.requests[0]
    assert request.path == "/sites/Westgate%20MRI%20%26%20CT%2F1"
    assert request.query == {"take": "5"}
    assert request.headers["authorization"] == "Bearer token-1"
    assert len(request.headers["x-correlation-id"]) >= 8


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
def test_transient_answers_are_tried_again(status: int) -> None:
    with client_of(in_turn(Reply(status), Reply(status), Reply(200, b"[]"))) as (client, server):
        assert client.get("op", ("x",)).body == []
    assert len(server.requests) == 3


@pytest.mark.parametrize("failure", [None, Reply(200, b'{"a": 1}', cut=True)])
def test_broken_connections_are_tried_again(failure: Reply | None) -> None:
    with client_of(in_turn(failure, failure, Reply(200, b"[1]"))) as (client, _):
        assert client.get("op", ("x",)).body == [1]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Refused),
        (403, AccessDenied),
        (404, NotFoundUpstream),
        (409, Refused),
        (422, Refused),
        (302, Malformed),
    ],
)
def test_a_verdict_is_final_and_carries_the_request_id(
    status: int, error: type[UpstreamError]
) -> None:
    body = b'{"title":"no","requestId":"4b7f0a91b4f54f2a","detail":"Jane Doe, /patients/220000"}'
    headers = {"X-Correlation-Id": "corr-0001", "Location": "http://evil.example/"}
    with client_of(in_turn(Reply(status, body, headers))) as (client, server):
        with pytest.raises(error) as caught:
            client.get("op_name", ("patients", "220000"), {"token": "secret"})
    assert len(server.requests) == 1
    assert caught.value.status == status
    assert caught.value.request_id == "4b7f0a91b4f54f2a"
    assert caught.value.correlation_id == "corr-0001"
    text = str(caught.value)
    assert "op_name" in text
    assert not any(private in text for private in ("Jane", "220000", "secret", "127.0.0.1"))


def test_retry_after_is_obeyed_in_both_forms_and_holds_back_other_calls() -> None:
    started = time.monotonic()
    with client_of(in_turn(Reply(429, headers={"Retry-After": "1"}), Reply(200))) as (client, _):
        client.get("op", ("x",))
    assert time.monotonic() - started >= 1.0
    soon = format_datetime(clock.now() + timedelta(seconds=2), usegmt=True)
    started = time.monotonic()
    with client_of(in_turn(Reply(429, headers={"Retry-After": soon}), Reply(200))) as (client, _):
        first = threading.Thread(target=client.get, args=("op", ("x",)))
        first.start()
        time.sleep(0.2)
        client.get("op", ("y",))
        assert time.monotonic() - started >= 0.8
        first.join()


def test_a_retry_after_beyond_the_cap_ends_the_call_and_is_told() -> None:
    with client_of(in_turn(Reply(429, headers={"Retry-After": "3600"}))) as (client, server):
        with pytest.raises(RateLimited) as caught:
            client.get("op", ("x",))
    assert caught.value.retry_after == 3600
    assert len(server.requests) == 1


def test_the_deadline_covers_all_attempts() -> None:
    def slow(_: Request) -> Reply:
        time.sleep(0.4)
        return Reply(500)

    started = time.monotonic()
    with client_of(slow, timeouts=Timeouts(1, 0.2, 0.5)) as (client, _):
        with pytest.raises(Unavailable):
            client.get("op", ("x",))
    assert time.monotonic() - started < 2


def test_one_try_more_after_a_401_with_a_new_token() -> None:
    def judge(request: Request) -> Reply:
        return Reply(200 if request.headers["authorization"] == "Bearer token-2" else 401)

    with client_of(judge) as (client, server):
        assert client.get("op", ("x",)).body == {}
        assert len(server.requests) == 2
    with client_of(in_turn(Reply(401))) as (client, server):
        with pytest.raises(Unauthorized):
            client.get("op", ("x",))
        assert len(server.requests) == 2


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"a":', b"NaN"])
def test_a_body_that_is_not_json_is_malformed(body: bytes) -> None:
    with client_of(in_turn(Reply(200, body))) as (client, _):
        with pytest.raises(Malformed):
            client.get("op", ("x",))


def test_dot_segments_never_reach_the_wire() -> None:
    with client_of(in_turn(Reply(200))) as (client, server):
        for segment in ("..", ".", ""):
            with pytest.raises(Refused):
                client.get("op", ("patients", segment))
    assert server.requests == []


def test_budget_and_observer_see_every_attempt() -> None:
    class Budget:
        left = 2

        def spend(self, operation: str) -> None:
            if self.left == 0:
                raise BudgetSpent(CallFacts(operation))
            self.left -= 1

    calls: list[Call] = []
    with client_of(in_turn(Reply(500)), budget=Budget(), on_call=calls.append) as (client, server):
        with pytest.raises(BudgetSpent):
            client.get("op", ("x",))
    assert len(server.requests) == 2
    assert [call.status for call in calls] == [500, 500]


def test_stop_ends_a_wait_at_once() -> None:
    stop = threading.Event()
    with client_of(in_turn(Reply(429, headers={"Retry-After": "2"})), stop=stop) as (client, _):
        threading.Timer(0.2, stop.set).start()
        started = time.monotonic()
        with pytest.raises(Stopped):
            client.get("op", ("x",))
    assert time.monotonic() - started < 1.5


def test_environment_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with client_of(in_turn(Reply(200))) as (client, _):
        assert client.get("op", ("x",)).body == {}


def test_retry_after_forms() -> None:
    assert parse_retry_after("5") == 5.0
    assert parse_retry_after(" 5 ") == 5.0
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert parse_retry_after(None) is None
    assert parse_retry_after("soon") is None
    assert parse_retry_after("-3") is None
