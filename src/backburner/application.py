"""What `backburner demo` serves: an application found by the entry point group ``backburner.apps``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import httpx
    from fastapi import FastAPI

    from .app import Backburner

Report = Callable[[float, str], None]
"""Called with a percentage and a message while the main job runs."""


class Application(Protocol):
    """The entry point names an object like this."""

    @property
    def title(self) -> Mapping[str, str]:
        """Language → title, ``en`` and ``zh-CN``."""
        ...

    @property
    def home(self) -> str:
        """The path of its first page."""
        ...

    def install(self, bb: Backburner, app: FastAPI) -> None:
        """Register the tasks and the migrations, and add the routes and pages."""
        ...

    async def once(self, http: httpx.AsyncClient, report: Report) -> Mapping[str, Any]:
        """Do the main job over HTTP from start to end and answer what came of it, ready for JSON."""
        ...
