"""Whether an answer has the shape that a JSON Schema describes (draft 2020-12)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from .domain.errors import ConfigurationError, InvalidArguments
from .domain.json import encode
from .domain.questions import Question

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, ValidationError

Path = tuple[str | int, ...]
Told = tuple[Path, str]
"""Where something does not fit, and what is wrong there."""

MOST = 20
LONGEST = 300
WHOLE = "answer"
"""The name of the value itself, where no field of it is to blame."""


def fit(question: Question, answer: Any) -> str:
    """The answer as JSON text. Raises `InvalidArguments` naming what does not fit the question's schema."""
    wrong = misfits(answer, question.schema)
    if wrong:
        told = "; ".join(f"{field}: {message}" for field, message in wrong.items())
        raise InvalidArguments(f"the answer does not fit the question: {told}", wrong)
    return encode(answer, "the answer")


def misfits(value: Any, schema: Any) -> dict[str, str]:
    """What does not fit: field (``a.0.b``) → what is wrong with it; empty when all fits."""
    found: dict[str, str] = {}
    for error in check_of(schema).iter_errors(value):
        for path, message in _told(error):
            found.setdefault(".".join(map(str, path)) or WHOLE, message[:LONGEST])
        if len(found) >= MOST:
            break
    return found


def check_of(schema: Any) -> Draft202012Validator:
    """Raises `ConfigurationError` for what is no JSON Schema, or refers to what is not in it."""
    from jsonschema_rs import Draft202012Validator

    try:
        return Draft202012Validator(
            schema,
            formats={"date-time": _is_moment, "time": _is_time},
            validate_formats=True,
            mask="it",
            offline=True,
        )
    except (ValueError, TypeError) as error:
        message = getattr(error, "message", None) or str(error)
        place = ".".join(map(str, getattr(error, "instance_path", ())))
        raise ConfigurationError(f"this is no JSON Schema: {place}{': ' if place else ''}{message}") from None


def _told(error: ValidationError) -> Iterator[Told]:
    from jsonschema_rs import ValidationErrorKind as Kind

    path, kind = tuple(error.instance_path), error.kind
    if isinstance(kind, Kind.Required):
        yield (*path, kind.property), "it is missing"
    elif isinstance(kind, Kind.AdditionalProperties | Kind.UnevaluatedProperties):
        for name in kind.unexpected:
            yield (*path, name), "it is not a field of the answer"
    elif isinstance(kind, Kind.AnyOf | Kind.OneOfNotValid):
        yield from _alternatives(path, [[told for each in branch for told in _told(each)] for branch in kind.context])
    else:
        yield path, error.message


def _alternatives(path: Path, branches: Sequence[Sequence[Told]]) -> Iterator[Told]:
    """Of the alternatives the one that fits furthest, or what keeps each from fitting at all."""
    nearest = max(branches, key=lambda branch: len(branch[0][0]) if branch else 0)
    if nearest and len(nearest[0][0]) > len(path):
        yield from nearest
    else:
        yield path, ", and ".join(dict.fromkeys(branch[0][1] for branch in branches if branch))


def _is_moment(text: str) -> bool:
    """As pydantic reads it: RFC 3339 wants a time zone as well."""
    return _reads(datetime.fromisoformat, text)


def _is_time(text: str) -> bool:
    return _reads(time.fromisoformat, text)


def _reads(read: Any, text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True
