"""Narrative XHTML (R4 narrative.html, txt-1 and txt-2): only formatting, nothing active, nothing
external.
"""

from __future__ import annotations

import re
from pyexpat import ExpatError, ParserCreate

_ELEMENTS = frozenset(
    """
    a abbr acronym address b bdo big blockquote br caption cite code col colgroup dd del dfn div dl
    dt em h1 h2 h3 h4 h5 h6 hr i img ins kbd li ol p pre q samp small span strong sub sup table
    tbody td tfoot th thead tr tt ul var
    """.split()
)
_ATTRIBUTES = frozenset(
    """
    abbr accesskey align alt axis border cellhalign cellpadding cellspacing cellvalign char charoff
    charset cite class colspan compact coords dir frame headers height href hreflang hspace id lang
    longdesc name nowrap rel rev rowspan rules scope shape span src start style summary tabindex
    title type valign value vspace width xml:lang xmlns
    """.split()
)
# An address without a scheme is relative; one with a scheme must be one that runs nothing.
_SCHEME = re.compile(r"[\s\x00-\x1f]*([A-Za-z][A-Za-z0-9+.\-\s]*):")
_HARMLESS = frozenset({"http", "https", "mailto", "tel", "urn", "cid"})
_XHTML = "http://www.w3.org/1999/xhtml"


class _Refused(Exception):
    """The narrative holds something outside the allowed subset."""


def narrative_problem(div: str) -> str | None:
    """What is wrong with `Narrative.div`, in a sentence without its text; None when it is right."""
    depth, has_content = 0, False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, has_content
        if depth == 0 and (name != "div" or attributes.get("xmlns") != _XHTML):
            raise _Refused
        if name not in _ELEMENTS or not set(attributes) <= _ATTRIBUTES:
            raise _Refused
        for link in ("href", "src"):
            if not _is_harmless(attributes.get(link, "")):
                raise _Refused
        depth += 1
        has_content = has_content or name == "img"

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    def text(data: str) -> None:
        nonlocal has_content
        has_content = has_content or not data.isspace()

    def refuse(*_arguments: object) -> None:
        raise _Refused

    parser = ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = parser.ProcessingInstructionHandler = refuse
    try:
        parser.Parse(div, True)
    except ExpatError:
        return "txt-1: the narrative is not well-formed XHTML"
    except _Refused:
        return "txt-1: the narrative holds more than basic formatting"
    return None if has_content else "txt-2: the narrative is empty"


def _is_harmless(address: str) -> bool:
    scheme = _SCHEME.match(address)
    if scheme is None or address.lower().startswith("data:image/"):
        return True
    return scheme[1].lower() in _HARMLESS
