"""`submit` has the function's parameters and `result` its return type, as mypy sees them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

HEAD = """
from datetime import datetime, timedelta
from typing import Literal, assert_type
from backburner import Backburner, CommandResult, Job, JobRecord, Run, SyncRun
from backburner.testing import Drained, FakeClock, FakeRun, assert_submitted, drain, inline, submitted
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

bb = Backburner("sqlite:///x.db")

@bb.task
async def greet(run: Run, name: str, times: int = 1) -> list[str]:
    return [name] * times

class Verdict(BaseModel):
    good: bool

@bb.cron("0 3 * * *", tz="Europe/Berlin", args={"name": "all"}, missed="skip")
@bb.task(timeout=None, rate=(10, 60.0), retry_on=(OSError,), notify=(), retention="completed=1h")
async def nightly(run: Run, name: str) -> int:
    return 1

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

async def good_submits(session: AsyncSession) -> None:
    later = greet.using(delay=timedelta(hours=1), key="k", queue="q", expires=60, size=2.5, detached=True)
    assert_type(await later.submit("a", times=2), Job[list[str]])
    assert_type(later.submit_sync("a"), Job[list[str]])
    assert_type(await bb.submit_in_async(session, later, "a"), Job[list[str]])
    assert_type(await nightly.submit(name="a"), Job[int])
    job = await greet.using(run_at=datetime(2030, 1, 1)).submit("a")
    assert_type(await job.wait(timeout=1), JobRecord)
    assert_type(await job.answer(True), JobRecord)
    assert_type(await greet.submit_many([{"name": "a"}, ("b", 2)]), list[Job[list[str]]])
    assert_type(when.using(owner="ann").submit_many_sync([(1,)]), list[Job[datetime]])
    async with bb.batch("All", owner="ann", on_complete=nightly) as batch:
        assert_type(batch.add(greet, "a", times=2), Job[list[str]])
        assert_type(batch.add(when.using(priority=9), day=1), Job[datetime])

async def good_run(run: Run) -> None:
    assert_type(await run.gather(*[run.step(f"part {n}", fetch, url=str(n)) for n in range(3)], limit=2), list[bytes])
    assert_type(await run.ask("Go on?"), bool)
    assert_type(await run.ask("How many?", int, timeout=60), int)
    assert_type(await run.ask("Good?", Verdict), Verdict)
    assert_type(await run.ask("How many?", int, timeout=60, default=None), int | None)
    assert_type(await run.llm.text("Hello"), str)
    assert_type(await run.llm.json("Is it?", Verdict), Verdict)
    assert_type(await run.command(["true"], timeout=1.0), CommandResult)

def good_sync(run: SyncRun) -> None:
    assert_type(run.gather(lambda: run.step("a", len, "x"), lambda: 2, limit=1), list[int])
    assert_type(run.step("fetch", fetch, "https://…"), bytes)
    assert_type(run.ask("Go on?"), bool)
    assert_type(run.ask("Good?", Verdict), Verdict)
    assert_type(run.llm.text("Hello"), str)
    assert_type(run.llm.json("Is it?", Verdict), Verdict)
    assert_type(run.command(["true"]), CommandResult)

async def good_tests(run: FakeRun) -> None:
    assert_type(await run.call(greet, "a", times=2), list[str])
    assert_type(run.call_sync(when, 1), datetime)
    with inline(bb) as same, FakeClock(same, frozen=True) as clock:
        assert_type(clock.advance(hours=3), datetime)
    assert_type(await drain(bb, max_jobs=3), Drained)
    assert_type(submitted(bb, task=greet), list[JobRecord])
    assert_type(assert_submitted(greet.using(owner="ann"), name="a"), JobRecord)
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

async def bad_submits(sync: Session, session: AsyncSession) -> None:
    greet.using(delay="soon")
    greet.using(run_at=60)
    greet.using(onwer="ann")
    greet.using(key=5)
    await greet.using(owner="ann").submit("a", time=2)
    greet.using(owner="ann").submit_sync()
    bb.submit_in(session, greet, "a")
    await bb.submit_in_async(sync, greet, "a")
    await bb.submit_in_async(session, greet.using(owner="ann"), 1)
    bb.submit_in(sync, fetch, "a")
    text: str = (await greet.submit("a")).result_sync()
    await nightly.submit(nmae="a")
    await (await greet.submit("a")).result(timeout="long")
    greet(1, "a")
    await greet.submit_many(["a"])
    batch = bb.batch("All", on_complete=fetch)
    batch.add(greet, 1)
    batch.add(greet.using(owner="ann"), "a", time=2)
    batch.add(fetch, "a")
    bb.batch("All", ownr="ann")

async def bad_run(run: Run) -> None:
    await run.gather(run.step("a", len, "x"), limit="all")
    await run.gather([run.step("a", len, "x")])
    await run.step("length", len)
    await run.step(len, "abc")
    await run.transaction("fetch", fetch, "a")
    verdict: str = await run.ask("Good?", Verdict)
    await run.ask("Good?", Verdict, timeout="long")
    count: int = await run.ask("How many?", int, default=None)
    await run.progress("half")
    await run.llm.json("Is it?")

def bad_sync(run: SyncRun) -> None:
    run.gather(run.step("a", len, "x"))
    run.step("fetch", fetch, 1)
    run.transaction("write", write, 1)
    answer: str = run.ask("Go on?")
    run.progress("half")
    run.llm.text(1)

async def bad_tests(run: FakeRun) -> None:
    await run.call(greet, 1)
    await run.call(fetch, "a")
    run.call_sync(when, day="one")
    assert_submitted("greet", name="a")
    await drain(bb, jobs=3)
    FakeClock(bb, 5)

@bb.task
async def no_run() -> None: ...

@bb.task(retrys=3)
async def misspelt(run: Run) -> None: ...

@bb.task(timeout="long")
async def long(run: Run) -> None: ...

@bb.task(rate=10)
async def rated(run: Run) -> None: ...

@bb.task(on_duplicate="ignore")
async def doubled(run: Run) -> None: ...

@bb.task(retry_on="OSError")
async def retried(run: Run) -> None: ...

@bb.cron("0 3 * * *", missed="twice")
@bb.task
async def ticking(run: Run) -> None: ...

@bb.cron("0 3 * * *")
async def no_task(run: Run) -> None: ...
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
    blocks = [number for number in range(first_bad, len(lines) + 1) if _begins_block(lines, number)]
    assert [lines[number - 1] for number in blocks if not wrong & {number, number + 1, number + 2}] == []


def _begins_block(lines: list[str], number: int) -> bool:
    """A function with decorators: the first of these."""
    return lines[number - 1].startswith("@bb.") and not lines[number - 2].startswith("@bb.")
