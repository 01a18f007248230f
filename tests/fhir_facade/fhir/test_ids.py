import hashlib
import re
from base64 import b32encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.fhir.ids import is_id, provenance_id, resource_id
from fhir_facade.fhir.r4_types import R4_TYPES

KEY = st.text(min_size=1, max_size=80) | st.text("#./|\x1e\x1f0Aaé", min_size=1, max_size=9)
KEYS = st.lists(KEY, min_size=1, max_size=3).map(tuple)
IDS = st.from_regex(r"[A-Za-z0-9\-.]{1,64}", fullmatch=True)


@pytest.mark.parametrize(
    ("source", "parts", "expected"),
    [
        ("qubs", ("A123456",), "qubs-A123456"),
        ("qsc", ("9999094",), "qsc-9999094"),
        ("np", ("0b1f-4c",), "np-0b1f-4c"),
        ("qubs", ("North Ryde",), "qubs-North.20Ryde"),
        ("qubs", ("a.b",), "qubs-a.2eb"),
        ("qubs", ("é",), "qubs-.c3.a9"),
        ("qubs", ("North", "CT 1"), "qubs-North.1fCT.201"),
    ],
)
def test_known_ids(source: str, parts: tuple[str, ...], expected: str) -> None:
    assert resource_id(source, *parts) == expected


def test_long_key_is_hashed() -> None:
    key = "x" * 60
    digest = b32encode(hashlib.sha256(key.encode()).digest()).decode().rstrip("=")
    assert resource_id("qubs", key) == f"qubs-.{digest}"
    assert resource_id("qubs", "x" * 59) == "qubs-" + "x" * 59


@given(KEYS, KEYS)
def test_different_keys_give_different_ids(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (resource_id("qubs", *one) == resource_id("qubs", *other)) == (one == other)


@given(KEYS)
def test_every_id_has_the_fhir_grammar(key: tuple[str, ...]) -> None:
    assert is_id(resource_id("qubs", *key))


def test_a_short_key_cannot_imitate_the_hash_of_a_long_one() -> None:
    hashed = next(
        made
        for n in range(1000)
        if re.match(r"qubs-\.[2-7]{2}", made := resource_id("qubs", "long" * 20 + str(n)))
    )
    imitation = chr(int(hashed[6:8], 16)) + hashed[8:]
    assert resource_id("qubs", imitation) != hashed


@pytest.mark.parametrize(("source", "parts"), [("", ("a",)), ("q-x", ("a",)), ("qubs", ("",))])
def test_no_id_without_source_and_key(source: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"a source|a key"):
        resource_id(source, *parts)
    with pytest.raises(ValueError, match="a key"):
        resource_id("qubs")


@given(st.sampled_from(sorted(R4_TYPES)), IDS, st.sampled_from(sorted(R4_TYPES)), IDS)
def test_provenance_ids(type_1: str, id_1: str, type_2: str, id_2: str) -> None:
    one, other = provenance_id(type_1, id_1), provenance_id(type_2, id_2)
    assert is_id(one)
    assert (one == other) == ((type_1, id_1) == (type_2, id_2))
    if len(type_1) + len(id_1) < 64:
        assert one == f"{type_1}-{id_1}"
