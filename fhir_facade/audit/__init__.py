"""The audit trail: one row per data access, grant, export, refusal and administrative act. Ids
only, no query values.

Reads go through a bounded queue that is flushed within a second and at shutdown; what must not be
lost (writes, exports, refusals, grants) is written before the answer leaves.
"""

from fhir_facade.audit.log import AccessRow, AuditLog, close_all
from fhir_facade.audit.query import Trail

__all__ = ["AccessRow", "AuditLog", "Trail", "close_all"]
