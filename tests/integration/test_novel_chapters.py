"""Writing chapters: what streams, what is committed, what a failure leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backburner import Backburner, Fail, Status
from backburner.testing.model import Call, FakeModel

from .http_support import Web, rebuild
from .novel_support import (
    CHAPTER,
    CHINESE,
    ENGLISH,
    Novelist,
    base,
    chat,
    ended,
    get,
    kind_of,
    open_studio,
    result_of,
    retry,
    write,
)


def test_basic_mode_streams_the_chapter_and_commits_it_with_its_summary(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        Novelist(model)
        job = write(web, mode="basic", instructions="让潮水退得更远")
        with web.follow(f"/jobs/{job}/events") as stream:
            streamed = rebuild({}, stream.rest())
        assert streamed == {"main": CHAPTER}
        chapter = get(web, f"/api/novels/{CHINESE}/chapters/4")
        assert chapter["text"] == CHAPTER
        assert (chapter["title"], chapter["summary"]) == ("退潮的门", "陆明远把铜钥匙交给顾南乔，门还开着。")
        assert (chapter["method"], chapter["model"], chapter["summary_method"]) == ("model", "fake-model", "model")
        assert (chapter["mode"], chapter["job_id"], chapter["analysis_job_id"]) == ("basic", job, None)
        assert chapter["generation_config"]["instructions"] == "让潮水退得更远"
        assert result_of(web, job)["chapter_id"] == chapter["id"]


def test_a_title_that_the_writer_gave_is_kept(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        novelist = Novelist(model)
        ended(web, write(web, mode="basic", title="回水"))
        assert get(web, f"/api/novels/{CHINESE}/chapters/4")["title"] == "回水"
        assert "新一章的标题：回水" in novelist.asked("chapter")[0]


def test_enhanced_mode_has_the_chapter_analysed_afterwards(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        Novelist(model)
        job = write(web)
        ended(web, job)
        chapter = get(web, f"/api/novels/{CHINESE}/chapters/4")
        assert chapter["mode"] == "enhanced"
        record = ended(web, chapter["analysis_job_id"])
        assert (record.task, record.owner) == ("novel.analyse", "local")


def test_the_prompt_tells_the_story_so_far(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        novelist = Novelist(model)
        ended(web, write(web, ENGLISH, mode="basic", instructions="Let it rain."))
        (prompt,) = novelist.asked("chapter")
        sample = get(web, f"/api/novels/{ENGLISH}")
        assert sample["premise"] in prompt
        assert "Let it rain." in prompt
        assert "- Chapter 1, Number Nine: " in prompt
        last = get(web, f"/api/novels/{ENGLISH}/chapters/3")["text"]
        assert last[-500:] in prompt
        assert "Open threads" not in prompt, "nothing is known of any yet"


def test_what_an_analysis_has_found_is_in_the_next_chapters_prompt(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        novelist = Novelist(model)
        novelist.answers["foreshadowing"] = {
            "threads": [{"object": "鹭鸟徽章", "status": "planted", "evidence": "徽章一闪。"}]
        }
        ended(web, write(web))
        ended(web, get(web, f"/api/novels/{CHINESE}/chapters/4")["analysis_job_id"])
        ended(web, write(web, mode="basic"))
        prompt = novelist.asked("chapter")[1]
        for landed in ("把钥匙交了出去，如释重负", "纪无归", "[规则] 钥匙归水：门开之后钥匙要还给江水", "徽章一闪。"):
            assert landed in prompt
        assert "第 4 章「退潮的门」：陆明远把铜钥匙交给顾南乔，门还开着。" in prompt


def test_the_next_chapter_waits_for_no_analysis_and_uses_what_has_landed(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        novelist = Novelist(model)
        novelist.hold("world")
        ended(web, write(web))
        novelist.wait_asked("world")
        ended(web, write(web, mode="basic"))
        prompt = novelist.asked("chapter")[1]
        assert "纪无归" in prompt, "the new characters had landed"
        assert "钥匙归水" not in prompt, "the world had not"
        novelist.release()
        ended(web, get(web, f"/api/novels/{CHINESE}/chapters/4")["analysis_job_id"])
        ended(web, write(web, mode="basic"))
        assert "钥匙归水" in novelist.asked("chapter")[2]


def test_two_chapters_asked_for_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        novelist = Novelist(model)
        novelist.hold("chapter")
        jobs = [write(web, mode="basic") for _ in range(3)]
        novelist.wait_asked("chapter", 3)
        novelist.release()
        for job in jobs:
            ended(web, job)
        assert sorted(result_of(web, job)["number"] for job in jobs) == [4, 5, 6]


def test_a_failed_transaction_leaves_neither_chapter_nor_analysis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = Backburner.submit_in

    def refuse(self: Backburner, session: Any, task: Any, *args: Any, **kwargs: Any) -> Any:
        job = submit(self, session, task, *args, **kwargs)
        if job.record.task == "novel.analyse":
            raise Fail("no more paper")
        return job

    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        Novelist(model)
        monkeypatch.setattr(Backburner, "submit_in", refuse)
        job = write(web)
        record = ended(web, job, Status.FAILED)
        assert record.error is not None
        assert record.error.detail == "no more paper"
        assert web.http.get(f"/api/novels/{CHINESE}/chapters/4").status_code == 404
        assert [job] == [each["id"] for each in get(web, "/backburner/jobs")["jobs"]]

        monkeypatch.setattr(Backburner, "submit_in", submit)
        retry(web, job)
        ended(web, job)
        assert get(web, f"/api/novels/{CHINESE}/chapters/4")["analysis_job_id"] is not None


def test_a_retry_pays_for_no_finished_step_again_and_writes_the_chapter_once(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        novelist = Novelist(model)

        def then_refuse(call: Call) -> Any:
            if kind_of(call) == "chapter":
                model.fail(401)
            return novelist.answer(call)

        model.reply(then_refuse)
        job = write(web, mode="basic")
        record = ended(web, job, Status.FAILED)
        assert record.error is not None
        assert record.error.type == "model_refused"
        assert len(get(web, f"/api/novels/{CHINESE}")["chapters"]) == 3

        retry(web, job)
        ended(web, job)
        assert len(novelist.asked("chapter")) == 1
        assert len(novelist.asked("summary")) == 1
        assert [each["number"] for each in get(web, f"/api/novels/{CHINESE}")["chapters"]] == [1, 2, 3, 4]


def test_a_base_model_goes_on_from_the_last_chapter_and_the_summary_is_extracted(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, base(model)) as web:
        model.reply(CHAPTER * 9)
        ended(web, write(web, mode="basic"))
        (call,) = model.calls
        last = get(web, f"/api/novels/{CHINESE}/chapters/3")["text"]
        assert call.path == "/v1/completions"
        assert call.prompt.endswith(last[-600:])
        assert 250 <= call.body["max_tokens"] <= 400
        chapter = get(web, f"/api/novels/{CHINESE}/chapters/4")
        assert (chapter["method"], chapter["model"]) == ("local-model", "tiny")
        assert chapter["summary_method"] == "extraction"
        assert chapter["summary"]
        assert all(sentence in CHAPTER for sentence in chapter["summary"].split("。") if sentence)
        assert chapter["title"] == "第 4 章"


def test_a_base_model_that_stops_early_is_asked_to_go_on(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, base(model)) as web:
        model.reply(["\n"], ["门开了。"], CHAPTER * 9)
        job = write(web, mode="basic")
        ended(web, job)
        text = get(web, f"/api/novels/{CHINESE}/chapters/4")["text"]
        assert text == "\n门开了。" + CHAPTER * 9
        assert model.calls[2].prompt.endswith("\n门开了。")
        with web.follow(f"/jobs/{job}/events") as stream:
            assert rebuild({}, stream.rest()) == {"main": text}


def test_a_model_that_says_nothing_fails_the_job(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        model.reply([" "])
        record = ended(web, write(web, mode="basic"), Status.FAILED)
        assert record.error is not None
        assert "wrote nothing" in record.error.detail


def test_without_a_model_the_job_fails_and_says_what_to_set(tmp_path: Path) -> None:
    with open_studio(tmp_path, None) as web:
        record = ended(web, write(web), Status.FAILED)
        assert record.error is not None
        assert "OPENAI_API_KEY" in record.error.detail
        (notice,) = get(web, "/backburner/inbox")["notifications"]
        assert notice["title"] == "新的一章没有写成"
        assert "OPENAI_API_KEY" in notice["message"]


def inbox_titles(web: Web) -> list[str]:
    return [each["title"] for each in get(web, "/backburner/inbox")["notifications"]]


@pytest.mark.parametrize(
    ("novel", "titles"),
    [
        (CHINESE, ["第 4 章增强分析已完成", "新的一章写好了"]),
        (ENGLISH, ["Chapter 4: enhanced analysis is done", "A new chapter is written"]),
    ],
)
def test_the_inbox_speaks_the_novels_language(tmp_path: Path, novel: int, titles: list[str]) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        Novelist(model)
        ended(web, write(web, novel))
        ended(web, get(web, f"/api/novels/{novel}/chapters/4")["analysis_job_id"])
        assert inbox_titles(web) == titles
        data = get(web, "/backburner/inbox")["notifications"][0]["data"]
        assert (data["novel_id"], data["chapter_number"]) == (novel, 4)
