"""The studio's parts, put together for one `Backburner`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from backburner import Backburner

from .analysis import Analyses
from .chapters import Chapters
from .library import Library
from .schema import bring_up_to_date

if TYPE_CHECKING:
    from fastapi import FastAPI

HOME = "/studio/"
WEB = Path(__file__).parent / "web"
WEB = Path(__file__).parent / "web"


class Studio:
    """The tasks are registered, and the tables are there once the Backburner opens."""

    def __init__(self, bb: Backburner) -> None:
        self.bb = bb
        self.library = Library(bb)
        self.analyses = Analyses(bb, self.library)
        self.chapters = Chapters(bb, self.library, self.analyses.task)
        bb.on_open(bring_up_to_date)
        bb.on_close(self.library.close)

    def serve(self, app: FastAPI) -> None:
        """Add the routes and the pages."""
        from backburner import Pages

        from .routes import make_router

        app.include_router(make_router(self))
        app.mount(HOME.rstrip("/"), Pages(WEB), name="studio")
