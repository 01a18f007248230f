"""Writes docs/mapping/types: a page for each type, from its definition and its module.

`python -m fhir_facade.resources.document` in a checkout; a test compares the pages with what this
makes.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from fhir_facade.policy import ReachClass
from fhir_facade.resources.definition import ResourceDefinition, SearchParameter
from fhir_facade.resources.made_of import MADE_OF, Made
from fhir_facade.resources.operation_definition import OPERATIONS
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.resources.structure_definition import EXTENSIONS, ExtensionDefinition

FOLDER = Path(__file__).parents[2] / "docs" / "mapping" / "types"
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")
_REACH = {
    ReachClass.PATIENT: "Reached through its patients",
    ReachClass.DIRECTORY: "Reached by anyone with scope for the type",
    ReachClass.INHERITED: "Reached as what it belongs to is",
    ReachClass.STAFF: "Reached by `user/` and `system/` scopes only",
    ReachClass.OPERATOR: "Reached by operators only, whatever the scopes of others",
}


def pages() -> dict[str, str]:
    """File name → text, for every type and the list of them."""
    made = {f"{name}.md": _page(definition) for name, definition in REGISTRY.items()}
    return {"README.md": _index(), **made}


def _index() -> str:
    rows = [f"| [{name}]({name}.md) | {_first_line(name)} |" for name in REGISTRY]
    lines = ["# Types", "", _GENERATED, "", "| Type | What it is |", "|---|---|", *rows]
    return "\n".join(lines) + "\n"


_GENERATED = "Written by `python -m fhir_facade.resources.document`: change the modules instead."


def _page(definition: ResourceDefinition) -> str:
    sections = (_facts(definition), _made(definition), _extensions(definition), _search(definition))
    parts = [f"# {definition.type}", _about(definition.type), _GENERATED]
    parts += ["\n".join(lines) for section in sections if (lines := list(section))]
    return "\n\n".join(parts) + "\n"


def _module(resource_type: str) -> str:
    name = _WORD.sub("_", resource_type).lower()
    return importlib.import_module(f"fhir_facade.resources.{name}").__doc__ or ""


def _about(resource_type: str) -> str:
    return _module(resource_type).strip()


def _first_line(resource_type: str) -> str:
    """The first sentence of the module, without the name of the type."""
    sentence = " ".join(_about(resource_type).split()).partition(". ")[0].rstrip(".")
    return sentence.partition(": ")[2] or sentence


def _facts(definition: ResourceDefinition) -> Iterator[str]:
    through = [f"`{path}`" for path in definition.patient_paths if path]
    reached = _REACH[definition.reach] + (f": {', '.join(through)}" if through else "")
    yield f"- {reached}."
    if definition.category_path:
        yield f"- Granular scopes filter on `{definition.category_path}`."
    for profile in definition.profiles:
        yield f"- Profile: <{profile}>"
    yield f"- Bulk export: {'yes' if definition.exportable else 'no'}."
    if not definition.stored:
        yield "- Not in the mirror: no include leads to it, and no search over several types."
    for operation in OPERATIONS:
        if definition.type in operation.types:
            yield f"- Operation `${operation.code}`: {operation.documentation}"
    if definition.documentation:
        yield f"- {definition.documentation}"


def _made(definition: ResourceDefinition) -> Iterator[str]:
    rows = MADE_OF.get(definition.type, ())
    if rows:
        yield from ("## Made of", "", "| QUBS | FHIR | Notes |", "|---|---|---|")
        yield from (_made_row(row) for row in rows)


def _made_row(row: Made) -> str:
    elements = ", ".join(f"`{element}`" for element in row.elements)
    return f"| {row.source} | {elements} | {row.note} |"


def _extensions(definition: ResourceDefinition) -> Iterator[str]:
    own = [
        one
        for one in EXTENSIONS
        if any(context.partition(".")[0] == definition.type for context in one.contexts)
    ]
    if own:
        yield from ("## Extensions", "", "| Extension | Value | Meaning |", "|---|---|---|")
        yield from (_extension_row(one) for one in own)


def _extension_row(one: ExtensionDefinition) -> str:
    values = "; ".join(
        (f"`{part.url}` " if part.url else "") + " or ".join(part.types) for part in one.parts
    )
    return f"| `{one.url}` | {values} | {one.documentation} |"


def _search(definition: ResourceDefinition) -> Iterator[str]:
    if not definition.search:
        yield from ("## Search parameters", "", "`_id` and `_lastUpdated` only.")
        return
    yield from ("## Search parameters", "", "Besides `_id` and `_lastUpdated`:")
    yield from ("", "| Parameter | Type | Elements | Definition |", "|---|---|---|---|")
    yield from (_parameter_row(parameter) for parameter in definition.search)


def _parameter_row(parameter: SearchParameter) -> str:
    elements = ", ".join(f"`{path}`" for path in parameter.paths)
    targets = f" to {', '.join(parameter.targets)}" if parameter.targets else ""
    name = parameter.definition.rpartition("/")[2]
    return f"| `{parameter.name}` | {parameter.type}{targets} | {elements} | {name} |"


def main(folder: Path = FOLDER) -> None:
    """Write every page, and remove those of types that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for page in folder.glob("*.md"):
        if page.name not in wanted:
            page.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")
    sys.stdout.write(f"{len(wanted)} pages written\n")


if __name__ == "__main__":
    main()
