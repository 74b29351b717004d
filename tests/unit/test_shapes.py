"""Whether an answer fits the schema of its question."""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from backburner.domain.shapes import misfits


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Page(BaseModel):
    model_config = ConfigDict(extra="forbid")
    number: int = Field(ge=1, lt=100)
    title: str = Field(min_length=1, max_length=5, pattern="^[a-z]*$")
    notes: list[str] = []


class Book(BaseModel):
    pages: list[Page] = Field(min_length=1, max_length=3)
    colour: Colour | None = None
    by: dict[str, float] = {}
    part: Book | None = None


@pytest.mark.parametrize(
    ("schema", "value", "wrong"),
    [
        (bool, 1, {"answer": "must be a boolean"}),
        (int, True, {"answer": "must be an integer"}),
        (int, 1.5, {"answer": "must be an integer"}),
        (str, None, {"answer": "must be a string"}),
        (str | None, 3, {"answer": "must be a string or must be null"}),
        (Literal["yes", "no"], "maybe", {"answer": "must be one of 'yes', 'no'"}),
        (Colour, "green", {"answer": "must be one of 'red', 'blue'"}),
        (list[int], [1, "2"], {"1": "must be an integer"}),
        (tuple[int, str], [1], {"answer": "must have at least 2 items"}),
        (dict[str, int], {"a": "b"}, {"a": "must be an integer"}),
        (date, "tomorrow", {"answer": "must be a date"}),
        (datetime, "2024-05-06", {}),
        (UUID, "x", {"answer": "must be a uuid"}),
        (Annotated[float, Field(gt=0, multiple_of=0.5)], 0.3, {"answer": "must be a multiple of 0.5"}),
        (Annotated[int, Field(gt=0)], 0, {"answer": "must be more than 0"}),
        (Page, {"number": 0, "title": "A"}, {"number": "must be at least 1", "title": "must match ^[a-z]*$"}),
        (Page, {"number": 100}, {"number": "must be less than 100", "title": "is missing"}),
        (Page, {"number": 1, "title": "a", "x": 1}, {"x": "is not a field of the answer"}),
        (Book, {"pages": []}, {"pages": "must have at least 1 items"}),
        (Book, {"pages": [{"number": 1, "title": ""}]}, {"pages.0.title": "must have at least 1 characters"}),
        (Book, {"pages": [{"number": 1, "title": "a"}], "part": {}}, {"part.pages": "is missing"}),
        (Any, {"whatever": [1]}, {}),
    ],
)
def test_what_does_not_fit_is_named(schema: Any, value: Any, wrong: dict[str, str]) -> None:
    assert wrong == misfits(value, TypeAdapter(schema).json_schema())


def test_a_schema_that_refers_to_itself_for_ever_comes_to_an_end() -> None:
    assert "nested" in misfits(1, {"$ref": "#"})["answer"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 120) | st.floats(-2, 2) | st.sampled_from(["", "a", "abcdef", "red"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["number", "title", "notes", "pages", "colour", "part"]), inner, max_size=4)
    ),
    max_leaves=12,
)
PAGES = st.fixed_dictionaries({"number": st.integers(0, 101), "title": st.sampled_from(["", "a", "A", "abcdef"])})
SCHEMAS = [
    bool, int, float, str | None, list[int], Literal["a", 1, True], dict[str, bool], tuple[int, str], Page, Book,
    Page | Book, set[int],
]  # fmt: skip


@given(
    value=VALUES | PAGES | st.fixed_dictionaries({"pages": st.lists(PAGES, max_size=4), "part": VALUES}),
    schema=st.sampled_from([TypeAdapter(each).json_schema() for each in SCHEMAS]),
)
def test_it_judges_as_the_reference_does(value: Any, schema: Any) -> None:
    reference = jsonschema_rs.Draft202012Validator(schema)
    assert reference.is_valid(value) == (misfits(value, schema) == {})
