"""Tasks for child processes, which import this module."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from backburner import Backburner, SyncRun
from backburner.domain.backoff import Backoff
from backburner.domain.operations import Parked
from backburner.domain.parking import Park

bb = Backburner("sqlite:///unset.db")
SOON = Backoff(first=0.001, longest=0.001)


def say_pid(file: str) -> None:
    Path(file + ".new").write_text(f"{os.getpid()}\n")
    os.rename(file + ".new", file)


def double(number: int) -> int:
    return number * 2


def add_line(file: str) -> str:
    with open(file, "a") as lines:
        lines.write(f"{os.getpid()}\n")
    return file


def note(session: Session, body: str) -> int:
    session.execute(text("INSERT INTO notes VALUES (:body)"), {"body": body})
    bb.submit_in(session, whoami)
    return os.getpid()


class Odd(Exception):
    """No pickle of it can be read again."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


@bb.task(process=True)
def whoami(run: SyncRun) -> int:
    return os.getpid()


@bb.task(process=True, backoff=SOON)
def everything(run: SyncRun, folder: str) -> dict[str, Any]:
    run.progress(10, "begun")
    run.text("hello ")
    twice = run.step("double", double, 4)
    run.step("line", add_line, f"{folder}/lines")
    run.text("world")
    parts = run.gather(*[partial(run.step, f"part {n}", double, n) for n in range(4)], limit=2)
    said = run.step("echo", run.command, ["sh", "-c", "echo $PPID; pwd"], cwd=folder)
    child = whoami.submit_sync()
    if run.tries == 0:
        raise ValueError("again")
    return {
        "twice": twice,
        "parts": parts,
        "said": said.stdout.split(),  # type: ignore[attr-defined]
        "written": run.written(),
        "child": child.id,
        "pid": os.getpid(),
        "about": [run.owner, run.priority, run.attempt, run.tries, run.cancelled],
    }


@bb.task(process=True, retries=0)
def transact(run: SyncRun, local: bool) -> list[int]:
    if local:
        return [run.transaction("note", lambda session: note(session, "local"))]
    return [run.transaction("note", note, "from a child"), os.getpid()]


bb.llm_budget("metered-model", tokens_per_minute=60_000)


@bb.task(process=True, retries=0, timeout=60)
def ask_metered(run: SyncRun) -> str:
    return run.llm.text("Say hello", max_tokens=300)


@bb.task(process=True, retries=0)
def ask_somebody(run: SyncRun, file: str) -> str:
    run.step("line", add_line, file)
    return run.ask("Who?", str)


@bb.task(process=True, retries=0)
def wait_for_child(run: SyncRun, file: str) -> int:
    run.step("line", add_line, file)
    return whoami.using(delay=1.0).submit_sync().result_sync()


@bb.task(process=True, retries=0)
def ask_model(run: SyncRun) -> str:
    return run.llm.text("Say hello")


@bb.task(process=True, retries=0)
def die(run: SyncRun, how: str) -> None:
    if how == "exit":
        os._exit(7)
    if how == "sys.exit":
        sys.exit(5)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "forked":
        if os.fork() == 0:
            time.sleep(600)
        os._exit(9)
    if how == "odd":
        raise Odd("it broke", "in two")
    if how == "close":
        os.closerange(3, 100)
        time.sleep(600)


@bb.task(process=True, retries=0)
def hang(run: SyncRun, folder: str, stubborn: bool = False) -> None:
    """Says its pid, and that of a process it has started; ``stubborn`` ones ignore SIGTERM."""
    try:
        if stubborn:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        grandchild = subprocess.Popen(["sleep", "600"])
        Path(folder, "grandchild").write_text(f"{grandchild.pid}\n")
        say_pid(f"{folder}/child")
        while True:
            time.sleep(0.001)
    finally:
        Path(folder, "cleaned").write_text(str(run.cancelled))


@bb.task(process=True, timeout=2.0, retries=0)
def too_long(run: SyncRun, folder: str, stubborn: bool) -> None:
    hang.function(run, folder, stubborn)


@bb.task(process=True, retries=0)
def program(run: SyncRun, folder: str) -> None:
    run.command(["sh", "-c", f"echo $$ > {folder}/program.new; mv {folder}/program.new {folder}/program; sleep 600"])


@bb.task(process=True)
def park(run: SyncRun) -> None:
    raise Park(Parked("answer"))
