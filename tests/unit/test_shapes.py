"""Whether an answer fits the schema of its question."""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from backburner import ConfigurationError, InvalidArguments
from backburner.asking import Question
from backburner.shapes import misfits


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
        (bool, 1, {"answer": 'it is not of type "boolean"'}),
        (int, True, {"answer": 'it is not of type "integer"'}),
        (str | None, 3, {"answer": 'it is not of type "string", and it is not of type "null"'}),
        (Literal["yes", "no"], "maybe", {"answer": 'it is not one of "yes" or "no"'}),
        (list[int], [1, "2"], {"1": 'it is not of type "integer"'}),
        (tuple[int, str], [1], {"answer": "it has less than 2 items"}),
        (date, "tomorrow", {"answer": 'it is not a "date"'}),
        (datetime, "2024-05-06", {}),
        (datetime, "2024-05-06T07:08:09", {}),
        (datetime, "soon", {"answer": 'it is not a "date-time"'}),
        (UUID, "x", {"answer": 'it is not a "uuid"'}),
        (
            Page,
            {"number": 100},
            {"number": "it is greater than or equal to the maximum of 100", "title": "it is missing"},
        ),
        (Page, {"number": 1, "title": "a", "x": 1}, {"x": "it is not a field of the answer"}),
        (Book, {"pages": [{"number": 1, "title": ""}]}, {"pages.0.title": "it is shorter than 1 character"}),
        (Book, {"pages": [{"number": 1, "title": "a"}], "part": {}}, {"part.pages": "it is missing"}),
        (Any, {"whatever": [1]}, {}),
    ],
)
def test_what_does_not_fit_is_named(schema: Any, value: Any, wrong: dict[str, str]) -> None:
    assert wrong == misfits(value, TypeAdapter(schema).json_schema())


def test_a_schema_that_refers_to_itself_for_ever_comes_to_an_end() -> None:
    assert misfits(1, {"$ref": "#"}) == {}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "pattern": "("}, "pattern"),
        ({"type": 5}, "type"),
        ({"type": "integer", "minimum": "a"}, "minimum"),
        ({"$ref": "#/nope"}, "nope"),
        ({"$ref": "http://127.0.0.1:1/schema"}, "127.0.0.1"),
        ({"a": {1, 2}}, "schema"),
    ],
    ids=str,
)
def test_what_is_no_schema_is_said_when_it_is_asked(schema: Any, words: str) -> None:
    with pytest.raises((ConfigurationError, InvalidArguments), match=words):
        Question("Well?", schema, None, None)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"if": {"minimum": 5}, "then": {"multipleOf": 2}}, 7),
        ({"patternProperties": {"^a": {"type": "string"}}}, {"ab": 1}),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}),
        ({"contains": {"const": 1}}, [2]),
        ({"propertyNames": {"maxLength": 1}}, {"ab": 1}),
    ],
    ids=str,
)
def test_the_whole_of_json_schema_counts(schema: Any, value: Any) -> None:
    assert misfits(value, schema)
