"""The routes under /api/novels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from backburner import Status
from backburner.testing.model import FakeModel
from backburner_apps.novel import application

from .novel_support import CHINESE, ENGLISH, Novelist, base, chat, ended, get, open_studio, retry, write


def problem(response: httpx.Response, status: int) -> Any:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    content = response.json()
    assert content["status"] == status
    return content


def test_the_samples_are_there_from_the_start(tmp_path: Path) -> None:
    with open_studio(tmp_path, None) as web:
        chinese, english = get(web, "/api/novels")
        assert (chinese["id"], chinese["title"], chinese["language"]) == (CHINESE, "退潮之后", "zh-CN")
        assert (english["id"], english["title"], english["chapters"]) == (ENGLISH, "The Held Wind", 3)
        assert english["created_at"].endswith("Z")
        novel = get(web, f"/api/novels/{ENGLISH}")
        assert [chapter["number"] for chapter in novel["chapters"]] == [1, 2, 3]
        text = get(web, f"/api/novels/{ENGLISH}/chapters/1")["text"]
        assert novel["chapters"][0]["characters"] == len(text)
        assert (novel["chapters"][0]["analysis"], novel["running"]) == (None, [])


def test_a_new_novel_is_kept_and_starts_without_chapters(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        novelist = Novelist(model)
        asked = {"title": " 雪线 ", "author": "某人", "language": "zh-CN", "premise": "山上的雪不化。"}
        response = web.http.post("/api/novels", json=asked)
        assert response.status_code == 201
        novel = response.json()
        assert novel == {**asked, "title": "雪线", "id": 3, "chapters": 0, "created_at": novel["created_at"]}
        assert get(web, response.headers["location"])["title"] == "雪线"
        ended(web, write(web, 3, mode="basic"))
        assert get(web, "/api/novels/3/chapters/1")["number"] == 1
        assert "山上的雪不化。" in novelist.asked("chapter")[0]


def test_a_chapter_is_asked_for_and_followed_by_the_addresses_in_the_answer(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        novelist = Novelist(model)
        novelist.hold("chapter")
        response = web.http.post(f"/api/novels/{CHINESE}/chapters")
        assert response.status_code == 202
        job = response.json()["job"]
        assert response.json() == {"job": job, "novel_id": CHINESE}
        here = f"/backburner/jobs/{job['id']}"
        assert job["urls"] == {
            "self": here,
            "events": f"{here}/events",
            "cancel": f"{here}/cancel",
            "retry": f"{here}/retry",
        }
        assert response.headers["location"] == here
        assert get(web, here)["args"]["mode"] == "enhanced"
        novelist.wait_asked("chapter")
        assert get(web, f"/api/novels/{CHINESE}")["running"] == [job["id"]]
        novelist.release()
        ended(web, job["id"])
        assert get(web, f"/api/novels/{CHINESE}")["running"] == []


def test_a_chapter_that_failed_is_no_longer_running_until_it_is_retried(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        novelist = Novelist(model)
        model.fail(401)
        job = write(web)
        ended(web, job, Status.FAILED)
        assert get(web, f"/api/novels/{CHINESE}")["running"] == []
        novelist.hold("chapter")
        retry(web, job)
        novelist.wait_asked("chapter")
        assert get(web, f"/api/novels/{CHINESE}")["running"] == [job]
        novelist.release()
        ended(web, job)


def test_nothing_is_known_before_anything_was_analysed(tmp_path: Path) -> None:
    with open_studio(tmp_path, None) as web:
        assert get(web, f"/api/novels/{CHINESE}/state") == {"characters": [], "world": [], "foreshadowing": []}
        chapter = get(web, f"/api/novels/{CHINESE}/chapters/2")
        assert get(web, f"/api/novels/{CHINESE}/chapters/2/analysis") == {
            "chapter_id": chapter["id"],
            "job_id": None,
            "parts": {"character_states": None, "new_characters": None, "world": None, "foreshadowing": None},
        }


def test_it_says_which_model_writes(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        assert get(web, "/api/novels/model") == {"model": "fake-model", "method": "model", "notice": None}
        web.bb.use_model(base(model))
        local = get(web, "/api/novels/model")
        assert (local["model"], local["method"]) == ("tiny", "local-model")
        assert "nonsense" in local["notice"]["en"]
        assert "没有意义" in local["notice"]["zh-CN"]


def test_without_a_model_it_says_so(tmp_path: Path) -> None:
    with open_studio(tmp_path, None) as web:
        said = get(web, "/api/novels/model")
        assert (said["model"], said["method"]) == (None, "none")
        assert "OPENAI_API_KEY" in said["notice"]["en"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/novels", {"title": "  ", "language": "en"}, "title"),
        ("/api/novels", {"title": "x" * 201, "language": "en"}, "title"),
        ("/api/novels", {"title": "x", "language": "fr"}, "language"),
        ("/api/novels", {"title": "x"}, "language"),
        ("/api/novels", {"title": "x", "language": "en", "colour": "red"}, "colour"),
        ("/api/novels/1/chapters", {"mode": "best"}, "mode"),
        ("/api/novels/1/chapters", {"instructions": 7}, "instructions"),
        ("/api/novels/first/chapters", {}, "novel_id"),
        (f"/api/novels/{2**64}/chapters", {}, "novel_id"),
        ("/api/novels/1/chapters/0/analyse", {}, "number"),
    ],
)
def test_bad_input_is_refused_and_the_field_named(tmp_path: Path, path: str, body: Any, field: str) -> None:
    with open_studio(tmp_path, None) as web:
        assert field in problem(web.http.post(path, json=body), 422)["errors"]


def test_half_a_character_is_refused(tmp_path: Path) -> None:
    with open_studio(tmp_path, None) as web:
        body = b'{"title": "\\ud800", "language": "en"}'
        response = web.http.post("/api/novels", content=body, headers={"content-type": "application/json"})
        assert response.status_code in (400, 422)


@pytest.mark.parametrize(
    ("method", "path", "sentence"),
    [
        ("GET", "/api/novels/99", "There is no novel 99."),
        ("GET", "/api/novels/99/state", "There is no novel 99."),
        ("POST", "/api/novels/99/chapters", "There is no novel 99."),
        ("GET", "/api/novels/2/chapters/9", '"The Held Wind" has no chapter 9.'),
        ("GET", "/api/novels/2/chapters/9/analysis", '"The Held Wind" has no chapter 9.'),
        ("POST", "/api/novels/2/chapters/9/analyse", '"The Held Wind" has no chapter 9.'),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(tmp_path: Path, method: str, path: str, sentence: str) -> None:
    with open_studio(tmp_path, None) as web:
        assert problem(web.http.request(method, path), 404)["detail"] == sentence
        assert get(web, "/backburner/jobs")["jobs"] == []


def test_the_pages_and_their_modules_are_served(tmp_path: Path) -> None:
    with open_studio(tmp_path, None) as web:
        page = web.http.get(application.home)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        module = web.http.get(f"{application.home}studio.js")
        assert module.headers["content-type"] == "text/javascript; charset=utf-8"
        assert web.http.get(f"{application.home}nothing.js").status_code == 404


def test_every_route_is_described(tmp_path: Path) -> None:
    with open_studio(tmp_path, None) as web:
        paths = get(web, "/openapi.json")["paths"]
        assert {
            "/api/novels",
            "/api/novels/model",
            "/api/novels/{novel_id}",
            "/api/novels/{novel_id}/state",
            "/api/novels/{novel_id}/chapters",
            "/api/novels/{novel_id}/chapters/{number}",
            "/api/novels/{novel_id}/chapters/{number}/analyse",
            "/api/novels/{novel_id}/chapters/{number}/analysis",
        } == {path for path in paths if path.startswith("/api/novels")}
