"""From ``module:attribute`` on the command line to an object."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from typing import Any

from .app import Backburner
from .domain.errors import ConfigurationError


def load(target: str) -> Any:
    """The object that ``package.module:attribute`` names. Raises `ConfigurationError`."""
    module_name, separator, attribute = target.partition(":")
    if not separator or not module_name or not attribute or module_name.startswith("."):
        raise ConfigurationError(f"{target!r} is not MODULE:ATTRIBUTE, as in myapp.main:app")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and module_name.startswith(error.name):
            raise ConfigurationError(
                f"there is no module {error.name!r}: run this in the folder that holds it, or install it"
            ) from None
        raise
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ConfigurationError(f"{module_name} has no {attribute!r}") from None
    return found


def is_factory(found: Any) -> bool:
    """Whether it is a function without arguments, which makes what is wanted."""
    if not inspect.isfunction(found):
        return False
    return all(each.default is not each.empty for each in inspect.signature(found).parameters.values())


def load_backburner(target: str) -> Backburner:
    """The same for a `Backburner`, or a function without arguments that makes one."""
    found = load(target)
    if is_factory(found):
        found = found()
    if not isinstance(found, Backburner):
        raise ConfigurationError(f"{target} is a {type(found).__name__}, not a Backburner")
    return found
