"""A task's parameters: bound at submit, checked where strangers call, and given back their types in the worker."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Hashable, Mapping
from functools import cached_property
from typing import Any

from .domain.errors import ConfigurationError, InvalidArguments

PLAIN = {str, int, float, bool, type(None), list, dict, Any, object, inspect.Parameter.empty}


class Parameters:
    """Of one function, without its first parameter (the run)."""

    def __init__(self, function: Callable[..., Any], task: str) -> None:
        self._function = function
        self._task = task
        parameters = list(inspect.signature(function).parameters.values())
        if not parameters:
            raise ConfigurationError(f"task {task}: the first parameter must be the run, as in `async def f(run: Run)`")
        self._parameters = parameters[1:]
        for parameter in self._parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise ConfigurationError(
                    f"task {task}: parameter {parameter} cannot be stored by name; use ordinary parameters"
                )
        self._signature = inspect.Signature(self._parameters)
        self._names = tuple(each.name for each in self._parameters)
        self._known = set(self._names)
        self._needed = {each.name for each in self._parameters if each.default is each.empty}

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    @property
    def defaults(self) -> dict[str, Any]:
        return {each.name: each.default for each in self._parameters if each.default is not each.empty}

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Name → value. Raises `InvalidArguments` as a call with these arguments would raise `TypeError`."""
        if not args and self._needed <= kwargs.keys() <= self._known:
            return {name: kwargs[name] for name in self._names if name in kwargs}
        try:
            return dict(self._signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise InvalidArguments(f"{self._task}: {error}") from None

    def complete(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """With the defaults of what was left out."""
        return {**self.defaults, **args}

    def check(self, args: Any) -> dict[str, Any]:
        """Arguments from outside, held against the annotations. Raises `InvalidArguments` naming each field."""
        from pydantic import ValidationError

        if not isinstance(args, dict):
            raise InvalidArguments("args must be an object", {"args": "must be an object"})
        try:
            self._model.model_validate(args)
        except ValidationError as error:
            fields = {".".join(str(part) for part in each["loc"]): each["msg"] for each in error.errors()}
            wrong = "; ".join(f"{name}: {message}" for name, message in fields.items())
            raise InvalidArguments(f"{self._task}: {wrong}", fields) from None
        return args

    def revive(self, args: dict[str, Any]) -> dict[str, Any]:
        """Stored arguments, typed as annotated (models, dataclasses, dates). Raises `InvalidArguments`."""
        for name, adapter in self._adapters.items():
            if name in args:
                args[name] = self._revived(adapter, name, args[name])
        return args

    def _revived(self, adapter: Any, name: str, value: Any) -> Any:
        from pydantic import ValidationError

        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            wrong = error.errors()[0]["msg"]
            raise InvalidArguments(f"{self._task}: {name} does not fit any more: {wrong}") from None

    def revive_result(self, value: Any) -> Any:
        """A stored result with the type of the function's return annotation."""
        return self._result.validate_python(value) if self._result is not None else value

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return resolve_hints(self._function)

    @cached_property
    def _adapters(self) -> dict[str, Any]:
        found = {each.name: adapter_of(self._hints.get(each.name, Any)) for each in self._parameters}
        return {name: adapter for name, adapter in found.items() if adapter is not None}

    @cached_property
    def _result(self) -> Any:
        return adapter_of(self._hints.get("return", Any))

    @cached_property
    def _model(self) -> Any:
        from pydantic import ConfigDict, Field, create_model

        # A model's own attributes (`schema`, `json`) are good names for parameters, hence the aliases.
        fields: dict[str, Any] = {
            f"parameter_{number}": (
                self._hints.get(each.name, Any),
                Field(... if each.default is each.empty else each.default, alias=each.name),
            )
            for number, each in enumerate(self._parameters)
        }
        return create_model(self._task, __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True), **fields)


def adapter_of(annotation: Any) -> Any:
    """A pydantic adapter for what JSON cannot say by itself, None for plain JSON types."""
    if is_plain(annotation):
        return None
    from pydantic import TypeAdapter

    return TypeAdapter(annotation)


def is_plain(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin is None:
        return annotation in PLAIN if isinstance(annotation, Hashable) else False
    if origin is dict and typing.get_args(annotation)[0] is not str:
        return False  # JSON has only strings as keys
    if origin in (list, dict) or str(origin) in ("typing.Union", "<class 'types.UnionType'>"):
        return all(is_plain(argument) for argument in typing.get_args(annotation))
    return origin is typing.Literal


def resolve_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function; those that cannot be resolved count as `Any`."""
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):
        return {}
