"""What every upstream client must do, run against its emulator over real HTTP.

A new upstream subclasses `UpstreamSuite` in a test module of its own and fills in the `adapter`
fixture; every check then runs against it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest

from fhir_facade.upstream.errors import (
    AccessDenied,
    BudgetSpent,
    CallFacts,
    Malformed,
    NotFoundUpstream,
    RateLimited,
    Stopped,
    Unauthorized,
    Unavailable,
    UpstreamError,
)
from fhir_facade.upstream.http import Call
from fhir_facade.upstream.pulled import MalformedRow, Pulled


@dataclass(frozen=True)
class Read:
    """One read operation: how to call it, and the view its records are of."""

    name: str
    call: Callable[[Any], Any]
    view: str
    paged: bool = False


class FaultControl(Protocol):
    """How a test makes the emulator misbehave."""

    def add_fault(self, kind: str, **parameters: Any) -> str:
        """Switch a fault on."""

    def clear_faults(self) -> None:
        """Switch all off."""

    def advance_clock(self, seconds: float) -> None:
        """Let tokens grow old."""

    def calls(self, recent: int = 0) -> dict[str, Any]:
        """Calls counted and, the latest, listed."""


@dataclass(frozen=True)
class Adapter:
    """One upstream under test.

    `open` gives a client that waits only briefly; keywords: `budget`, `on_call`, `stop`, `secret`,
    `client_id`. `secrets` are texts that no error may ever hold: tokens, names, ids of records.
    """

    open: Callable[..., AbstractContextManager[Any]]
    reads: tuple[Read, ...]
    control: FaultControl
    unknown: Callable[[Any], Any]
    """A read of something that does not exist."""
    forbidden: Mapping[str, Any]
    """Keywords of `open` for a client that is not granted the data."""
    wrong_secret: Mapping[str, Any]
    secrets: frozenset[str] = field(default=frozenset())


def records_of(result: Any) -> tuple[list[Pulled], list[MalformedRow]]:
    """The records and malformed rows of whatever a read gives back."""
    if isinstance(result, Pulled):
        return [result], []
    if hasattr(result, "record"):
        return [result.record], list(result.malformed)
    pages = [result] if hasattr(result, "records") else list(result)
    rows = [record for page in pages for record in page.records]
    return rows, [row for page in pages for row in page.malformed]


class UpstreamSuite:
    """The checks. `adapter` is the fixture to provide."""

    @pytest.fixture
    def adapter(self) -> Iterator[Adapter]:
        raise AssertionError("a suite provides its adapter")

    def test_every_read_gives_records_of_its_view(self, adapter: Adapter) -> None:
        with adapter.open() as client:
            for read in adapter.reads:
                records, malformed = records_of(read.call(client))
                assert records, read.name
                assert not malformed, read.name
                assert {record.view for record in records} == {read.view}
                assert all(record.key and record.correlation_id for record in records)
                keys = [record.key for record in records]
                assert len(keys) == len(set(keys)), read.name

    def test_equal_content_has_equal_bytes(self, adapter: Adapter) -> None:
        with adapter.open() as client:
            for read in adapter.reads:
                first = {r.key: r.canonical() for r in records_of(read.call(client))[0]}
                adapter.control.add_fault("shuffle_rows")
                second = {r.key: r.canonical() for r in records_of(read.call(client))[0]}
                adapter.control.clear_faults()
                assert first == second, read.name

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "status", "status": 429, "count": 2},
            {"kind": "status", "status": 429, "retry_after": "1", "count": 1},
            {"kind": "status", "status": 500, "count": 2},
            {"kind": "html_error", "status": 503, "count": 2},
            {"kind": "drop", "count": 2},
            {"kind": "drop_mid_body", "count": 2},
            {"kind": "expired_token", "count": 1},
        ],
        ids=lambda fault: (
            f"{fault['kind']}-{fault.get('status', '')}-{fault.get('retry_after', '')}"
        ),
    )
    def test_faults_in_passing_are_not_seen(self, adapter: Adapter, fault: dict[str, Any]) -> None:
        with adapter.open() as client:
            expected = {r.key for r in records_of(adapter.reads[0].call(client))[0]}
            adapter.control.add_fault(**fault)
            assert {r.key for r in records_of(adapter.reads[0].call(client))[0]} == expected

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            ({"kind": "status", "status": 503}, Unavailable),
            ({"kind": "drop"}, Unavailable),
            ({"kind": "status", "status": 429}, RateLimited),
            ({"kind": "status", "status": 403}, AccessDenied),
            ({"kind": "expired_token"}, Unauthorized),
            ({"kind": "html_error", "status": 200}, Malformed),
        ],
        ids=lambda value: value.__name__ if isinstance(value, type) else "",
    )
    def test_lasting_faults_are_named_without_data(
        self, adapter: Adapter, fault: dict[str, Any], error: type[UpstreamError]
    ) -> None:
        with adapter.open() as client:
            records_of(adapter.reads[0].call(client))
            for read in adapter.reads:
                adapter.control.add_fault(**fault)
                with pytest.raises(error) as caught:
                    records_of(read.call(client))
                adapter.control.clear_faults()
                text = f"{caught.value} {caught.value!r} {caught.value.__context__!r}"
                assert caught.value.operation in text
                assert not [secret for secret in adapter.secrets if secret in text], read.name

    def test_a_refusal_carries_the_ids_that_support_asks_for(self, adapter: Adapter) -> None:
        with adapter.open() as client, pytest.raises(NotFoundUpstream) as caught:
            records_of(adapter.unknown(client))
        assert caught.value.status == 404
        assert caught.value.request_id
        assert caught.value.correlation_id

    def test_correlation_ids_are_sent(self, adapter: Adapter) -> None:
        seen: list[Call] = []
        with adapter.open(on_call=seen.append) as client:
            records_of(adapter.reads[0].call(client))
        latest = [call["correlation_id"] for call in adapter.control.calls(recent=50)["recent"]]
        assert seen
        assert all(call.correlation_id in latest for call in seen)

    def test_an_old_token_is_renewed(self, adapter: Adapter) -> None:
        with adapter.open() as client:
            records_of(adapter.reads[0].call(client))
            adapter.control.advance_clock(7200)
            assert records_of(adapter.reads[0].call(client))[0]

    def test_threads_share_a_client(self, adapter: Adapter) -> None:
        found: list[int] = []
        with adapter.open() as client:

            def work() -> None:
                found.append(len(records_of(adapter.reads[0].call(client))[0]))

            threads = [threading.Thread(target=work) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(found) == 6
        assert len(set(found)) == 1

    def test_no_call_is_made_beyond_the_budget(self, adapter: Adapter) -> None:
        class Nothing:
            def spend(self, operation: str) -> None:
                raise BudgetSpent(CallFacts(operation))

        seen: list[Call] = []
        with adapter.open(budget=Nothing(), on_call=seen.append) as client:
            for read in adapter.reads:
                with pytest.raises(BudgetSpent):
                    records_of(read.call(client))
        assert seen == []

    def test_stopping_ends_a_wait(self, adapter: Adapter) -> None:
        stop = threading.Event()
        stop.set()
        adapter.control.add_fault("status", status=503)
        with adapter.open(stop=stop) as client, pytest.raises(Stopped):
            records_of(adapter.reads[0].call(client))

    def test_what_is_not_granted_is_told_from_wrong_credentials(self, adapter: Adapter) -> None:
        with adapter.open(**adapter.forbidden) as client:
            with pytest.raises(AccessDenied):
                client.check_access()
            with pytest.raises(AccessDenied):
                records_of(adapter.reads[0].call(client))
        with adapter.open(**adapter.wrong_secret) as client, pytest.raises(Unauthorized):
            records_of(adapter.reads[0].call(client))

    def test_broken_rows_come_beside_the_good_ones(self, adapter: Adapter) -> None:
        with adapter.open() as client:
            for read in (read for read in adapter.reads if read.paged):
                adapter.control.add_fault("malformed", every=3)
                records, malformed = records_of(read.call(client))
                adapter.control.clear_faults()
                assert records, read.name
                assert malformed, read.name
                for row in malformed:
                    assert row.key
                    assert not [secret for secret in adapter.secrets if secret in row.reason]
