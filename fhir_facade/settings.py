"""Settings: environment variables with the prefix `FACADE_`, and one TOML file for tenants.

Nothing here is read twice: `load()` gives one frozen `Settings`, or stops with one sentence that
names the variable at fault. Durations carry their unit in the name. See docs/reference/settings.md.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from fhir_facade.authorization_settings import AuthorizationSettings
from fhir_facade.errors import SettingsError
from fhir_facade.provider_settings import LoginProviderSettings, WithSecret

PREFIX = "FACADE_"
SLUG = re.compile(r"^[a-z][a-z0-9-]{0,30}$")


class QubsSource(WithSecret):
    """Access to one QUBS domain (QUBS Integrations API v1). Several tenants may share one
    credential.
    """

    domain: str = Field(min_length=1)
    base_url: str = "https://partners.qubs.io"
    token_url: str = "https://authenticate.qubs.io/oauth2/token"  # noqa: S105
    calls_per_hour: int = Field(6000, ge=10)
    """Upstream calls a sync may make in an hour."""
    billing: bool = False
    """Whether billing fields and the billing view are kept; off drops them before storing."""
    sync_interval_seconds: int = Field(60, ge=1)
    """Pause between two rounds of the hot tier."""
    history_days: int = Field(90, ge=0)
    future_days: int = Field(365, ge=0)
    """The days before and after today that are listed by day, to catch statuses nobody knows."""


class TenantSettings(BaseModel):
    """One customer: a name, a time zone, and one source of each kind at most."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    timezone: str
    """IANA zone of the tenant: search values without a zone are read in it."""
    history_days: int = Field(90, ge=1)
    """How long superseded versions and tombstones are kept."""
    qubs: QubsSource | None = None
    code_overrides: dict[str, dict[str, str]] = Field(default_factory=dict)
    """ConceptMap id → upstream code → FHIR code, before the built-in table."""
    login_providers: dict[str, LoginProviderSettings] = Field(default_factory=dict)
    """External OpenID providers that people may log in with, by the name in their URLs."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("is not an IANA time zone") from None
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The tenant's zone."""
        return ZoneInfo(self.timezone)


