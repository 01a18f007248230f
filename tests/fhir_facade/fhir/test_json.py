from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.fhir import json

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70).filter(lambda n: -(2**63) <= n < 2**64)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text("abc_", max_size=3), inner)
)


@given(DOCUMENTS)
def test_numbers_and_texts_survive_both_directions(document: object) -> None:
    written = json.dumps(document)
    assert json.dumps(json.loads(written)) == written


def test_decimal_digits_are_kept() -> None:
    text = b'{"a":1.00,"b":0.1234567890123456789012345,"c":1e3,"d":12345678901234567890123}'
    value = json.loads(text)
    assert str(value["a"]) == "1.00"
    assert value["d"] == 12345678901234567890123
    assert json.dumps(value["d"]) == b"12345678901234567890123"
    assert json.dumps({"a": value["a"], "b": value["b"]}) == text[:41] + b"}"


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"{}{}", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":"\\ud800"}', b"\xff", b"[" * 5000],
)
def test_what_is_no_json_is_refused_without_quoting_it(text: bytes) -> None:
    with pytest.raises(json.InvalidJSON) as caught:
        json.loads(text)
    assert caught.value.__context__ is None


def test_refusal_holds_nothing_of_the_document() -> None:
    with pytest.raises(json.InvalidJSON) as caught:
        json.loads('{"family": "Sekret" "x"')
    assert "Sekret" not in str(caught.value)
    assert "column" in str(caught.value)


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), object(), {1, 2}])
def test_what_has_no_json_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        json.dumps({"a": value})


def test_content_hash_ignores_order_and_version_members_only() -> None:
    one = {"resourceType": "Patient", "id": "a", "active": True}
    same = {
        "active": True,
        "meta": {"versionId": "7", "lastUpdated": "2026-01-01T00:00:00Z"},
        "id": "a",
        "resourceType": "Patient",
    }
    assert json.content_hash(one) == json.content_hash(same)
    assert same["meta"] == {"versionId": "7", "lastUpdated": "2026-01-01T00:00:00Z"}
    for change in ({"active": False}, {"meta": {"profile": ["x"]}}, {"id": "b"}):
        assert json.content_hash(one | change) != json.content_hash(one)


def test_content_hash_tells_decimal_precision_apart() -> None:
    one, other = ({"value": Decimal(text)} for text in ("1.0", "1.00"))
    assert json.content_hash(one) != json.content_hash(other)
