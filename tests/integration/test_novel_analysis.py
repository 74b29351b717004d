"""The enhanced analysis: four parts, each in the novel's tables as soon as it is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backburner import Status
from backburner.testing.model import Call, FakeModel

from .http_support import Web
from .novel_support import (
    ANSWERS,
    CHINESE,
    ENGLISH,
    Novelist,
    analyse,
    base,
    chat,
    ended,
    get,
    kind_of,
    open_studio,
    retry,
)

PARTS = ("character_states", "new_characters", "world", "foreshadowing")


def analysis_of(web: Web, number: int = 3, novel: int = CHINESE) -> Any:
    return get(web, f"/api/novels/{novel}/chapters/{number}/analysis")


def state_of(web: Web, novel: int = CHINESE) -> Any:
    return get(web, f"/api/novels/{novel}/state")


def named(entries: list[dict[str, Any]], key: str = "name") -> dict[str, dict[str, Any]]:
    return {entry[key]: entry for entry in entries}


def test_each_part_lands_in_the_novels_tables(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        Novelist(model)
        ended(web, analyse(web, 3))
        state = state_of(web)
        people = named(state["characters"])
        assert people["陆明远"]["state"] == "把钥匙交了出去，如释重负"
        assert (people["陆明远"]["first_chapter"], people["陆明远"]["last_chapter"]) == (1, 3)
        assert (people["纪无归"]["first_chapter"], people["纪无归"]["state"]) == (3, "")
        assert state["world"] == [
            {"kind": "rule", "name": "钥匙归水", "detail": "门开之后钥匙要还给江水", "first_chapter": 3}
        ]
        (thread,) = state["foreshadowing"]
        assert (thread["object"], thread["status"], thread["first_chapter"]) == ("铜钥匙", "paid_off", 1)


def test_the_answer_tells_what_was_found_and_by_what(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        Novelist(model)
        job = analyse(web, 3)
        ended(web, job)
        analysis = analysis_of(web)
        assert analysis["job_id"] == job
        assert set(analysis["parts"]) == set(PARTS)
        for part in PARTS:
            assert (analysis["parts"][part]["method"], analysis["parts"][part]["model"]) == ("model", "fake-model")
            assert analysis["parts"][part]["finished_at"].endswith("Z")
        (person,) = analysis["parts"]["character_states"]["items"]
        assert {**ANSWERS["character_states"]["characters"][0], "mentions": 17, "first_chapter": 1} == person


def test_progress_is_told_in_the_novels_language(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        Novelist(model)
        job = analyse(web, 2, ENGLISH)
        ended(web, job)
        told = [each["data"] for each in web.log_of(job) if each["event"] == "job.progress"]
        assert [(each["percent"], each["message"]) for each in told] == [
            (0, "Summarising the chapter"),
            (0, "Following the characters"),
            (25, "Looking for new characters"),
            (50, "Extending the world"),
            (75, "Recording the foreshadowing"),
            (100, "The analysis is done"),
        ]


def test_parts_are_there_to_be_read_while_others_are_still_being_made(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        novelist = Novelist(model)
        novelist.hold("world")
        job = analyse(web, 3)
        novelist.wait_asked("world")
        parts = analysis_of(web)["parts"]
        assert [part for part in PARTS if parts[part] is not None] == ["character_states", "new_characters"]
        chapter = get(web, f"/api/novels/{CHINESE}")["chapters"][2]
        assert chapter["analysis"] == {"job_id": job, "status": "running"}
        novelist.release()
        ended(web, job)
        assert all(analysis_of(web)["parts"].values())


def test_a_retry_asks_only_for_the_parts_that_are_missing(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        novelist = Novelist(model)

        def then_refuse(call: Call) -> Any:
            if kind_of(call) == "new_characters":
                model.fail(400)
            return novelist.answer(call)

        model.reply(then_refuse)
        job = analyse(web, 3)
        ended(web, job, Status.FAILED)
        (notice,) = get(web, "/backburner/inbox")["notifications"]
        assert notice["title"] == "第 3 章增强分析失败"
        assert "400" in notice["message"]

        model.reply(novelist.answer)
        retry(web, job)
        ended(web, job)
        assert [len(novelist.asked(part)) for part in PARTS] == [1, 1, 1, 1]
        assert len(named(state_of(web)["characters"])) == 2


def test_analysing_again_finds_the_same_and_doubles_nothing(tmp_path: Path) -> None:
    with open_studio(tmp_path, None) as web:
        ended(web, analyse(web, 3))
        first, state = analysis_of(web), state_of(web)
        ended(web, analyse(web, 3))
        again = analysis_of(web)
        assert first["job_id"] != again["job_id"]
        for part in PARTS:
            assert first["parts"][part]["items"] == again["parts"][part]["items"]
        assert state == state_of(web)


def test_extraction_takes_the_place_of_a_model_that_cannot_be_asked(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, base(model)) as web:
        ended(web, analyse(web, 3))
        assert model.calls == []
        parts = analysis_of(web)["parts"]
        for part in PARTS:
            assert (parts[part]["method"], parts[part]["model"]) == ("extraction", None)
        assert {"陆明远", "陈立", "韩征"} <= set(named(parts["character_states"]["items"]))
        assert {"韩征", "顾南乔"} == set(named(parts["new_characters"]["items"])), "the others were met before"
        assert named(parts["foreshadowing"]["items"], "object")["铜钥匙"]["first_chapter"] == 1
        people = named(state_of(web)["characters"])
        assert (people["陆明远"]["first_chapter"], people["韩征"]["first_chapter"]) == (1, 3)


def test_a_sample_gets_its_summary_with_its_analysis(tmp_path: Path) -> None:
    with open_studio(tmp_path, None) as web:
        assert get(web, f"/api/novels/{CHINESE}/chapters/3")["summary"] == ""
        ended(web, analyse(web, 3))
        chapter = get(web, f"/api/novels/{CHINESE}/chapters/3")
        assert chapter["summary"]
        assert chapter["summary_method"] == "extraction"


def test_chapters_may_be_analysed_in_any_order(tmp_path: Path) -> None:
    with open_studio(tmp_path, None) as web:
        for number in (3, 1, 2):
            ended(web, analyse(web, number))
        state = state_of(web)
        key = named(state["foreshadowing"], "object")["铜钥匙"]
        assert (key["first_chapter"], key["last_chapter"], key["status"]) == (1, 3, "recurring")
        assert named(state["characters"])["陆明远"]["state"] == "陆明远走到水边，站了很久。"


def test_asking_twice_while_an_analysis_is_under_way_starts_no_second(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        novelist = Novelist(model)
        novelist.hold("character_states")
        job = analyse(web, 3)
        novelist.wait_asked("character_states")
        assert job == analyse(web, 3)
        novelist.release()
        ended(web, job)
        assert job != analyse(web, 3)


def test_known_characters_and_threads_are_in_the_questions(tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model)) as web:
        novelist = Novelist(model)
        novelist.answers["foreshadowing"] = {
            "threads": [{"object": "铜钥匙", "status": "planted", "evidence": "一把铜钥匙。"}]
        }
        ended(web, analyse(web, 1))
        ended(web, analyse(web, 2))
        first, second = novelist.asked("new_characters")
        assert "（还没有）" in first
        assert "- 陆明远（又称明远）：把钥匙交了出去，如释重负" in second
        assert "铜钥匙（始于第 1 章，最近见于第 1 章）：一把铜钥匙。" in novelist.asked("foreshadowing")[1]
