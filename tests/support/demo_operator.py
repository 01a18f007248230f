"""What an operator of a running demo does on its host: sync now, define groups, register apps."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

from fhir_facade.app import Facade, build
from fhir_facade.mirror.groups import GroupDefinition, listed
from fhir_facade.settings import load
from fhir_facade.sync import runner
from fhir_facade.sync.errors import SyncBusy
from smart_auth import admin
from tests.support.demo import RunningDemo

BUSY_SECONDS = 60


class Operator:
    """Works on one tenant, on the demo's own databases, beside its running processes."""

    def __init__(self, facade: Facade, tenant: str) -> None:
        self._facade = facade
        self._tenant = tenant

    def sync(self, sweeps: int = 1) -> None:
        """Complete sweeps, one after another; waits while the demo's own sync is at work."""
        job = next(job for job in self._facade.jobs if job.tenant == self._tenant)
        for _ in range(sweeps):
            deadline = time.monotonic() + BUSY_SECONDS
            while True:
                try:
                    report = runner.sync_once(self._facade.sync, job, full=True)
                    break
                except SyncBusy:
                    assert time.monotonic() < deadline, "the demo's own sync does not end"
                    time.sleep(0.2)
            assert report.ok, report.error

    def list_group(self, group_id: str, members: tuple[str, ...]) -> None:
        """Make or change a group with these members."""
        definition = GroupDefinition(group_id, f"Group {group_id}", "listed", "", listed(members))
        self._facade.groups.define(self._tenant, definition)
        self._facade.groups.refresh(self._tenant)

    def add_app(self, metadata: Mapping[str, Any]) -> None:
        """Register an app by its RFC 7591 metadata."""
        admin.create_client(self._facade.auth_store, self._tenant, metadata)

    def add_user(self, username: str, password: str, *, patients: tuple[str, ...]) -> None:
        """Make a practitioner who sees these patients only."""
        admin.create_user(
            self._facade.auth_store,
            self._tenant,
            username,
            password,
            role="practitioner",
            fhir_user=f"Practitioner/{username}",
            patients=patients,
        )

    def assign(self, username: str, *patients: str) -> None:
        """Let somebody see these patients and no others."""
        store = self._facade.auth_store
        user = store.users.by_username(self._tenant, username)
        assert user is not None
        admin.change_user(store, user, patients=frozenset(patients))

    def approve(self, client_id: str, approved: bool = True) -> None:
        """Approve a developer's app, or withdraw that."""
        store = self._facade.auth_store
        client = store.clients.get(self._tenant, client_id)
        assert client is not None
        if approved:
            admin.approve_client(store, client, admin.OPERATOR)
        else:
            admin.change_client(store, client, approved_at=None, approved_by=None)


@contextmanager
def operator(demo: RunningDemo, tenant: str) -> Iterator[Operator]:
    """The operator of one tenant."""
    state = demo.state
    environment = {
        "FACADE_DEMO": "true",
        "FACADE_PUBLIC_URL": demo.root,
        "FACADE_DATABASE_URL": f"sqlite:///{state}/mirror.db",
        "FACADE_AUTH_DATABASE_URL": f"sqlite:///{state}/auth.db",
        "FACADE_FILES_URL": f"file:{state}/files",
        "FACADE_SECRET_KEYS_FILE": f"{state}/secret.key",
        "FACADE_TENANTS_FILE": f"{state}/tenants.toml",
        "FACADE_LOG_LEVEL": "warning",
    }
    with mock.patch.dict(os.environ, environment):
        settings = load()
    facade = build(settings)
    try:
        yield Operator(facade, tenant)
    finally:
        facade.close()
