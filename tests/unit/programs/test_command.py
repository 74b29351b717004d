from __future__ import annotations

import asyncio
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from backburner import (
    Backburner,
    CommandFailed,
    CommandResult,
    CommandTimeout,
    ConfigurationError,
    InvalidArguments,
    Run,
    SyncRun,
    command,
    process_group,
)
from backburner.domain.backoff import Backoff
from backburner.domain.job import Status
from backburner.domain.operations import Cancel
from tests.conftest import Start
from tests.support.processes import is_alive, pid_in, until_gone

SOON = Backoff(first=0.001, longest=0.001)
PATIENCE = 20.0

FAMILY = """
[ $1 = stubborn ] && trap '' TERM
sleep 600 &
echo $! > $2/leaf.new && mv $2/leaf.new $2/leaf
echo $$ > $2/root.new && mv $2/root.new $2/root
wait
"""
"""Both are there when ``root`` is."""


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_group, "TERM_GRACE", 0.05)


async def call(*arguments: Any, **options: Any) -> CommandResult:
    chosen = {"timeout": None, "input": None, "env": None, "cwd": None, "check": True, **options}
    return await command.run_command(arguments, **chosen)


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


async def test_what_a_program_says_and_how_it_ended() -> None:
    found = await call(*python("import sys; print('雪'); print('no', file=sys.stderr); sys.exit(3)"), check=False)
    assert found == CommandResult(3, "雪\n", "no\n")


async def test_a_program_reads_its_input_environment_and_folder(tmp_path: Path) -> None:
    code = "import os, sys; print(sys.stdin.read(), os.environ['NAME'], os.getcwd())"
    found = await call(*python(code), input="hello", env={"NAME": "ann"}, cwd=tmp_path)
    assert found.stdout == f"hello ann {tmp_path}\n"


async def test_without_input_a_program_finds_nothing_to_read() -> None:
    assert (await call(*python("import sys; print(repr(sys.stdin.read()))"))).stdout == "''\n"


async def test_a_program_that_does_not_read_its_input_does_no_harm() -> None:
    assert (await call(*python("print('done')"), input="x" * 1_000_000)).stdout == "done\n"


async def test_a_failing_program_raises_with_its_last_lines() -> None:
    code = "import sys\nfor n in range(20): print('line', n, file=sys.stderr)\nsys.exit(2)"
    with pytest.raises(CommandFailed, match=r"python\S* ended with exit code 2: line 15\n[^$]*line 19") as caught:
        await call(*python(code))
    assert (2, True) == (caught.value.returncode, caught.value.stderr.startswith("line 0\n"))


async def test_a_program_that_was_killed_says_by_what() -> None:
    with pytest.raises(CommandFailed, match="was killed by SIGSEGV"):
        await call(*python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        (["no-such-program"], {}, ConfigurationError, "there is no program 'no-such-program': install it"),
        (["/"], {}, ConfigurationError, "'/' cannot be started: Permission denied"),
        (["true"], {"cwd": "/no/such"}, ConfigurationError, "cwd='/no/such' cannot be entered"),
        (["true", "\0"], {}, InvalidArguments, "cannot be started: embedded null byte"),
        ([], {}, InvalidArguments, "a list of the program"),
    ],
)
async def test_what_cannot_be_started_is_refused_in_words(
    arguments: list[str], options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await call(*arguments, **options)


async def test_a_command_is_no_string() -> None:
    with pytest.raises(InvalidArguments, match="a list of the program"):
        await command.run_command("ls -l", timeout=None, input=None, env=None, cwd=None, check=True)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_program_that_says_too_much_is_killed(monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    monkeypatch.setattr(command, "MOST_OUTPUT", 1 << 20)
    code = f"import sys\nwhile True: sys.{stream}.write('x' * 10_000)"
    with pytest.raises(CommandFailed, match=r"wrote more than 1 MiB to its standard (output|error) and was killed"):
        await call(*python(code))


def family(kind: str, folder: Path) -> list[str]:
    """A program that starts another one and tells both pids; stubborn ones ignore SIGTERM."""
    return ["sh", "-c", FAMILY, "family", kind, str(folder)]


def pids_of_family(folder: Path) -> list[int]:
    return [pid_in(folder / name) for name in ("root", "leaf")]


@pytest.mark.parametrize("kind", ["mild", "stubborn"])
async def test_a_cancelled_call_ends_the_program_and_what_it_started(tmp_path: Path, kind: str) -> None:
    running = asyncio.create_task(call(*family(kind, tmp_path)))
    pids = await asyncio.to_thread(pids_of_family, tmp_path)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    for pid in pids:
        await asyncio.to_thread(until_gone, pid)


@pytest.mark.parametrize("turns", range(12))
async def test_a_call_that_is_cancelled_while_its_program_starts_ends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, turns: int
) -> None:
    """However far the event loop has come with it, and however far it has come itself."""
    pids: list[int] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> Any:
        process = popen(*arguments, **options)
        pids.extend(pids_of_family(tmp_path))
        return process

    monkeypatch.setattr(subprocess, "Popen", start)
    running = asyncio.create_task(call(*family("mild", tmp_path)))
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    try:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(running), PATIENCE)
        for pid in pids:
            await asyncio.to_thread(until_gone, pid)
    finally:
        for pid in pids[:1]:  # a failure is told at once
            process_group.send(pid, signal.SIGKILL)


