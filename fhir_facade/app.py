"""Wires everything: the only module that knows every part.

`build` makes the parts from settings, for commands and workers; `create_app` puts HTTP in front of
them.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import Flask
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from werkzeug.middleware.proxy_fix import ProxyFix

from fhir_facade import telemetry
from fhir_facade.audit import AccessRow, AuditLog
from fhir_facade.audit import migrate as audit_migrate
from fhir_facade.bulk.files import open_files
from fhir_facade.bulk.model import BulkParts, BulkSettings, Job, JobState
from fhir_facade.console.blueprint import create_console
from fhir_facade.console.parts import ConsoleParts, SourceState
from fhir_facade.errors import SettingsError
from fhir_facade.mirror import migrate as mirror_migrate
from fhir_facade.mirror.database import Database, open_database
from fhir_facade.mirror.groups import GroupStore
from fhir_facade.mirror.reindex import bring_up_to_date
from fhir_facade.mirror.state import StateStore
from fhir_facade.provider_settings import LoginProviderSettings
from fhir_facade.readiness import readiness_checks, source_trouble
from fhir_facade.resources.published import published
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.resources.terminology import CodeTables, tables_for
from fhir_facade.rest.auth_ports import FacadePorts
from fhir_facade.rest.blueprint import create_blueprint, create_root_blueprint
from fhir_facade.rest.correlation import correlate
from fhir_facade.rest.parts import RestParts, TenantParts
from fhir_facade.search.cursor import CursorBox
from fhir_facade.settings import PREFIX, Settings, TenantSettings, load
from fhir_facade.sync import runner
from fhir_facade.sync.job import QubsJob, Stores, open_stores, qubs_job
from fhir_facade.upstream.qubs_documents import QubsDocuments
from smart_auth import migrate as auth_migrate
from smart_auth.admin import create_tenant_keys
from smart_auth.login_provider import BadProvider, LoginProvider
from smart_auth.ports import TenantInfo
from smart_auth.server import AuthServer
from smart_auth.settings import DEMO_LIMITS, AuthSettings, Lifetimes, Limits
from smart_auth.store import AuthStore, open_store


@dataclass(frozen=True)
class Facade:
    """Every part of one deployment. Instances are cheap to fork over until first used."""

    settings: Settings
    database: Database
    auth_store: AuthStore
    auth_settings: AuthSettings
    auth: AuthServer
    audit: AuditLog
    bulk: BulkParts
    groups: GroupStore
    sync: Stores
    jobs: tuple[QubsJob, ...]
    tables: Mapping[str, CodeTables]

    def run_syncs(self, stop: threading.Event) -> None:
        """Sync every source in rounds until `stop` is set."""
        runner.run_all(self.sync, self.jobs, stop)

    def bring_index_up_to_date(self) -> None:
        """Index anew what an earlier release indexed by other rules."""
        for slug, tenant in self.settings.tenants.items():
            made = bring_up_to_date(self.database, REGISTRY, slug, tenant.zone)
            if made:
                telemetry.log("worker").info("index.made_anew", tenant=slug, resources=made)

    def upgrade(self) -> None:
        """Bring the tables of both databases to this release's shape, and make missing signing
        keys.
        """
        mirror_migrate.upgrade(self.settings.database_url)
        auth_migrate.upgrade(self.settings.auth_database_url)
        audit_migrate.upgrade(self.auth_store.database.engine)
        for tenant in self.settings.tenants:
            create_tenant_keys(self.auth_store, self.auth_settings, tenant)

    def check(self) -> None:
        """Raise SettingsError, in one sentence that says what to run, unless the tables are
        current.
        """
        mirror_migrate.check(self.settings.database_url)
        try:
            auth_migrate.check(self.settings.auth_database_url)
            current = audit_migrate.is_current(self.auth_store.database.engine)
        except auth_migrate.SchemaOutOfDate as error:
            raise SettingsError(str(error)) from None
        except SQLAlchemyError:
            raise SettingsError(
                "The database of FACADE_AUTH_DATABASE_URL cannot be opened."
            ) from None
        if not current:
            raise SettingsError(
                "The audit table is not current: run `fhir-facade db upgrade` first."
            )
        for tenant in self.settings.tenants:
            create_tenant_keys(self.auth_store, self.auth_settings, tenant)

    def close(self) -> None:
        """Flush the audit trail and close every connection."""
        self.audit.close()
        self.auth_store.close()
        self.database.close()


def build(settings: Settings, *, check: bool = True) -> Facade:
    """Make the parts. Raises SettingsError; with `check`, also when the tables are not current."""
    telemetry.configure(settings.log_level)
    tables = {slug: tables_for(tenant.code_overrides) for slug, tenant in settings.tenants.items()}
    database = open_database(settings.database_url)
    auth_store = _auth_store(settings)
    auth_settings = _auth_settings(settings)
    audit = AuditLog(auth_store.database.engine)
    tenants = {
        slug: TenantInfo(slug, settings.fhir_base(slug), tenant.name, tenant.zone)
        for slug, tenant in settings.tenants.items()
    }
    ports = FacadePorts(tenants, database, audit, REGISTRY)
    facade = Facade(
        settings=settings,
        database=database,
        auth_store=auth_store,
        auth_settings=auth_settings,
        auth=AuthServer(auth_store, ports, auth_settings),
        audit=audit,
        bulk=_bulk(settings, database, audit),
        groups=GroupStore(database),
        sync=open_stores(database, REGISTRY),
        jobs=tuple(
            qubs_job(slug, tenant, settings.fhir_base(slug))
            for slug, tenant in settings.tenants.items()
            if tenant.qubs is not None
        ),
        tables=tables,
    )
    if check:
        facade.check()
    return facade


def _auth_settings(settings: Settings) -> AuthSettings:
    return AuthSettings(
        public_url=settings.public_url,
        secret_keys=settings.keys,
        demo=settings.demo,
        lifetimes=Lifetimes(
            launch_access_token=settings.access_token_minutes * 60,
            refresh_token=settings.refresh_token_days * 86_400,
            session=settings.session_hours * 3600,
            online_grant=settings.session_hours * 3600,
        ),
        limits=replace(DEMO_LIMITS if settings.demo else Limits(), **settings.given_limits()),
        approve_apps=settings.app_approval,
        require_second_factor=settings.require_second_factor,
        sign_up=settings.developer_sign_up,
        providers={slug: _providers(slug, one) for slug, one in settings.tenants.items()},
    )


def _providers(slug: str, tenant: TenantSettings) -> list[LoginProvider]:
    return [_provider(slug, name, one) for name, one in tenant.login_providers.items()]


def _provider(slug: str, name: str, given: LoginProviderSettings) -> LoginProvider:
    try:
        return LoginProvider(
            name=name,
            label=given.label,
            issuer=given.issuer,
            client_id=given.client_id,
            client_secret=given.secret(),
            scopes=given.scopes,
            link=given.link,
            username_claim=given.username_claim,
            trust_usernames=given.trust_usernames,
            second_factor_acr=given.second_factor_acr,
            private_network=given.private_network,
        )
    except BadProvider as error:
        where = f"{PREFIX}TENANTS__{slug.upper()}__LOGIN_PROVIDERS__{name.upper()}"
        raise SettingsError(f"{where} is not usable: {error}") from None


def _auth_store(settings: Settings) -> AuthStore:
    try:
        kind = make_url(settings.auth_database_url).get_backend_name()
    except ArgumentError:
        kind = ""
    if kind not in ("sqlite", "postgresql"):
        raise SettingsError("FACADE_AUTH_DATABASE_URL must begin with sqlite:/// or postgresql://.")
    return open_store(settings.auth_database_url)


def _bulk(settings: Settings, database: Database, audit: AuditLog) -> BulkParts:
    def ended(job: Job, state: JobState) -> None:
        failed = state is JobState.FAILED
        audit.access(
            AccessRow(
                job.tenant,
                "export-end",
                "error" if failed else "success",
                client_id=job.client_id,
                type="Group",
                resource_id=job.group_id,
                job_id=job.id,
                reason=f"the export is {state}",
            )
        )

    return BulkParts(
        ended=ended,
        db=database,
        registry=REGISTRY,
        files=open_files(settings.files_url),
        base=settings.fhir_base,
        zone=lambda slug: settings.tenants[slug].zone,
        settings=BulkSettings(
            expiry_hours=settings.export_expiry_hours, part_rows=settings.export_part_rows
        ),
    )


def create_app(settings: Settings | None = None, *, facade: Facade | None = None) -> Flask:
    """The WSGI application. Without arguments it reads the environment; a bad setting ends the
    start.
    """
    if facade is None:
        try:
            facade = build(settings or load())
        except SettingsError as error:
            raise SystemExit(error.text) from None
    app = Flask("fhir_facade", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 10 * 1024 * 1024
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    rest = _rest(facade)
    app.register_blueprint(create_root_blueprint(rest))
    authorization = facade.auth.blueprint()
    correlate(authorization)
    app.register_blueprint(authorization, url_prefix="/fhir/<tenant>")
    console = create_console(_console(facade))
    correlate(console)
    app.register_blueprint(console, url_prefix="/fhir/<tenant>")
    app.register_blueprint(create_blueprint(rest), url_prefix="/fhir/<tenant>")
    if hops := facade.settings.trusted_proxies:
        middleware: Any = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0, x_prefix=0)
        app.wsgi_app = middleware  # type: ignore[method-assign]
    atexit.register(facade.audit.close)
    return app


def _console(facade: Facade) -> ConsoleParts:
    state = StateStore(facade.database)
    return ConsoleParts(
        auth=facade.auth,
        database=facade.database,
        groups=facade.groups,
        audit=facade.audit,
        zone=lambda slug: facade.settings.tenants[slug].zone,
        sources=lambda slug: [
            SourceState(job.source, source_trouble(state, job))
            for job in facade.jobs
            if job.tenant == slug
        ],
    )


def _rest(facade: Facade) -> RestParts:
    settings = facade.settings
    tenants = {
        slug: TenantParts(
            slug=slug,
            name=tenant.name,
            base=settings.fhir_base(slug),
            zone=tenant.zone,
            registry=REGISTRY,
            conformance=published(settings.fhir_base(slug), facade.tables[slug]),
        )
        for slug, tenant in settings.tenants.items()
    }
    return RestParts(
        tenants=tenants,
        auth=facade.auth,
        database=facade.database,
        audit=facade.audit,
        cursors=CursorBox(settings.keys, lifetime_seconds=settings.cursor_minutes * 60),
        bulk=facade.bulk,
        documents={
            slug: QubsDocuments(tenant.qubs)
            for slug, tenant in settings.tenants.items()
            if tenant.qubs is not None
        },
        readiness=readiness_checks(facade.database, facade.auth_store, facade.jobs),
    )
