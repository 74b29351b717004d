"""The examples of the pages for users run as they stand there.

What a page defines makes a module; what awaits is done beside a worker, block after block; then its commands are run,
where JOB is the id of the last ``job``.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType

import pytest
from click.testing import CliRunner

from backburner import Backburner
from backburner.cli import main

PAGES = Path(__file__).parents[2] / "docs"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("studio", None)


@pytest.mark.parametrize("name", ["tasks.md", "jobs.md"])
def test_the_examples_of_the_page_run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (PAGES / name).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (folder / "studio.py").write_text("\n".join(block for block in blocks if not awaits(block)), encoding="utf-8")
    studio = importlib.import_module("studio")
    stop = studio.bb.start_worker()
    try:
        asyncio.run(run([block for block in blocks if awaits(block)], studio))
    finally:
        stop()
    studio.bb.close()
    monkeypatch.setenv("BACKBURNER_DATABASE_URL", studio.bb.settings.database_url)
    for line in re.findall(r"^backburner .*$", page, re.MULTILINE):
        words = shlex.split(line, comments=True)[1:]
        done = CliRunner().invoke(main, [vars(studio)[word.lower()].id if word.isupper() else word for word in words])
        assert done.exit_code == 0, f"{line}: {done.output}"


def compiled(block: str) -> CodeType:
    return compile(block, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def awaits(block: str) -> bool:
    return bool(compiled(block).co_flags & inspect.CO_COROUTINE)


async def run(blocks: list[str], studio: ModuleType) -> None:
    assert isinstance(studio.bb, Backburner)
    for block in blocks:
        await eval(compiled(block), vars(studio))
