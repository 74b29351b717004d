"""The novel studio's worker is killed between any two of its commits, and no chapter is written twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from backburner.testing.model import Call, FakeModel
from backburner.testing.model_answers import default_answer

from .support import Process, free_port, freeze_between_transactions, start_web, start_worker, until

STUDIO = "backburner.demo:make_backburner"
APP = "backburner.demo:make_app"
CHAPTER = ["The lamp ", "went out. ", "Mara Voss ", "waited."]


def answers(call: Call) -> Any:
    """Prose for the chapter, the smallest object that fits where a schema is asked for."""
    return default_answer(call.prompt, call.response_format) if call.response_format else CHAPTER


@dataclass
class Studio:
    http: httpx.Client
    env: dict[str, str]
    model: FakeModel
    survivor: Process
    database: Path

    def get(self, path: str) -> Any:
        response = self.http.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        response = self.http.post(path, json=body)
        assert response.is_success, response.text
        return response.json()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One web process and one worker that outlives the others; it sleeps while another one is killed."""
    with FakeModel() as model:
        model.reply(answers)
        database = tmp_path_factory.mktemp("studio") / "jobs.db"
        env = {**model.environment, "BACKBURNER_DATABASE_URL": f"sqlite:///{database}"}
        port = free_port()
        with (
            start_web(env, port, APP),
            start_worker(env, STUDIO) as survivor,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as http,
        ):
            yield Studio(http, env, model, survivor, database)


@pytest.mark.parametrize("commits", range(1, 30))
def test_a_kill_after_any_commit_writes_no_chapter_and_no_analysis_twice(commits: int, studio: Studio) -> None:
    title = f"The Lamp, {commits}"
    calls_before = len(studio.model.calls)
    freeze_between_transactions(studio.survivor, studio.database)
    try:
        novel = studio.post("/api/novels", {"title": title, "language": "en"})["id"]
        job = studio.post(f"/api/novels/{novel}/chapters", {"mode": "enhanced"})["job"]["id"]
        with Process(str(commits), STUDIO, env=studio.env, module="tests.acceptance.dying_worker") as dying:
            until(lambda: dying.ended or analysed(studio, novel), "the worker has died, or had nothing left to die of")
    finally:
        studio.survivor.thaw()
    until(lambda: analysed(studio, novel), "chapter and analysis are done")
    chapters = studio.get(f"/api/novels/{novel}")["chapters"]
    assert [chapter["number"] for chapter in chapters] == [1]
    assert chapters[0]["job_id"] == job
    assert chapters[0]["analysis"]["status"] == "completed"
    assert all(studio.get(f"/api/novels/{novel}/chapters/1/analysis")["parts"].values()), "every part has landed"
    mine = {job, chapters[0]["analysis"]["job_id"]}
    inbox = [note for note in studio.get("/backburner/inbox?limit=200")["notifications"] if note["job"] in mine]
    assert len(inbox) == 2, "one notification for the chapter, one for its analysis"
    prompts = [str(call.body) for call in studio.model.calls[calls_before:]]
    assert len(prompts) - len(set(prompts)) <= 1, "only the call that was cut off is made again"


def analysed(studio: Studio, novel: int) -> bool:
    """Whether the novel's only chapter and its analysis have come to their end."""
    chapters = studio.get(f"/api/novels/{novel}")["chapters"]
    return bool(chapters) and (chapters[0]["analysis"] or {}).get("status") == "completed"
