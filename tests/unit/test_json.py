from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backburner.domain.errors import InvalidArguments, TooLarge
from backburner.domain.json import MAX_BYTES, MAX_DEPTH, decode, encode, fingerprint, refuse_nul, storable, well_formed

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
    assert "\0" not in formed
    if all(letter != "\0" and not 0xD800 <= ord(letter) < 0xE000 for letter in text):
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


def nested(levels: int) -> Any:
    value: Any = "x"
    for level in range(levels):
        value = [value] if level % 2 else {"inner": value}
    return value


def test_only_so_many_levels_are_written_that_every_thread_can_read_them() -> None:
    assert decode(encode(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    for levels in (MAX_DEPTH + 1, 900, 100_000):
        with pytest.raises(InvalidArguments, match="the thing"):
            encode(nested(levels), "the thing")
    wide = [[]] * (3 * MAX_DEPTH)
    assert decode(encode([wide, "[" * 1000])) == [wide, "[" * 1000]


@pytest.mark.parametrize(
    ("text", "why"), [("a\0", "NUL"), ("\ud800", "surrogate"), ("雪\udc00", "surrogate"), ("x" * 256, "255")]
)
def test_a_name_that_some_database_would_refuse_is_refused_by_all(text: str, why: str) -> None:
    with pytest.raises(InvalidArguments, match=why) as caught:
        storable(text, "owner")
    assert list(caught.value.fields) == ["owner"]
    assert storable("雪" * 255, "owner") == "雪" * 255


@pytest.mark.parametrize("value", ["\0", "\\\0", ["a", {"b": "c\0"}], {"k\0": 1}])
def test_arguments_with_nul_are_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidArguments, match="text holds the character NUL") as caught:
        refuse_nul(encode({"other": 1, "text": value}))
    assert list(caught.value.fields) == ["text"]


@pytest.mark.parametrize("value", ["\\u0000", "\\\\u0000", "u0000"])
def test_the_six_characters_that_stand_for_nul_are_no_nul(value: str) -> None:
    refuse_nul(encode({"text": value}))
