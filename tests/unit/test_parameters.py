from __future__ import annotations

from datetime import date
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from backburner.domain.errors import InvalidArguments
from backburner.parameters import Parameters, is_plain


class Book(BaseModel):
    title: str


def takes(run: Any, count: int, book: Book, on: date | None = None) -> None: ...


PARAMETERS = Parameters(takes, "takes")


@pytest.mark.parametrize(
    "annotation",
    [str, int, float, bool, Any, list[str], dict[str, int], int | None, Literal["a"], list[dict[str, Any]]],
)
def test_what_json_says_by_itself_needs_no_help(annotation: Any) -> None:
    assert is_plain(annotation)


@pytest.mark.parametrize("annotation", [date, Book, list[Book], dict[int, str], tuple[int, str], Book | None, set[str]])
def test_what_json_cannot_say_is_given_back_its_type(annotation: Any) -> None:
    assert not is_plain(annotation)


def test_stored_arguments_come_back_as_they_were_annotated() -> None:
    revived = PARAMETERS.revive({"count": 1, "book": {"title": "雪"}, "on": "2024-05-01"})
    assert revived == {"count": 1, "book": Book(title="雪"), "on": date(2024, 5, 1)}


def test_stored_arguments_that_no_longer_fit_are_invalid_arguments() -> None:
    with pytest.raises(InvalidArguments, match="book"):
        PARAMETERS.revive({"count": 1, "book": {"name": "雪"}})


def test_arguments_from_outside_are_checked_field_by_field() -> None:
    assert PARAMETERS.check({"count": 1, "book": {"title": "雪"}})
    with pytest.raises(InvalidArguments) as caught:
        PARAMETERS.check({"count": "many", "book": {}, "extra": 1})
    assert set(caught.value.fields) == {"count", "book.title", "extra"}
    with pytest.raises(InvalidArguments, match="object"):
        PARAMETERS.check([1])


def test_a_parameter_may_have_any_name_python_allows() -> None:
    def odd(run: Any, schema: str, json: int, model_name: str, copy: bool, _hidden: int) -> None: ...

    args = {"schema": "a", "json": 1, "model_name": "m", "copy": True, "_hidden": 2}
    assert Parameters(odd, "odd").check(args) == args


def test_annotations_that_cannot_be_resolved_count_as_any() -> None:
    def odd(run: Any, value: NoSuchName) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert Parameters(odd, "odd").revive({"value": 1}) == {"value": 1}
