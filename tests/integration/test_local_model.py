"""The real local model: its file, its process, its text."""

from __future__ import annotations

import hashlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from backburner.domain.errors import ConfigurationError
from backburner.llm import local, model_file
from backburner.llm.client import ClientPool, Llm, ModelSettings
from backburner.llm.local import TERMS, LocalModel
from backburner.ports import Usage

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="this platform has no fork and no kill -9")

HOLDER = """
import os, sys
from backburner.llm.local import LocalModel
model = LocalModel()
model.start()
print(model.pid, flush=True)
if "fork" in sys.argv:
    if os.fork() == 0:
        print(os.getpid(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def installed() -> None:
    if reason := LocalModel.available():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="module")
def running(installed: None) -> Iterator[ModelSettings]:
    with LocalModel() as settings:
        # Fixed dice: what a test sees of so small a model should not depend on luck.
        yield replace(settings, extra_body={**settings.extra_body, "seed": 7})


class Listener:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.usage: Usage | None = None

    async def keep(self, name: str, request: Any, make: Callable[[], Awaitable[tuple[Any, Usage | None]]]) -> Any:
        value, self.usage = await make()
        return value

    async def text(self, delta: str, *, channel: str = "main") -> None:
        self.pieces.append(delta)


async def ask(settings: ModelSettings, prompt: str, **more: Any) -> tuple[str, Listener]:
    pool, listener = ClientPool(), Listener()
    try:
        return await Llm(listener, settings, pool).text(prompt, **more), listener
    finally:
        await pool.aclose()


@pytest.mark.parametrize("prompt", ["Once upon a time, in a village,", "第一章 雨夜\n\n陆明远推开门，"])
async def test_it_goes_on_with_a_text_token_by_token(running: ModelSettings, prompt: str) -> None:
    text, listener = await ask(running, prompt, max_tokens=60)

    assert text.strip()
    assert "".join(listener.pieces) == text
    assert len(listener.pieces) > 3
    assert listener.usage is not None
    assert 0 < listener.usage.output_tokens <= 60


async def test_it_does_not_say_one_thing_for_ever(running: ModelSettings) -> None:
    text, _ = await ask(running, "Once upon a time, in a village,", max_tokens=150)

    words = text.split()
    phrases = [" ".join(words[start : start + 6]) for start in range(max(len(words) - 5, 1))]
    assert max(phrases.count(phrase) for phrase in phrases) <= 3


async def test_a_prompt_beyond_its_context_is_read_from_its_end(running: ModelSettings) -> None:
    text, listener = await ask(running, "陆" * 20_000 + "推开门，", max_tokens=10)

    assert text
    assert listener.usage is not None
    assert listener.usage.input_tokens < 2048


def test_it_is_labelled_and_its_terms_are_named(running: ModelSettings) -> None:
    assert (running.kind, running.method, running.model) == ("completion", "local-model", "gemma-3-270m")
    assert "ai.google.dev/gemma/terms" in TERMS


def test_nobody_else_on_this_machine_may_use_it(running: ModelSettings) -> None:
    response = httpx.post(f"{running.base_url}/completions", json={"prompt": "x"}, trust_env=False)

    assert running.url.startswith("http://127.0.0.1:")
    assert response.status_code == 401
    assert response.headers.get("access-control-allow-origin", "") == ""


def test_starting_twice_is_starting_once_and_stopping_ends_the_process(installed: None) -> None:
    model = LocalModel()
    first = model.start()
    pid = model.pid

    assert model.start() == first
    assert pid is not None

    model.stop()
    model.stop()
    assert model.pid is None
    assert not psutil.pid_exists(pid)


async def test_it_starts_again_after_a_crash(installed: None) -> None:
    model = LocalModel()
    async with model as first:
        assert model.pid is not None
        crashed = psutil.Process(model.pid)
        crashed.kill()
        crashed.wait(30)
        second = model.start()

        assert second.base_url != first.base_url or second.api_key != first.api_key
        assert (await ask(second, "Once", max_tokens=3))[1].usage is not None


def test_a_child_that_dies_at_the_start_is_an_error_with_its_last_word(
    installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"this is no model")
    monkeypatch.setattr(local, "ensure_model_file", lambda folder: broken)
    model = LocalModel()

    with pytest.raises(ConfigurationError, match="did not start"):
        model.start()

    assert model.pid is None


@POSIX
@pytest.mark.parametrize("forked", [False, True], ids=["alone", "with a fork that holds the pipe"])
def test_it_ends_with_its_parent_even_if_that_is_killed(installed: None, forked: bool) -> None:
    arguments = [sys.executable, "-c", HOLDER, *(["fork"] if forked else [])]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        fork = int(parent.stdout.readline()) if forked else None
        gone = _watch(server)

        parent.kill()
        parent.wait()

        try:
            assert gone(), "the local model's process outlived its parent"
        finally:
            if fork is not None:
                os.kill(fork, signal.SIGKILL)


def _watch(pid: int) -> Callable[[], bool]:
    """Something to call that waits until the process has ended, and says whether it has."""
    if not hasattr(os, "pidfd_open"):
        return lambda: psutil.Process(pid).wait(30) is None
    # A descriptor is told of the end even where no init reaps the orphan, and no other process takes its id.
    handle = os.pidfd_open(pid)

    def gone() -> bool:
        try:
            return bool(select.select([handle], [], [], 30)[0])
        finally:
            os.close(handle)

    return gone


# The file, in miniature: what is checked does not depend on its size.


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    files = [tmp_path / "part0", tmp_path / "part1"]
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]) * 3_000_000)
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    monkeypatch.setattr(model_file, "SHA256", digest)
    monkeypatch.setattr(model_file, "_parts", lambda: files)
    return files


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_the_file_is_assembled_checked_and_marked(parts: list[Path], tmp_path: Path) -> None:
    path = model_file.ensure_model_file(tmp_path / "cache")

    assert path.read_bytes() == b"".join(part.read_bytes() for part in parts)
    assert names(path.parent) == [model_file.NAME, f"{model_file.NAME}.sha256"]


def test_a_checked_file_is_not_read_again(parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = model_file.ensure_model_file(tmp_path / "cache")
    monkeypatch.setattr(model_file, "_digest", lambda path: pytest.fail("it was read again"))

    assert model_file.ensure_model_file(tmp_path / "cache") == path


def test_a_damaged_file_is_made_anew(parts: list[Path], tmp_path: Path) -> None:
    path = model_file.ensure_model_file(tmp_path / "cache")
    path.write_bytes(b"half of it")

    again = model_file.ensure_model_file(tmp_path / "cache")

    assert again.stat().st_size == 6_000_000


def test_a_good_file_without_its_marker_is_checked_and_kept(parts: list[Path], tmp_path: Path) -> None:
    path = model_file.ensure_model_file(tmp_path / "cache")
    before = path.stat().st_ino
    path.with_name(f"{path.name}.sha256").unlink()

    assert model_file.ensure_model_file(tmp_path / "cache").stat().st_ino == before


def test_bytes_other_than_the_pinned_ones_are_refused_and_leave_nothing(parts: list[Path], tmp_path: Path) -> None:
    parts[1].write_bytes(b"something else")

    with pytest.raises(ConfigurationError, match="force-reinstall"):
        model_file.ensure_model_file(tmp_path / "cache")

    assert names(tmp_path / "cache") == []


def test_many_starters_at_once_end_with_one_good_file(parts: list[Path], tmp_path: Path) -> None:
    found: list[Path] = []
    starters = [
        threading.Thread(target=lambda: found.append(model_file.ensure_model_file(tmp_path / "cache")))
        for _ in range(6)
    ]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()

    assert len(found) == 6
    assert names(tmp_path / "cache") == [model_file.NAME, f"{model_file.NAME}.sha256"]


def test_leavings_of_a_killed_starter_are_removed_when_they_are_old(parts: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    old, fresh = folder / f"{model_file.NAME}.a.part", folder / f"{model_file.NAME}.b.part"
    old.touch()
    os.utime(old, (0, 0))
    fresh.touch()

    model_file.ensure_model_file(folder)

    assert not old.exists()
    assert fresh.exists()


def test_a_folder_that_cannot_be_written_is_an_error_that_says_what_to_set(parts: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, where a folder should be")

    with pytest.raises(ConfigurationError, match="XDG_CACHE_HOME"):
        model_file.ensure_model_file(tmp_path / "cache")


def test_the_cache_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert model_file.cache_folder() == tmp_path / "backburner" / "models"

    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert model_file.cache_folder() == Path.home() / ".cache" / "backburner" / "models"


@pytest.mark.parametrize(
    ("machine", "sentence"), [("x86_64", r"pip install 'backburner\[local-llm\]'"), ("riscv64", "riscv64")]
)
def test_why_it_is_not_available_is_said_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, machine: str, sentence: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("sys.platform", "linux")

    reason = LocalModel.available()

    assert reason is not None
    with pytest.raises(ConfigurationError, match=sentence):
        LocalModel().start()
