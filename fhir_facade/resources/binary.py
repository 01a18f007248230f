"""Binary: the content of an attachment. The mirror holds what it is, never its bytes: those are
fetched from the upstream when they are asked for.
"""

from __future__ import annotations

from fhir_facade.fhir import FHIRResource
from fhir_facade.policy import ReachClass
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.resources.qubs_attachments import Attachment

DEFINITION = ResourceDefinition(
    type="Binary",
    reach=ReachClass.INHERITED,
    exportable=False,
    documentation="The content of a DocumentReference or of the presented form of a "
    "DiagnosticReport. A read gives the bytes as they are, by ranges if asked, or a Binary "
    "resource to a client that accepts FHIR JSON; a search gives resources without data.",
)


def binary_from_qubs(attachment: Attachment, target: str) -> FHIRResource:
    """The Binary (R4 binary.html) of an attachment, without its data; `target` is the reference of
    the resource whose readers may read it."""
    return {
        "resourceType": "Binary",
        "id": attachment.id,
        "contentType": attachment.content_type,
        "securityContext": {"reference": target},
    }