class Settings(AuthorizationSettings, BaseSettings):
    """All settings of one deployment."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    public_url: str
    database_url: str = "sqlite:///var/mirror.db"
    auth_database_url: str = "sqlite:///var/auth.db"
    files_url: str = "file:var/files"
    engine: Literal["embedded"] = "embedded"
    secret_keys: SecretStr | None = None
    secret_keys_file: Path | None = None
    tenants_file: Path | None = None
    tenants: dict[str, TenantSettings] = Field(default_factory=dict)
    demo: bool = False
    trusted_proxies: int = Field(0, ge=0, le=8)
    """Reverse proxies in front whose X-Forwarded-* count; 0 believes none."""
    export_expiry_hours: int = Field(24, ge=1)
    export_part_rows: int = Field(20_000, ge=100)
    export_workers: int = Field(1, ge=1, le=16)
    cursor_minutes: int = Field(60, ge=1)
    sync: bool = True
    """Whether the worker pulls from upstreams; off serves the mirror as it is."""
    bind: str = "127.0.0.1:8000"
    web_workers: int = Field(2, ge=1, le=64)
    web_threads: int = Field(8, ge=1, le=64)
    drain_seconds: int = Field(30, ge=1)
    """How long requests in flight may take after SIGTERM."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("public_url")
    @classmethod
    def _absolute(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an absolute http(s) address")
        if parts.query or parts.fragment:
            raise ValueError("must have no query and no fragment")
        return value.rstrip("/")

    @field_validator("tenants")
    @classmethod
    def _slugs(cls, value: dict[str, TenantSettings]) -> dict[str, TenantSettings]:
        for slug in value:
            if not SLUG.match(slug):
                raise ValueError(f"tenant name {slug!r} must match {SLUG.pattern}")
        return value

    @property
    def keys(self) -> tuple[str, ...]:
        """Secret keys: the first encrypts, all decrypt."""
        if self.secret_keys_file is not None:
            text = self.secret_keys_file.read_text(encoding="utf-8")
        elif self.secret_keys is not None:
            text = self.secret_keys.get_secret_value()
        else:
            return ()
        return tuple(key for part in text.split(",") if (key := part.strip()))

    def fhir_base(self, tenant: str) -> str:
        """The canonical FHIR base of a tenant, without trailing slash."""
        return f"{self.public_url}/fhir/{tenant}"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read, check and freeze the settings.

    Raises SettingsError with one sentence that names the setting when one is missing, unknown,
    malformed or unsafe.
    """
    env = dict(os.environ if environ is None else environ)
    _refuse_unknown(env)
    given: dict[str, Any] = {}
    if path := env.get(f"{PREFIX}TENANTS_FILE"):
        given["tenants"] = _tenants_from(Path(path))
    try:
        with _environment(env):
            if "tenants" in given and any(k.startswith(f"{PREFIX}TENANTS__") for k in env):
                raise SettingsError(
                    f"{PREFIX}TENANTS_FILE and {PREFIX}TENANTS__… are both set: use one of them."
                )
            settings = Settings(**given)
    except ValidationError as error:
        raise SettingsError(_first(error)) from None
    _refuse_unsafe(settings)
    return settings


class _environment:
    """pydantic-settings reads os.environ; let it see exactly what was given."""

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env

    def __enter__(self) -> None:
        self._saved = dict(os.environ)
        os.environ.clear()
        os.environ.update(self._env)

    def __exit__(self, *_: object) -> None:
        os.environ.clear()
        os.environ.update(self._saved)


def _refuse_unknown(env: Mapping[str, str]) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in env:
        if not name.upper().startswith(PREFIX) or name.upper() in known:
            continue
        if name.upper().startswith(f"{PREFIX}TENANTS__"):
            continue
        raise SettingsError(f"{name} is not a setting of this server.")


def _tenants_from(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{PREFIX}TENANTS_FILE cannot be read: {error.strerror or 'unknown error'}."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise SettingsError(f"{PREFIX}TENANTS_FILE is not valid TOML.") from None
    tenants = document.get("tenants")
    if set(document) != {"tenants"} or not isinstance(tenants, dict):
        raise SettingsError(
            f"{PREFIX}TENANTS_FILE must hold [tenants.<name>] tables and nothing else."
        )
    return tenants


def _first(error: ValidationError) -> str:
    """One sentence for the first problem; the value itself is never shown."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = PREFIX + "__".join(str(part).upper() for part in problem["loc"])
    reason = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{name} is missing."
    return f"{name} is not usable: {reason}."


def _loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse_unsafe(settings: Settings) -> None:
    """Design section 4: outside demo mode, plain http, a missing key or an unsafe value stops the
    start.
    """
    if not settings.tenants:
        raise SettingsError(
            f"{PREFIX}TENANTS_FILE is missing: name at least one tenant in it "
            f"(or {PREFIX}TENANTS__<NAME>__…)."
        )
    _check_keys(settings)
    for slug, tenant in settings.tenants.items():
        where = f"{PREFIX}TENANTS__{slug.upper()}__"
        if tenant.qubs is not None:
            for field in ("base_url", "token_url"):
                address = getattr(tenant.qubs, field)
                _check_address(f"{where}QUBS__{field.upper()}", address, settings.demo)
            _check_secret(f"{where}QUBS__", tenant.qubs)
        for name, provider in tenant.login_providers.items():
            at = f"{where}LOGIN_PROVIDERS__{name.upper()}__"
            _check_address(f"{at}ISSUER", provider.issuer, settings.demo)
            _check_secret(at, provider)
    _check_address(f"{PREFIX}PUBLIC_URL", settings.public_url, settings.demo)


def _check_secret(where: str, client: WithSecret) -> None:
    try:
        empty = not client.secret()
    except OSError as error:
        raise SettingsError(
            f"{where}CLIENT_SECRET_FILE cannot be read: {error.strerror or 'unknown error'}."
        ) from None
    if empty:
        raise SettingsError(f"{where}CLIENT_SECRET is empty.")


def _check_keys(settings: Settings) -> None:
    if settings.secret_keys is not None and settings.secret_keys_file is not None:
        raise SettingsError(
            f"{PREFIX}SECRET_KEYS and {PREFIX}SECRET_KEYS_FILE are both set: use one."
        )
    try:
        keys = settings.keys
    except OSError as error:
        raise SettingsError(
            f"{PREFIX}SECRET_KEYS_FILE cannot be read: {error.strerror or 'unknown error'}."
        ) from None
    if not keys:
        raise SettingsError(
            f"{PREFIX}SECRET_KEYS is missing: "
            "give at least one random text of 32 characters or more."
        )
    if any(len(key) < 32 or len(set(key)) < 10 for key in keys):
        raise SettingsError(
            f"{PREFIX}SECRET_KEYS holds a key that is too weak: "
            "each needs 32 random characters or more."
        )


def _check_address(name: str, url: str, demo: bool) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and demo and _loopback(url):
        return
    rule = "https, or http on a loopback address" if demo else "https"
    raise SettingsError(f"{name} must be an absolute {rule} address.")
