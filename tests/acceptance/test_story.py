"""A story is written by a model, watched over HTTP, while processes are killed."""

from __future__ import annotations

from pathlib import Path

import httpx

from backburner import Backburner
from backburner.domain.operations import JobEvents
from backburner.testing.model import FakeModel

from .support import Process, Watcher, free_port, start_web, start_worker, until

ONE = ["陆明远", "推开门，", "雪 🌨 ", "落进来。"]
TWO = ["He waited. ", "Nobody ", "came. ", "The ", "lamp ", "went ", "out."]
WHOLE = "".join(ONE) + "\n\n" + "".join(TWO)


def script(model: FakeModel) -> None:
    """Each part is longer in pieces than the one before, so that a pause chooses the part by its number."""
    answers = {"Think of an outline.": ["ok"], "Write part one.": ONE, "Write part two.": TWO}
    model.reply(lambda call: answers[call.body["messages"][-1]["content"]])


def begin(url: str) -> str:
    response = httpx.post(f"{url}/backburner/jobs", json={"task": "story", "args": {}}, trust_env=False)
    assert response.status_code == 202, response.text
    job: str = response.json()["id"]
    return job


def result(url: str, job: str) -> object:
    return httpx.get(f"{url}/backburner/jobs/{job}/result", trust_env=False).json()


def test_a_worker_killed_in_mid_story_pays_no_finished_call_again_and_the_watcher_gets_exactly_the_text(
    bb: Backburner, env: dict[str, str], model: FakeModel
) -> None:
    env = {**env, **model.environment}
    script(model)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with start_web(env, port), start_worker(env) as first:
        model.pause(after=2)
        job = begin(url)
        watcher = Watcher(url, job)
        watcher.wait_until(lambda seen: seen.text == "".join(ONE[:2]), "half of part one arrived")
        first.kill()
        model.resume()
        with start_worker(env):
            watcher.join()
    assert watcher.text == WHOLE
    assert "attempt.reset" in watcher.kinds()
    assert watcher.kinds()[-1] == "job.completed"
    prompts = [call.body["messages"][-1]["content"] for call in model.calls]
    assert prompts.count("Think of an outline.") == 1, "the finished call was not paid again"
    assert prompts.count("Write part one.") == 2
    seqs = [event.seq for event in bb.store.read_sync(JobEvents(job))]
    assert seqs == list(range(1, len(seqs) + 1))


def test_text_between_finished_parts_is_not_doubled_when_the_worker_dies_in_the_second_part(
    bb: Backburner, env: dict[str, str], model: FakeModel
) -> None:
    env = {**env, **model.environment}
    script(model)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with start_web(env, port):
        with start_worker(env) as first:
            model.pause(after=5)
            job = begin(url)
            watcher = Watcher(url, job)
            half = "".join(ONE) + "\n\n" + "".join(TWO[:5])
            watcher.wait_until(lambda seen: seen.text == half, "half of part two arrived")
            first.kill()
        model.resume()
        with start_worker(env):
            watcher.join()
        assert result(url, job) == WHOLE
    assert watcher.text == WHOLE


def test_a_killed_web_process_costs_the_watcher_nothing(env: dict[str, str], model: FakeModel) -> None:
    env = {**env, **model.environment}
    script(model)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with start_worker(env):
        with start_web(env, port) as web:
            model.pause(after=2)
            job = begin(url)
            watcher = Watcher(url, job)
            watcher.wait_until(lambda seen: seen.text == "".join(ONE[:2]), "half of part one arrived")
            web.kill()
            model.resume()
        with start_web(env, port):
            watcher.join()
            assert result(url, job) == WHOLE
    assert watcher.text == WHOLE
    assert watcher.kinds().count("snapshot") == 1, "it resumed by its cursor"
    assert len(set(watcher.ids)) == len(watcher.ids), "nothing came twice"


def test_web_and_worker_in_one_process_do_the_same(env: dict[str, str], model: FakeModel, tmp_path: Path) -> None:
    script(model)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Process("dev", "tests.acceptance.tasks:bb", "--port", str(port), env={**env, **model.environment}) as dev:
        dev.wait_for_line("Serving on")
        until(lambda: httpx.get(f"{url}/backburner/readyz", trust_env=False).status_code == 200, "ready")
        job = begin(url)
        watcher = Watcher(url, job)
        watcher.join()
        assert dev.stop() == 0
    assert watcher.text == WHOLE
