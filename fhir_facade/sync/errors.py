"""Why a sync does not go on."""

from __future__ import annotations

from fhir_facade.errors import Conflict


class SyncBusy(Conflict):
    """Another process syncs this source."""


class LeaseLost(Exception):
    """Another process has taken over; this one must not write any more."""


class UpstreamDown(Exception):
    """Several calls in a row failed: the upstream is not there."""
