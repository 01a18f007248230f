"""The committed schemas are what the generator makes of the installed models."""

import json
from pathlib import Path

from fhir_facade.fhir.validation.generate import main
from fhir_facade.fhir.validation.types import FAST_TYPES, SCHEMA_DIRECTORY


def test_the_committed_schemas_are_a_fresh_run_of_the_generator(tmp_path: Path) -> None:
    main(tmp_path)
    fresh = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in SCHEMA_DIRECTORY.iterdir()}
    assert sorted(fresh) == sorted(committed)
    different = [name for name in fresh if fresh[name] != committed[name]]
    assert different == [], "run python -m fhir_facade.fhir.validation.generate"


def test_every_type_has_a_schema_and_every_pointer_leads_somewhere() -> None:
    shared = json.loads((SCHEMA_DIRECTORY / "datatypes.json").read_text())["definitions"]
    for name in FAST_TYPES:
        text = (SCHEMA_DIRECTORY / f"{name}.json").read_text()
        own = json.loads(text)["definitions"]
        assert name in own
        pointers = {part.split('"')[0] for part in text.split('"#/definitions/')[1:]}
        assert pointers <= set(own) | set(shared)
    assert "valueCodeableReference" not in shared["Extension"]["properties"]
