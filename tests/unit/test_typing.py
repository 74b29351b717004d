"""`submit` has the function's parameters and `result` its return type, as mypy sees them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

HEAD = """
from datetime import datetime
from typing import assert_type
from backburner import Backburner, Job, Run, SyncRun
from sqlalchemy.orm import Session

bb = Backburner("sqlite:///x.db")

@bb.task
async def greet(run: Run, name: str, times: int = 1) -> list[str]:
    return [name] * times

@bb.task(timeout=5, retries=0)
def when(run: SyncRun, day: int) -> datetime:
    return datetime(2024, 5, day)

def write(session: Session, body: str) -> int:
    return len(body)

async def fetch(url: str) -> bytes:
    return b""
"""

GOOD = """
async def good(session: Session, run: Run, sync: SyncRun) -> None:
    job = await greet.submit("a", times=2)
    assert_type(job, Job[list[str]])
    assert_type(await job.result(), list[str])
    assert_type(await (await when.submit(1)).result(timeout=1.5), datetime)
    assert_type(when.submit_sync(day=1).result_sync(), datetime)
    assert_type(await greet.using(owner="ann").submit("a"), Job[list[str]])
    assert_type(await greet.submit_many([{"name": "a"}, ("b", 2)]), list[Job[list[str]]])
    async with bb.batch("Many", on_complete=greet) as batch:
        assert_type(batch.add(greet, "a", times=2), Job[list[str]])
        assert_type(batch.add(when.using(priority=9), 2), Job[datetime])
    assert_type(await run.ask("Approve?"), bool)
    assert_type(await run.ask("Name?", str, timeout=5, default=None), str | None)
    assert_type(sync.ask("How many?", int), int)
    assert_type(bb.submit_in(session, greet, "a", 2), Job[list[str]])
    assert_type(bb.submit_in(session, when.using(priority=9), 2), Job[datetime])
    assert_type(await run.step("fetch", fetch, "https://…"), bytes)
    assert_type(await run.step("length", len, "abc"), int)
    assert_type(sync.step("length", len, "abc"), int)
    assert_type(await run.transaction("write", write, "abc"), int)
    assert_type(sync.transaction("write", write, body="abc"), int)
"""

BAD = """
async def bad(session: Session, run: Run) -> None:
    await greet.submit()
    await greet.submit(1)
    await greet.submit("a", time=2)
    await greet.using(owner="ann").submit(name=1)
    when.submit_sync("one")
    bb.submit_in(session, greet, 1)
    bb.batch("Many").add(greet, 1)
    number: int = await (await greet.submit("a")).result()
    await run.step("fetch", fetch, 1)
    await run.transaction("write", write, 1)
    greet.using(priority="high")

@bb.task
async def no_run() -> None: ...

@bb.task(retrys=3)
async def misspelt(run: Run) -> None: ...
"""


def check(folder: Path, source: str) -> list[str]:
    """mypy's errors as ``line of the source: code``."""
    from mypy import api

    file = folder / "snippet.py"
    file.write_text(source)
    out, err, _ = api.run(
        ["--strict", "--config-file=", "--no-error-summary", f"--cache-dir={folder}/cache", str(file)]
    )
    assert not err, err
    return re.findall(r"snippet\.py:(\d+): error: .*\[([a-z-]+)\]", out)


def test_right_uses_are_right_and_every_wrong_one_is_found(tmp_path: Path, missing: Callable[[str], NoReturn]) -> None:
    try:
        import mypy  # noqa: F401
    except ImportError:
        missing("mypy")
    found = check(tmp_path, HEAD + GOOD + BAD)
    first_bad = (HEAD + GOOD).count("\n") + 1
    wrong = {int(line) for line, _ in found}
    lines = (HEAD + GOOD + BAD).splitlines()
    unexpected = sorted(lines[line - 1] for line in wrong if line < first_bad)
    assert unexpected == []
    calls = [number for number in range(first_bad, len(lines) + 1) if lines[number - 1].startswith("    ")]
    assert [lines[number - 1] for number in calls if number not in wrong] == []
    decorators = [number for number in range(first_bad, len(lines) + 1) if lines[number - 1].startswith("@bb.task")]
    assert [lines[number - 1] for number in decorators if not wrong & {number, number + 1}] == []
