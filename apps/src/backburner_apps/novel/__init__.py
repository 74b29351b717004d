"""The novel studio: chapters are written in the background, watched live, and analysed afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backburner import Application, Backburner, Report

if TYPE_CHECKING:
    import httpx
    from fastapi import FastAPI

__all__ = ["application"]


class Novels:
    """See `backburner.Application`."""

    title = {"en": "Novel studio", "zh-CN": "小说工作室"}  # noqa: RUF012  # the protocol's reader sees a Mapping
    home = "/studio/"

    def install(self, bb: Backburner, app: FastAPI) -> None:
        from .studio import Studio

        Studio(bb).serve(app)

    async def once(self, http: httpx.AsyncClient, report: Report) -> Mapping[str, Any]:
        from .once import run_once

        return await run_once(http, report)


application: Application = Novels()
