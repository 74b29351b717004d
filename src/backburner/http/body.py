"""Reading a JSON body by hand. Its size is limited by `ProblemRoute`."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from ..domain.errors import InvalidArguments
from .problems import Refused, field_errors

Model = TypeVar("Model", bound=BaseModel)


async def read_json(request: Request) -> Any:
    """Raises a 400 problem for what is not JSON (RFC 8259: no NaN either)."""
    return parse_json(await request.body())


def parse_json(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        problem = "it is nested too deep"
    except ValueError as error:
        problem = str(error)
    raise Refused(400, "malformed", "The body is not JSON", f"The body of the request is not JSON: {problem}")


def parse(model: type[Model], body: Any, what: str) -> Model:
    """Raises `InvalidArguments` naming the fields."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        fields = field_errors(error.errors())
        wrong = "; ".join(f"{name}: {message}" for name, message in fields.items())
        raise InvalidArguments(f"{what} does not fit: {wrong}", fields) from None


def body_of(model: type[BaseModel], required: bool = True) -> dict[str, Any]:
    """The body is read by hand, so that its size is limited while it arrives; OpenAPI knows it all the same."""
    return {
        "requestBody": {"required": required, "content": {"application/json": {"schema": model.model_json_schema()}}}
    }


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
