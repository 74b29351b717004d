"""The main job from start to end, over HTTP, and through a line that drops."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from backburner import JobFailed
from backburner.testing.model import FakeModel
from backburner_apps.novel import application
from backburner_apps.novel.following import follow

from ..integration.http_support import Web
from ..integration.novel_support import CHAPTER, CHINESE, Novelist, base, chat, ended, get, open_studio, write

KEYS = {
    "ack_ms",
    "first_token_ms",
    "chapter_id",
    "chapter_characters",
    "summary",
    "analysis",
    "notifications",
    "jobs",
    "model",
}
PARTS = {"character_states", "new_characters", "world", "foreshadowing"}


@pytest.fixture(autouse=True)
def chinese_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")


async def once(web: Web) -> tuple[dict[str, Any], list[tuple[float, str]]]:
    told: list[tuple[float, str]] = []
    async with httpx.AsyncClient(base_url=web.url, trust_env=False) as http:
        outcome = await application.once(http, lambda percent, message: told.append((percent, message)))
    return json.loads(json.dumps(outcome)), told


async def test_once_writes_a_chapter_and_shows_its_analysis(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        Novelist(model)
        outcome, told = await once(web)
        assert set(outcome) == KEYS
        assert set(outcome["analysis"]) == PARTS
        chapter = get(web, f"/api/novels/{CHINESE}/chapters/4")
        assert (outcome["chapter_id"], outcome["chapter_characters"]) == (chapter["id"], len(CHAPTER))
        assert outcome["summary"] == "陆明远把铜钥匙交给顾南乔，门还开着。"
        assert outcome["analysis"]["new_characters"][0]["name"] == "纪无归"
        assert [job["task"] for job in outcome["jobs"]] == ["novel.generate", "novel.analyse"]
        assert all(job["status"] == "completed" for job in outcome["jobs"])
        assert (outcome["notifications"], outcome["model"]) == (2, "fake-model")
        assert 0 < outcome["ack_ms"] < outcome["first_token_ms"]
        percents = [percent for percent, _ in told]
        assert percents == sorted(percents)
        assert percents[-1] == 100


async def test_once_with_a_base_model_shows_the_analysis_of_the_sample(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, base(model)) as web:
        model.reply("潮水 unter der the 门 门 门。")
        outcome, _ = await once(web)
        assert outcome["chapter_id"] == get(web, f"/api/novels/{CHINESE}/chapters/4")["id"]
        assert 3 == len(outcome["jobs"]) == outcome["notifications"]
        assert {"韩征", "顾南乔"} == {each["name"] for each in outcome["analysis"]["new_characters"]}
        assert "铜钥匙" in {each["object"] for each in outcome["analysis"]["foreshadowing"]}


async def test_once_without_any_model_analyses_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "en_GB.UTF-8")
    with open_studio(tmp_path, None) as web:
        outcome, _ = await once(web)
        assert (outcome["model"], outcome["first_token_ms"]) == (None, None)
        assert outcome["ack_ms"] > 0
        assert outcome["summary"]
        assert "Silas Crowe" in {each["name"] for each in outcome["analysis"]["new_characters"]}


async def test_once_says_why_it_could_not(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        model.fail(401, times=9)
        with pytest.raises(JobFailed, match="OPENAI_API_KEY"):
            await once(web)


class Dropping(httpx.AsyncBaseTransport):
    """A line that breaks after so many bytes of a stream, a few more each time."""

    def __init__(self, sizes: list[int]) -> None:
        self._inner = httpx.AsyncHTTPTransport()
        self._sizes = sizes
        self.cursors: list[str | None] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        self.cursors.append(request.headers.get("last-event-id"))
        if self._sizes:
            assert isinstance(response.stream, httpx.AsyncByteStream)
            response.stream = Cut(response.stream, self._sizes.pop(0))
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class Cut(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, size: int) -> None:
        self._inner = inner
        self._left = size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            yield piece[: self._left]
            self._left -= len(piece)
            if self._left <= 0:
                raise httpx.ReadError("the line was cut")

    async def aclose(self) -> None:
        await self._inner.aclose()


async def test_following_a_job_through_a_line_that_drops_sees_every_event_once(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        novelist = Novelist(model)
        novelist.hold("chapter")
        job = write(web, mode="basic")
        novelist.wait_asked("chapter")
        seen: list[tuple[str, Any]] = []
        line = Dropping([2500, 200, 333])
        async with httpx.AsyncClient(base_url=web.url, transport=line) as http:

            def see(kind: str, data: dict[str, Any]) -> None:
                seen.append((kind, data))
                novelist.release()

            await follow(http, f"/backburner/jobs/{job}/events", see)
        ended(web, job)
        assert len(line.cursors) == 4
        assert line.cursors[1] is not None
        snapshot = seen[0][1]["job"]
        seqs = [data["seq"] for kind, data in seen if "seq" in data]
        log = [each["data"]["seq"] for each in web.log_of(job)]
        assert seqs == log[-len(seqs) :]
        assert len(seqs) > 5
        assert snapshot["id"] == job
        assert seen[-1][0] == "job.completed"


async def test_following_a_job_that_has_ended_ends_at_once(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        Novelist(model)
        job = write(web, mode="basic")
        ended(web, job)
        seen: list[str] = []
        async with httpx.AsyncClient(base_url=web.url, trust_env=False) as http:
            await follow(http, f"/backburner/jobs/{job}/events", lambda kind, data: seen.append(kind))
        assert seen == ["snapshot"]


async def test_a_server_that_is_gone_is_given_up_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("backburner_apps.novel.following.asyncio.sleep", pause)

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    async with httpx.AsyncClient(base_url="http://x", transport=httpx.MockTransport(refuse)) as http:
        with pytest.raises(httpx.ConnectError):
            await follow(http, "/events", lambda kind, data: None)
    assert len(pauses) == 7
    assert pauses == sorted(pauses)
