"""The audit trail: one row per data access, grant, export and refusal. Ids only, no query values.

Reads go through a bounded queue that is flushed within a second and at shutdown; what must not be
lost
(writes, exports, refusals, grants) is written before the answer leaves.
"""

from fhir_facade.audit.log import AccessRow, AuditLog, close_all

__all__ = ["AccessRow", "AuditLog", "close_all"]
