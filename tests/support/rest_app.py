"""The REST room on a mirror of its own, with tokens made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine
from werkzeug.test import TestResponse

from fhir_facade.audit import AuditLog
from fhir_facade.audit import migrate as audit_migrate
from fhir_facade.audit.store import recent
from fhir_facade.bulk.files import open_files
from fhir_facade.bulk.model import BulkParts
from fhir_facade.mirror.database import Database
from fhir_facade.resources.published import published
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.rest.blueprint import create_blueprint, create_root_blueprint
from fhir_facade.rest.parts import Documents, ReadinessCheck, RestParts, TenantParts
from fhir_facade.search.cursor import CursorBox
from smart_auth.verify import VerifiedToken
from tests.support.tokens import KnownTokens

PUBLIC_URL = "https://fhir.example.org/prefix"
SYDNEY = ZoneInfo("Australia/Sydney")


def base_of(tenant: str) -> str:
    """The canonical base of a tenant."""
    return f"{PUBLIC_URL}/fhir/{tenant}"


@dataclass
class RestApp:
    """The app, its parts, and requests with a token."""

    app: Flask
    database: Database
    audit: AuditLog
    audit_engine: Engine
    tokens: KnownTokens
    bulk: BulkParts
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.app.test_client()

    def request(
        self,
        method: str,
        path: str,
        token: VerifiedToken | None = None,
        headers: Mapping[str, str] | None = None,
        tenant: str = "acme",
        **more: Any,
    ) -> TestResponse:
        """A request under the base, as the bearer of `token`."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {self.tokens.add(token)}"
        more.setdefault("buffered", True)
        return self.client.open(f"/fhir/{tenant}{path}", method=method, headers=sent, **more)

    def get(self, path: str, token: VerifiedToken | None = None, **more: Any) -> TestResponse:
        """A GET under the base."""
        return self.request("GET", path, token, **more)

    def audited(self, tenant: str = "acme") -> list[dict[str, Any]]:
        """All audit rows so far, newest first."""
        self.audit.close()
        return recent(self.audit_engine, tenant)

    def close(self) -> None:
        """Close what was opened."""
        self.audit.close()
        self.audit_engine.dispose()


def rest_app(
    database: Database,
    folder: Path,
    readiness: Sequence[ReadinessCheck] = (),
    documents: Documents | None = None,
) -> RestApp:
    """The room over this mirror; `folder` takes the audit database and export files. `documents`
    are those of the tenant acme."""
    engine = create_engine(f"sqlite:///{folder}/audit.sqlite")
    audit_migrate.upgrade(engine)
    audit = AuditLog(engine)
    tokens = KnownTokens()
    bulk = BulkParts(
        db=database,
        registry=REGISTRY,
        files=open_files(f"file:{folder}/files"),
        base=base_of,
        zone=lambda _tenant: SYDNEY,
    )
    parts = RestParts(
        tenants={slug: _tenant(slug) for slug in ("acme", "globex")},
        auth=tokens,
        database=database,
        audit=audit,
        cursors=CursorBox(["k" * 40]),
        bulk=bulk,
        readiness=readiness,
        documents={} if documents is None else {"acme": documents},
    )
    app = Flask("tests")
    app.url_map.strict_slashes = False
    app.register_blueprint(create_root_blueprint(parts))
    app.register_blueprint(create_blueprint(parts), url_prefix="/fhir/<tenant>")
    return RestApp(app, database, audit, engine, tokens, bulk)


def _tenant(slug: str) -> TenantParts:
    return TenantParts(
        slug=slug,
        name=slug.title(),
        base=base_of(slug),
        zone=SYDNEY,
        registry=REGISTRY,
        conformance=published(base_of(slug)),
    )
