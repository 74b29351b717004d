"""A function of the application inside the store's own transaction."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Callable
from typing import Any

from .domain.errors import ConfigurationError
from .domain.json import encode

ASYNC = (
    "a transaction's function is async: give an ordinary one. It runs inside the store's transaction, where nothing is "
    "awaited; what takes long belongs before it."
)

_inside: contextvars.ContextVar[bool] = contextvars.ContextVar("backburner_in_transaction", default=False)


class InSession:
    """``function(session, …)``, to be called by the writer in the context of the one who asked for it.

    It can be sent to another process, where it takes the context that it arrives in. Raises `ConfigurationError` for an
    async function.
    """

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if inspect.iscoroutinefunction(function):
            raise ConfigurationError(ASYNC)
        self._call = (function, args, kwargs)
        self._context = contextvars.copy_context()
        self._context.run(_inside.set, True)

    def __call__(self, session: Any) -> str:
        function, args, kwargs = self._call
        result = self._context.run(function, session, *args, **kwargs)
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise ConfigurationError(ASYNC)
        session.flush()  # before the store's own rows: the application's are locked first
        return encode(result, "a transaction's result")

    def __reduce__(self) -> Any:
        return InSession, self._call


def refuse_inside() -> None:
    """Raises `ConfigurationError` where waiting would be for the very transaction that waits."""
    if _inside.get():
        raise ConfigurationError(
            "a transaction's function used the run, which may wait for that very transaction: use its session "
            "(bb.submit_in to submit), and the run before or after it"
        )