@pytest.mark.parametrize("kind", ["mild", "stubborn"])
async def test_a_timeout_ends_the_program_and_what_it_started(tmp_path: Path, kind: str) -> None:
    with pytest.raises(CommandTimeout, match="sh took longer than 1 s and was killed"):
        await call(*family(kind, tmp_path), timeout=1)
    for pid in await asyncio.to_thread(pids_of_family, tmp_path):
        await asyncio.to_thread(until_gone, pid)


async def test_what_a_program_leaves_behind_is_killed() -> None:
    found = await call("sh", "-c", "trap '' TERM; sleep 600 > /dev/null 2>&1 & echo $!")
    await asyncio.to_thread(until_gone, int(found.stdout))


async def test_an_output_that_a_daemon_holds_does_not_keep_a_timeout_waiting(tmp_path: Path) -> None:
    """It has left the process group, so it lives on; the call ends nevertheless."""
    code = "import subprocess\nprint(subprocess.Popen(['sleep', '600'], start_new_session=True).pid, flush=True)"
    file = tmp_path / "pid"
    with pytest.raises(CommandTimeout):
        await call("sh", "-c", f"{shlex.join(python(code))} | tee {file}", timeout=2)
    pid = await asyncio.to_thread(pid_in, file)
    assert is_alive(pid)
    process_group.send(pid, signal.SIGKILL)
    await asyncio.to_thread(until_gone, pid)


def test_a_command_inside_a_step_is_kept(bb: Backburner, worker: Start, tmp_path: Path) -> None:
    @bb.task(backoff=SOON)
    async def job(run: Run) -> str:
        found = await run.step("count", run.command, ["sh", "-c", f"echo x >> {tmp_path}/calls; echo done"])
        if run.tries == 0:
            raise ValueError
        assert isinstance(found, CommandResult)
        return found.stdout

    @bb.task(backoff=SOON)
    def sync_job(run: SyncRun) -> str:
        found = run.step("count", run.command, ["sh", "-c", f"echo x >> {tmp_path}/calls; echo done"], timeout=20)
        if run.tries == 0:
            raise ValueError
        assert isinstance(found, CommandResult)
        return found.stdout

    worker()
    assert job.submit_sync().result_sync(PATIENCE) == "done\n"
    assert sync_job.submit_sync().result_sync(PATIENCE) == "done\n"
    assert (tmp_path / "calls").read_text() == "x\nx\n"


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_cancelling_a_job_ends_its_program(bb: Backburner, worker: Start, tmp_path: Path, sync: bool) -> None:
    over = threading.Event()

    @bb.task
    async def job(run: Run) -> None:
        await run.command(family("stubborn", tmp_path))

    @bb.task
    def sync_job(run: SyncRun) -> None:
        try:
            run.command(family("stubborn", tmp_path))
        finally:
            over.set()

    worker()
    submitted = (sync_job if sync else job).submit_sync()
    pids = pids_of_family(tmp_path)
    bb.store.write_sync(Cancel(submitted.id, None))
    assert submitted.wait_sync(PATIENCE).status is Status.CANCELLED
    for pid in pids:
        until_gone(pid)
    assert not sync or over.wait(PATIENCE)
