"""The Prefer header (R4 http.html#prefer), and what parsing a query needs to know of a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fhir_facade.rest.accesses import Access
from fhir_facade.search.query import SearchContext

_LENIENT = re.compile(r'(?:^|[,;])\s*handling\s*=\s*"?lenient"?\s*(?:$|[,;])', re.IGNORECASE)


def is_lenient(environ: Mapping[str, Any]) -> bool:
    """Whether the client said `Prefer: handling=lenient`; strict is our default."""
    prefer = environ.get("HTTP_PREFER")
    return prefer is not None and _LENIENT.search(prefer) is not None


def search_context(access: Access) -> SearchContext:
    """The tenant's and the request's side of parsing."""
    tenant = access.tenant
    return SearchContext(tenant.registry, tenant.zone, tenant.base, is_lenient(access.environ))
