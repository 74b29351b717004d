"""Reading a JSON body by hand. Its size is limited by `ProblemRoute`."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from fastapi import Request

from .problems import Refused


async def read_json(request: Request) -> Any:
    """Raises a 400 problem for what is not JSON (RFC 8259: no NaN either)."""
    body = await request.body()
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        problem = "it is nested too deep"
    except ValueError as error:
        problem = str(error)
    raise Refused(400, "malformed", "The body is not JSON", f"The body of the request is not JSON: {problem}")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
