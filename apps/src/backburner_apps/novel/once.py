"""The main job from start to end, as any client over HTTP would do it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import httpx

from backburner import JobFailed, Report

from .analysis import PARTS
from .following import follow
from .model import LOCAL
from .sample_novels import describe_sample

ANALYSED_SAMPLE = 3
"""The last chapter of either sample."""


async def run_once(http: httpx.AsyncClient, report: Report) -> Mapping[str, Any]:
    """Write the sample novel's next chapter, wait for its analysis, and tell what came of it.

    Text of the local model has nothing in it to find: there the analysis shown is that of the sample's last chapter.
    Without any model that is all there is.
    """
    errand = Errand(http, report)
    model = await errand.get("/api/novels/model")
    novel = await _sample(errand)
    here = f"/api/novels/{novel['id']}"
    number = shown = ANALYSED_SAMPLE
    if model["method"] != "none":
        written = await errand.do(f"{here}/chapters", {"mode": "enhanced"}, until=60)
        number = written["result"]["number"]
        await errand.wait(written["result"]["analysis_job_id"], until=80)
    if model["method"] in (LOCAL, "none"):
        await errand.do(f"{here}/chapters/{shown}/analyse", {}, until=100)
    else:
        shown = number
    chapter = await errand.get(f"{here}/chapters/{number}")
    analysis = await errand.get(f"{here}/chapters/{shown}/analysis")
    inbox = await errand.get("/backburner/inbox?limit=200")
    report(100, "")
    return {
        "ack_ms": errand.ack_ms,
        "first_token_ms": errand.first_token_ms,
        "chapter_id": chapter["id"],
        "chapter_characters": len(chapter["text"]),
        "summary": chapter["summary"],
        "analysis": {part: analysis["parts"][part]["items"] for part in PARTS},
        "notifications": sum(1 for each in inbox["notifications"] if each["job"] in errand.jobs),
        "jobs": [await errand.get(f"/backburner/jobs/{job}") for job in errand.jobs],
        "model": model["model"],
    }


class Errand:
    """Requests, and jobs followed to their end. The first request that submits a job is timed."""

    def __init__(self, http: httpx.AsyncClient, report: Report) -> None:
        self._http = http
        self._report = report
        self._done = 0.0
        self._sent = 0.0
        self.jobs: list[str] = []
        self.ack_ms: float | None = None
        self.first_token_ms: float | None = None

    async def get(self, path: str) -> Any:
        return _content(await self._http.get(path))

    async def do(self, path: str, body: dict[str, Any], until: float) -> Any:
        """Submit a job and wait for it; answers the job. ``until``: how far the whole errand is then, in percent."""
        first = self.ack_ms is None
        sent = time.perf_counter()
        content = _content(await self._http.post(path, json=body))
        if first:
            self._sent, self.ack_ms = sent, _milliseconds(sent)
        return await self.wait(content["job"]["id"], until)

    async def wait(self, job: str, until: float) -> Any:
        """Follow a job to its end. Raises `JobFailed` where that is not a good one."""
        self.jobs.append(job)
        first, start = len(self.jobs) == 1, self._done

        def see(kind: str, data: dict[str, Any]) -> None:
            if first and self.first_token_ms is None and _has_text(kind, data):
                self.first_token_ms = _milliseconds(self._sent)
            if kind == "job.progress":
                self._report(start + (until - start) * data["percent"] / 100, data["message"])

        await follow(self._http, f"/backburner/jobs/{job}/events", see)
        self._done = until
        record = await self.get(f"/backburner/jobs/{job}")
        if record["status"] != "completed":
            error = record["error"] or {"title": "The job was cancelled", "detail": "somebody asked for it"}
            raise JobFailed(f"{record['task']}: {error['title']}: {error['detail']}", record["error"])
        return record


async def _sample(errand: Errand) -> Any:
    """The Chinese one, or where the terminal speaks English the English one."""
    spoken = os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    language = "en" if spoken.lower().startswith("en") else "zh-CN"
    novels = await errand.get("/api/novels")
    title = describe_sample(language)["title"]
    return next((novel for novel in novels if novel["title"] == title), novels[0])


def _has_text(kind: str, data: dict[str, Any]) -> bool:
    """Text that came before the stream was open is in its snapshot."""
    return kind == "text.delta" or (kind == "snapshot" and any(data["text"].values()))


def _content(response: httpx.Response) -> Any:
    if response.is_error:
        problem = response.json()
        raise JobFailed(f"{response.request.method} {response.request.url.path}: {problem['detail']}", problem)
    return response.json()


def _milliseconds(since: float) -> float:
    return round((time.perf_counter() - since) * 1000, 1)
