"""What the REST room is given: the parts it stands on, put together by `app`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from zoneinfo import ZoneInfo

from fhir_facade.audit import AuditLog
from fhir_facade.bulk.model import BulkParts
from fhir_facade.fhir import FHIRResource
from fhir_facade.mirror.database import Database
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.search.cursor import CursorBox
from fhir_facade.search.run import TotalCache
from fhir_facade.upstream.qubs_documents import Content
from smart_auth.verify import VerifiedToken


class TokenVerifier(Protocol):
    """`smart_auth.server.AuthServer` is one."""

    def verify(self, tenant: str, token: str) -> VerifiedToken:
        """What the bearer may do now; raises `smart_auth.verify.InvalidToken`."""


class Documents(Protocol):
    """Where the contents of a tenant's documents are (`upstream.qubs_documents.QubsDocuments`)."""

    def open(
        self, appointment_id: str, guid: str, part: tuple[int | None, int | None] | None = None
    ) -> Content:
        """Begin to fetch one, or a part of it; raises the UpstreamError family."""


@dataclass(frozen=True, eq=False)
class TenantParts:
    """One tenant as REST serves it. `base` is its canonical FHIR base without trailing slash.

    `conformance` holds the resources of types that are not stored, by type.
    """

    slug: str
    name: str
    base: str
    zone: ZoneInfo
    registry: Mapping[str, ResourceDefinition]
    conformance: Mapping[str, Sequence[FHIRResource]] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadinessCheck:
    """One thing `/readyz` asks. `run` returns None when all is well, else one sentence without
    values; a failing check that is not `required` is named but fails nothing.
    """

    name: str
    run: Callable[[], str | None]
    required: bool = True


@dataclass(frozen=True, eq=False)
class RestParts:
    """All that the routes need."""

    tenants: Mapping[str, TenantParts]
    auth: TokenVerifier
    database: Database
    audit: AuditLog
    cursors: CursorBox
    bulk: BulkParts
    readiness: Sequence[ReadinessCheck] = ()
    documents: Mapping[str, Documents] = field(default_factory=dict)
    """By tenant, for those with a source that holds documents."""
    totals: TotalCache = field(default_factory=TotalCache)
