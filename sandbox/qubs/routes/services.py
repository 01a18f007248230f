"""What lives beside the integrations API: the token service and the presigned file links."""

from __future__ import annotations

from urllib.parse import quote

from flask import Blueprint, Response, request

from sandbox.qubs.documents import attachment_content
from sandbox.qubs.files import MAX_UPLOAD, FileRefusal
from sandbox.qubs.problems import TokenRefusal
from sandbox.qubs.routes.access import answer, emulator
from sandbox.qubs.world import Upload

blueprint = Blueprint("services", __name__)


@blueprint.post("/oauth2/token", endpoint="oauth2_token")
def token() -> Response:
    """Client credentials or a refresh token, in a form body."""
    if request.mimetype != "application/x-www-form-urlencoded":
        raise TokenRefusal("invalid_request", "the body must be application/x-www-form-urlencoded")
    response = answer(emulator().tokens.issue(request.form))
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("/.well-known/jwks.json", endpoint="jwks")
def jwks() -> Response:
    """The public keys of the token service."""
    return answer(emulator().tokens.jwks())


@blueprint.get("/files/download/<domain>/<appointment_id>/<guid>", endpoint="files_download")
def download(domain: str, appointment_id: str, guid: str) -> Response:
    """The bytes behind a presigned link; GET and HEAD, ranges too."""
    running = emulator()
    path = "/files/download/" + "/".join(quote(p, safe="") for p in (domain, appointment_id, guid))
    running.files.check("GET", path, request.args, "Authorization" in request.headers)
    with running.world.lock:
        world = running.world.domains.get(domain)
        record = world.appointment(appointment_id) if world else None
        found = world.attachments(record) if world and record else []
        item = next((item for item in found if item["guid"] == guid and item["stored"]), None)
        if world is None or item is None:
            raise FileRefusal(404, "NoSuchKey", "The file does not exist")
        upload = world.uploads.get(guid)
    content = upload.content if upload else attachment_content(item)
    response = Response(content, mimetype=upload.content_type if upload else "application/pdf")
    disposition = "attachment" if request.args.get("disposition") == "attachment" else "inline"
    name = quote(item["fileName"] or "file")
    response.headers["Content-Disposition"] = f"{disposition}; filename*=UTF-8''{name}"
    response.headers["Accept-Ranges"] = "bytes"
    response.set_etag(guid)
    response.make_conditional(request, accept_ranges=True, complete_length=len(content))
    return response


@blueprint.put("/files/upload/<guid>", endpoint="files_upload")
def upload(guid: str) -> Response:
    """Take the bytes of one upload slot, once."""
    running = emulator()
    authorized = "Authorization" in request.headers
    running.files.check("PUT", f"/files/upload/{guid}", request.args, authorized)
    slot = running.files.claim(guid)
    try:
        if request.content_length is None:
            raise FileRefusal(411, "MissingContentLength", "Content-Length is required")
        if request.content_length > MAX_UPLOAD:
            raise FileRefusal(400, "EntityTooLarge", "The file exceeds 2 MB")
        if slot.content_type is not None and request.mimetype != slot.content_type:
            raise FileRefusal(403, "SignatureDoesNotMatch", "The Content-Type is another")
        content = request.get_data()
        if not content or len(content) != request.content_length:
            raise FileRefusal(400, "IncompleteBody", "The body is shorter than announced")
    except BaseException:
        running.files.release(guid)
        raise
    kind = slot.content_type or request.mimetype or "application/octet-stream"
    with running.world.lock:
        world = running.world.domains[slot.domain]
        world.uploads[guid] = Upload(content, kind)
        for kept in world.added_attachments.values():
            for item in kept:
                if item["guid"] == guid:
                    item["stored"] = True
    return Response(status=200)
