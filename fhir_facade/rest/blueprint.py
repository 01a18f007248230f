"""The route table: every path of the FHIR base reads from top to bottom here."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter

from fhir_facade.errors import FacadeError
from fhir_facade.rest.authorize import Authorizer
from fhir_facade.rest.batch import BatchViews
from fhir_facade.rest.binary import BinaryViews
from fhir_facade.rest.compartment import CompartmentViews
from fhir_facade.rest.docref import DocrefViews
from fhir_facade.rest.errors import ErrorHandlers
from fhir_facade.rest.everything import EverythingViews
from fhir_facade.rest.export import ExportViews
from fhir_facade.rest.health import HealthViews
from fhir_facade.rest.history import HistoryViews
from fhir_facade.rest.metadata import MetadataViews
from fhir_facade.rest.parts import RestParts
from fhir_facade.rest.read import ReadViews
from fhir_facade.rest.search import SearchViews
from fhir_facade.rest.shortcut import Shortcut
from fhir_facade.rest.validate import ValidateViews


class _InstanceId(BaseConverter):
    """A path segment that is neither `_search` nor `_history` nor an operation, so that `Allow`
    tells what those paths allow."""

    regex = r"(?!_search\Z|_history\Z|\$)[^/]+"


class _TypeWithin(BaseConverter):
    """A type behind `Patient/id`: no `_search`, no `_history`, no operation, and not all types."""

    regex = r"(?!_search\Z|_history\Z|\*\Z|\$)[^/]+"


class _TypeName(BaseConverter):
    """A first path segment that is neither `_search` nor `_history` nor an operation, for the same
    reason."""

    regex = r"(?!_search\Z|_history\Z|\$)[^/]+"


def create_blueprint(parts: RestParts) -> Blueprint:
    """The FHIR routes of every tenant, to be registered at `/fhir/<tenant>`.

    It also answers, for the whole app, the paths under `/fhir/` that no route takes, and puts the
    shortcut of the most frequent requests before the app.
    """
    blueprint = Blueprint("rest", __name__, template_folder="templates")
    blueprint.record_once(_add_converter)
    authorizer = Authorizer(parts)
    reads = ReadViews(parts, authorizer)
    histories = HistoryViews(parts, authorizer)
    searches = SearchViews(parts, authorizer)
    compartments = CompartmentViews(authorizer, searches)
    batches = BatchViews(parts, authorizer)
    everything = EverythingViews(parts, authorizer)
    validates = ValidateViews(parts, authorizer)
    binaries = BinaryViews(parts, authorizer, reads)
    docref = DocrefViews(authorizer, searches)
    exports = ExportViews(parts, authorizer)
    metadata = MetadataViews(parts, authorizer)

    def route(path: str, view: Callable[..., Response], *methods: str) -> None:
        name = f"{path} {' '.join(methods)}".replace(".", "_")
        blueprint.add_url_rule(
            path,
            endpoint=name,
            view_func=view,
            methods=methods,
            provide_automatic_options=False,
            strict_slashes=False,
            merge_slashes=False,
        )

    route("/metadata", metadata.metadata, "GET")
    route("/openapi.json", metadata.openapi, "GET")
    route("/docs", metadata.docs, "GET")
    route("/Patient/$everything", everything.of_all, "GET", "POST")
    route("/Patient/<patient_id>/$everything", everything.of_patient, "GET", "POST")
    route("/<resource_type>/$validate", validates.validate, "POST")
    route("/<resource_type>/<resource_id>/$validate", validates.validate, "POST")
    route("/DocumentReference/$docref", docref.documents, "GET", "POST")
    route("/Group/<group_id>/$export", exports.kickoff_group, "GET", "POST")
    route("/bulkstatus/<job>", exports.status, "GET")
    route("/bulkstatus/<job>", exports.cancel, "DELETE")
    route("/bulkfiles/<job>/<name>", exports.file, "GET")
    route("", searches.all_by_get, "GET")
    route("/", searches.all_by_get, "GET")
    route("", batches.batch, "POST")
    route("/", batches.batch, "POST")
    route("/_search", searches.all_by_post, "POST")
    route("/_history", histories.system, "GET")
    route("/<type_name:resource_type>", searches.by_get, "GET")
    route("/<resource_type>/_history", histories.type, "GET")
    route("/<resource_type>/_search", searches.by_post, "POST")
    route("/Binary/<instance_id:resource_id>", binaries.read, "GET")
    route("/<resource_type>/<instance_id:resource_id>", reads.read, "GET")
    route("/Patient/<patient_id>/*", compartments.all_by_get, "GET")
    route("/Patient/<patient_id>/_search", compartments.all_by_post, "POST")
    route("/Patient/<patient_id>/<within:resource_type>", compartments.by_get, "GET")
    route("/Patient/<patient_id>/<within:resource_type>/_search", compartments.by_post, "POST")
    route("/<resource_type>/<resource_id>/_history", histories.instance, "GET")
    route("/<resource_type>/<resource_id>/_history/<version>", reads.vread, "GET")

    _add_handlers(blueprint, ErrorHandlers(parts, authorizer))
    blueprint.record_once(Shortcut(parts, authorizer, searches).put_before)
    return blueprint


def _add_handlers(blueprint: Blueprint, handlers: ErrorHandlers) -> None:
    blueprint.register_error_handler(FacadeError, handlers.facade_error)
    blueprint.register_error_handler(HTTPException, handlers.http_error)
    blueprint.register_error_handler(Exception, handlers.unexpected)
    blueprint.app_errorhandler(404)(handlers.no_route)
    blueprint.app_errorhandler(405)(handlers.wrong_method)


def _add_converter(state: BlueprintSetupState) -> None:
    state.app.url_map.converters |= {
        "instance_id": _InstanceId,
        "type_name": _TypeName,
        "within": _TypeWithin,
    }


def create_root_blueprint(parts: RestParts) -> Blueprint:
    """`/healthz` and `/readyz`, at the root of the app."""
    blueprint = Blueprint("health", __name__)
    views = HealthViews(parts)
    blueprint.add_url_rule("/healthz", "healthz", views.alive)
    blueprint.add_url_rule("/readyz", "readyz", views.ready)
    return blueprint
