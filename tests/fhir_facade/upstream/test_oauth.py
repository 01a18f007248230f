from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fhir_facade import clock
from fhir_facade.upstream.backoff import Retries
from fhir_facade.upstream.errors import AccessDenied, Malformed, Unauthorized, Unavailable
from fhir_facade.upstream.oauth import ClientCredentials, Credentials
from fhir_facade.upstream.transport import Timeouts
from tests.support.scripted_http import Reply, Request, Scripted, serve


def jwt(**claims: object) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'ES256'})}.{part(claims)}.c2ln"


def granted(text: str, **more: object) -> Reply:
    body = {"access_token": text, "token_type": "Bearer", "expires_in": 3600, **more}
    return Reply(200, json.dumps(body).encode())


@contextmanager
def credentials_of(
    answer: Callable[[Request], Reply | None],
) -> Iterator[tuple[ClientCredentials, Scripted]]:
    with serve(answer) as server:
        source = ClientCredentials(
            Credentials(f"{server.url}/oauth2/token", "me", "hush"),
            timeouts=Timeouts(1, 1, 3),
            retries=Retries(attempts=3, first=0.01, longest=0.02),
        )
        try:
            yield source, server
        finally:
            source.close()


def test_the_form_is_as_documented_and_the_token_is_kept() -> None:
    with credentials_of(lambda _: granted("abc")) as (source, server):
        assert source.token() == source.token() == "abc"
    assert len(server.requests) == 1
    assert server.requests[0].form == {
        "grant_type": "client_credentials",
        "client_id": "me",
        "client_secret": "hush",
    }
    assert "hush" not in repr(Credentials("u", "me", "hush"))


def test_a_token_is_renewed_sixty_seconds_early(monkeypatch: pytest.MonkeyPatch) -> None:
    start, moved = time.monotonic(), [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: start + moved[0])
    numbers = iter(range(9))
    with credentials_of(lambda _: granted(f"t{next(numbers)}")) as (source, _):
        assert source.token() == "t0"
        moved[0] = 3500.0
        assert source.token() == "t0"
        moved[0] = 3541.0
        assert source.token() == "t1"


def test_threads_share_one_renewal() -> None:
    def slow(_: Request) -> Reply:
        time.sleep(0.1)
        return granted("abc")

    with credentials_of(slow) as (source, server):
        threads = [threading.Thread(target=source.token) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.requests) == 1


def test_a_discarded_token_is_asked_for_again_but_a_newer_one_stays() -> None:
    numbers = iter(range(9))
    with credentials_of(lambda _: granted(f"t{next(numbers)}")) as (source, _):
        assert source.token() == "t0"
        source.discard("t0")
        assert source.token() == "t1"
        source.discard("t0")
        assert source.token() == "t1"


def test_a_refresh_token_is_used_and_its_refusal_is_survived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, moved = time.monotonic(), [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: start + moved[0])

    def service(request: Request) -> Reply:
        if request.form["grant_type"] == "client_credentials":
            return granted("first", refresh_token="r1")
        if request.form["refresh_token"] == "r1" and moved[0] < 4000:
            return granted("second")
        return Reply(400, b'{"error":"invalid_grant"}')

    with credentials_of(service) as (source, server):
        assert source.token() == "first"
        moved[0] = 3550.0
        assert source.token() == "second"
        moved[0] = 7200.0
        assert source.token() == "first"
    grants = [request.form["grant_type"] for request in server.requests]
    assert grants == ["client_credentials", "refresh_token", "refresh_token", "client_credentials"]


@pytest.mark.parametrize(
    "claim",
    [
        {"domains": ["acme", "zenith"]},
        {"custom:allowed_domains": "acme, zenith"},
        {"Domain": "acme zenith"},
    ],
)
def test_a_domain_outside_the_claims_is_named(claim: dict[str, object]) -> None:
    with credentials_of(lambda _: granted(jwt(sub="me", **claim))) as (source, _):
        source.check_access("acme")
        with pytest.raises(AccessDenied, match="'nowhere'"):
            source.check_access("nowhere")


def test_a_token_without_domain_claims_passes() -> None:
    for text in (jwt(sub="me"), "opaque", "a.b.c"):
        with credentials_of(lambda _, text=text: granted(text)) as (source, _):
            source.check_access("anything")


def test_refusals_and_failures_are_told_apart() -> None:
    with credentials_of(lambda _: Reply(401, b'{"error":"invalid_client"}')) as (source, server):
        with pytest.raises(Unauthorized, match="invalid_client"):
            source.token()
        assert len(server.requests) == 1
    with credentials_of(lambda _: Reply(503)) as (source, server):
        with pytest.raises(Unavailable):
            source.token()
        assert len(server.requests) == 3
    for body in (b"{}", b"[]", b"<html>"):
        with credentials_of(lambda _, body=body: Reply(200, body)) as (source, _):
            with pytest.raises(Malformed):
                source.token()
