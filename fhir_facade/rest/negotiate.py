"""Which JSON the client reads: `_format` before Accept (R4 http.html#mime-type)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from fhir_facade.errors import InvalidRequest, NotAcceptable
from fhir_facade.rest.respond import FHIR_JSON, JSON
from fhir_facade.search.query import Pair

_RANGES = {
    FHIR_JSON: (FHIR_JSON,),
    "application/json+fhir": (FHIR_JSON,),
    JSON: (JSON,),
    "text/json": (JSON,),
    "application/*": (FHIR_JSON, JSON),
    "*/*": (FHIR_JSON, JSON),
}
_FORMATS = {
    "json": FHIR_JSON,
    FHIR_JSON: FHIR_JSON,
    "application/fhir json": FHIR_JSON,  # a plus sign that was not percent-encoded
    JSON: JSON,
    "text/json": JSON,
}
_QUALITY = re.compile(r"[01](?:\.[0-9]*)?", re.ASCII)
_RESOURCE_JSON = frozenset({FHIR_JSON, "application/json+fhir", JSON, "text/json"})
_OTHER_FHIR = frozenset({"application/fhir+xml", "application/xml+fhir", "application/fhir+turtle"})
_SPECIFIC = {"*/*": 0, "application/*": 1}


@dataclass(frozen=True, slots=True)
class Form:
    """The media type of the answer, and whether it is indented."""

    media_type: str = FHIR_JSON
    pretty: bool = False


def negotiate(accept: str | None, pairs: Sequence[Pair] = ()) -> Form:
    """The form of the answer.

    Raises NotAcceptable when the client accepts no JSON, InvalidRequest for a malformed `_pretty`.
    """
    given = dict(pairs)
    pretty = given.get("_pretty", "false")
    if pretty not in ("true", "false"):
        raise InvalidRequest(
            "The value of '_pretty' is not valid.",
            diagnostics="'_pretty' must be true or false.",
            expression=("_pretty",),
        )
    if (wanted := given.get("_format")) is not None:
        media_type = _FORMATS.get(_essence(wanted)) if _is_r4(wanted) else None
        if media_type is None:
            raise _no_json("_format")
    else:
        media_type = _accepted(accept) if accept else FHIR_JSON
        if media_type is None:
            raise _no_json("Accept")
    return Form(media_type, pretty == "true")


def binary_form(accept: str | None, pairs: Sequence[Pair], content_type: str) -> Form | None:
    """The form of a Binary as a resource; None: its bytes as they are, which is what all get that
    do not name a FHIR format before the type of the content (R4 binary.html#rest).

    Raises NotAcceptable when FHIR formats are named and none of them is written here.
    """
    wanted = dict(pairs).get("_format")
    if wanted is not None:
        return None if _essence(wanted) == content_type else negotiate(accept, pairs)
    named = {_essence(item): _quality(item) for item in (accept or "")[:4096].split(",")}
    named = {essence: quality for essence, quality in named.items() if quality > 0}
    as_it_is = named.pop(content_type, 0.0)
    if any(essence in _RESOURCE_JSON and as_it_is < q for essence, q in named.items()):
        return negotiate(accept, pairs)
    if named and not as_it_is and all(essence in _OTHER_FHIR for essence in named):
        raise _no_json("Accept")
    return None


def is_json(content_type: str) -> bool:
    """Whether a request's body is declared as JSON we read: of R4, in UTF-8."""
    charset = _parameters(content_type).get("charset", "utf-8").lower()
    return (
        _essence(content_type) in (FHIR_JSON, JSON)
        and _is_r4(content_type)
        and charset in ("utf-8", "utf8", "us-ascii")
    )


@lru_cache(maxsize=512)
def _accepted(accept: str) -> str | None:
    """The media type to answer with; None when no JSON is acceptable (RFC 9110 section 12.5.1)."""
    ranked: dict[str, tuple[int, float]] = {}
    for item in accept[:4096].split(","):
        essence = _essence(item)
        if not _is_r4(item):
            continue
        # The most specific range that names a type gives its quality.
        rank = (_SPECIFIC.get(essence, 2), _quality(item))
        for offered in _RANGES.get(essence, ()):
            if offered not in ranked or rank > ranked[offered]:
                ranked[offered] = rank
    acceptable = [one for one, (_, quality) in ranked.items() if quality > 0]
    return max(acceptable, key=lambda one: ranked[one][::-1], default=None)


def _essence(item: str) -> str:
    return item.partition(";")[0].strip().lower()


def _parameters(item: str) -> dict[str, str]:
    parts = (part.partition("=") for part in item.split(";")[1:])
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in parts}


def _quality(item: str) -> float:
    text = _parameters(item).get("q", "1")
    return float(text) if _QUALITY.fullmatch(text) else 0.0


def _is_r4(item: str) -> bool:
    version = _parameters(item).get("fhirversion", "4.0")
    return version == "4.0" or version.startswith("4.0.")


def _no_json(where: str) -> NotAcceptable:
    return NotAcceptable(
        f"'{where}' admits no format this server writes.",
        diagnostics=f"Ask for {FHIR_JSON} (FHIR 4.0) or {JSON}; XML and RDF are not served.",
        expression=(where,),
    )
