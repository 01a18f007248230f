"""Apps of one demo, and launches that tests read from and do not spoil."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.demo import RunningDemo
from tests.support.oauth_checks import SEEN, standalone_code
from tests.support.oauth_flow import BackendFlow, OAuthFlow


@pytest.fixture(scope="session")
def flow(demo: RunningDemo) -> Iterator[OAuthFlow]:
    one = OAuthFlow(demo, seen=SEEN)
    yield one
    one.close()


@pytest.fixture(scope="session")
def confidential(demo: RunningDemo) -> Iterator[OAuthFlow]:
    one = OAuthFlow(demo, app="confidential", seen=SEEN)
    yield one
    one.close()


@pytest.fixture(scope="session")
def backend(flow: OAuthFlow) -> BackendFlow:
    return BackendFlow(flow)


@pytest.fixture(scope="session")
def granted(flow: OAuthFlow) -> dict[str, Any]:
    """One launch that tests read from and do not spoil."""
    return flow.tokens(nonce="n-0S6_WzA2Mj")


@pytest.fixture(scope="session")
def confidential_grant(demo: RunningDemo) -> Iterator[tuple[OAuthFlow, dict[str, Any]]]:
    """A standalone launch of the confidential app, by login and picker."""
    one = OAuthFlow(demo, app="confidential", seen=SEEN)
    code, verifier = standalone_code(one, "launch/patient openid fhirUser offline_access user/*.rs")
    answer = one.redeem(code, verifier)
    assert answer.status_code == 200
    yield one, answer.json()
    one.close()
