"""Where another process finds a task."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from ..domain.errors import ConfigurationError

if TYPE_CHECKING:
    from ..task import Task


def refuse_unless_importable(name: str, function: Any, is_async: bool) -> None:
    """What can be said of a task with ``process=True`` when it is registered. Raises `ConfigurationError`."""
    if is_async:
        raise ConfigurationError(
            f"task {name}: process=True is for ordinary functions; leave it away, or write `def` instead of `async def`"
        )
    where = getattr(function, "__qualname__", "")
    if "<locals>" in where or "<lambda>" in where:
        raise ConfigurationError(
            f"task {name}: process=True needs a function at the top of a module, which a child process can import; "
            f"{where} is made inside another function"
        )


def address_of(task: Task[Any, Any]) -> tuple[str, str]:
    """The module and the name in it. Raises `ConfigurationError`."""
    home = getattr(task.function, "__module__", "")
    for module in (home, *sys.modules):
        name = _name_in(module, task)
        if name is not None and module != "__main__":
            return module, name
    if home == "__main__" or _name_in("__main__", task) is not None:
        raise ConfigurationError(
            f"task {task.name} with process=True is defined in the script that was started, which a child process "
            "cannot import: move it into a module of its own and import that"
        )
    raise ConfigurationError(
        f"task {task.name} with process=True cannot be found by a child process: decorate its function at the top of "
        f"the module {home}, or keep what bb.task returns in a variable there"
    )


def task_at(module: str, name: str) -> Task[Any, Any]:
    """The other way round, in the child. Raises `ConfigurationError`."""
    from ..task import Task

    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise ConfigurationError(f"a child process cannot import {module}: {error}") from error
    if not isinstance(found, Task):
        raise ConfigurationError(
            f"a child process that imports {module} finds no task {name} there: it must be made whenever the module is "
            "imported"
        )
    return found


def _name_in(module: str, task: Task[Any, Any]) -> str | None:
    try:
        names = dict(vars(sys.modules[module]))
    except (KeyError, TypeError):
        return None
    return next((name for name, value in names.items() if value is task), None)
