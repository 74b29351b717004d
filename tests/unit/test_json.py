from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backburner.domain.errors import InvalidArguments, TooLarge
from backburner.domain.json import MAX_BYTES, decode, encode, fingerprint, well_formed

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert decode(encode(value)) == value


@given(st.dictionaries(TEXT, VALUES), st.randoms())
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(value: dict[str, Any], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert fingerprint({key: value[key] for key in keys}) == fingerprint(value)


@given(VALUES, VALUES)
def test_a_fingerprint_tells_values_apart_as_their_json_does(one: Any, two: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    assert (fingerprint(one) == fingerprint(two)) == same


@given(st.text())
def test_a_well_formed_text_can_be_stored_and_is_as_long_as_before_or_shorter(text: str) -> None:
    formed = well_formed(text)
    assert decode(encode(formed)) == formed
    if all(not 0xD800 <= ord(letter) < 0xE000 for letter in text):
        assert formed == text


def test_the_limit_counts_bytes() -> None:
    assert len(encode("x" * (MAX_BYTES - 2))) == MAX_BYTES
    for text in ("x" * (MAX_BYTES - 1), "雪" * (MAX_BYTES // 3)):
        with pytest.raises(TooLarge, match="the thing takes"):
            encode(text, "the thing")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1}, {("a", 1): 2}, "\udc80"])
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises(InvalidArguments, match="the thing cannot be written as JSON"):
        encode(value, "the thing")
