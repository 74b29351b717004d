"""The novel studio under a real server with its worker, and a model that answers as a novelist would."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backburner import Backburner, JobRecord, Status
from backburner.llm.settings import ModelSettings
from backburner.settings import load_settings
from backburner.testing.model import Call, FakeModel
from backburner_apps.novel import application

from .http_support import PATIENCE, Web

CHINESE, ENGLISH = 1, 2
"""The samples' ids."""

CHAPTER = "潮水退到了鹭洲脚下。陆明远把铜钥匙交给顾南乔。\n\n“门还开着。”顾南乔说。"
SUMMARY = "退潮的门\n陆明远把铜钥匙交给顾南乔，门还开着。"
ANSWERS: dict[str, dict[str, Any]] = {
    "character_states": {
        "characters": [
            {
                "name": "陆明远",
                "aliases": ["明远"],
                "state": "把钥匙交了出去，如释重负",
                "last_action": "陆明远把铜钥匙交给顾南乔。",
                "with_whom": ["顾南乔"],
                "where": "鹭洲",
            }
        ]
    },
    "new_characters": {
        "characters": [{"name": "纪无归", "aliases": [], "role": "摆渡人", "first_seen": "纪无归撑船来了。"}]
    },
    "world": {
        "entries": [
            {"kind": "rule", "name": "钥匙归水", "detail": "门开之后钥匙要还给江水", "evidence": "钥匙就该回到水里去。"}
        ]
    },
    "foreshadowing": {
        "threads": [{"object": "铜钥匙", "status": "paid_off", "evidence": "陆明远把铜钥匙交给顾南乔。"}]
    },
}
SCHEMAS = {
    "CharactersNow": "character_states",
    "NewCharacters": "new_characters",
    "World": "world",
    "Threads": "foreshadowing",
}


class Novelist:
    """Answers each kind of question; remembers the questions; can be told to refuse, or to think for long."""

    def __init__(self, model: FakeModel) -> None:
        self.model = model
        self.chapter = CHAPTER
        self.answers = dict(ANSWERS)
        self._gates: dict[str, threading.Event] = {}
        self._refused: set[str] = set()
        self._asked: dict[str, list[Call]] = defaultdict(list)
        self._changed = threading.Condition()
        model.reply(self.answer)

    def asked(self, kind: str) -> list[str]:
        """The prompts of one kind so far, in the order in which they came."""
        return [call.prompt for call in self._asked[kind]]

    def hold(self, kind: str) -> None:
        """Think about such questions until `release`."""
        self._gates[kind] = threading.Event()

    def release(self) -> None:
        for gate in self._gates.values():
            gate.set()

    def wait_asked(self, kind: str, times: int = 1) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._asked[kind]) >= times, PATIENCE), f"{kind} was not asked"

    def answer(self, call: Call) -> str | dict[str, Any]:
        kind = kind_of(call)
        with self._changed:
            self._asked[kind].append(call)
            self._changed.notify_all()
        if kind in self._gates:
            assert self._gates[kind].wait(PATIENCE)
        return {"chapter": self.chapter, "summary": SUMMARY}.get(kind) or self.answers[kind]


def kind_of(call: Call) -> str:
    if call.response_format:
        return SCHEMAS[call.response_format["json_schema"]["name"]]
    system = str(call.body["messages"][0]["content"]) if "messages" in call.body else ""
    return "summary" if "编辑" in system or "editor" in system else "chapter"


def chat(model: FakeModel) -> ModelSettings:
    return ModelSettings(model.base_url, "a-key", "fake-model")


def base(model: FakeModel) -> ModelSettings:
    """As the tiny local model presents itself."""
    return ModelSettings(model.base_url, "a-key", "tiny", kind="completion", method="local-model", prompt_limit=1500)


@contextlib.contextmanager
def open_studio(folder: Path, model: ModelSettings | None, url: str | None = None) -> Iterator[Web]:
    """On a file in ``folder``, or the database at ``url``."""
    settings = load_settings(database_url=url or f"sqlite:///{folder}/novel.db")
    settings = settings.model_copy(update={"openai_base_url": None, "openai_api_key": None})
    bb = Backburner(settings=settings)
    if model is not None:
        bb.use_model(model)
    with Web(bb, prepare=lambda app: application.install(bb, app)) as web:
        yield web


def write(web: Web, novel: int = CHINESE, **asked: Any) -> str:
    """Ask for a chapter; answers the job."""
    response = web.http.post(f"/api/novels/{novel}/chapters", json=asked)
    assert response.status_code == 202, response.text
    job: str = response.json()["job"]["id"]
    return job


def analyse(web: Web, number: int, novel: int = CHINESE) -> str:
    response = web.http.post(f"/api/novels/{novel}/chapters/{number}/analyse")
    assert response.status_code == 202, response.text
    job: str = response.json()["job"]["id"]
    return job


def ended(web: Web, job: str, status: Status = Status.COMPLETED) -> JobRecord:
    record = web.bb.handle(job).wait_sync(PATIENCE)
    assert record.status is status, record.error
    return record


def get(web: Web, path: str) -> Any:
    response = web.http.get(path)
    assert response.status_code == 200, response.text
    return response.json()


def result_of(web: Web, job: str) -> Any:
    return get(web, f"/backburner/jobs/{job}/result")


def retry(web: Web, job: str) -> None:
    response = web.http.post(f"/backburner/jobs/{job}/retry")
    assert response.is_success, response.text
