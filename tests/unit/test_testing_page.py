"""The examples of docs/testing.md run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = "pytester"

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


def test_the_examples_of_the_page_pass(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("BACKBURNER_TEST_DATABASE_URL", raising=False)
    page = PAGE.read_text(encoding="utf-8")
    (setting,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    shop, *tests = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    options = 'addopts = "-W error -p pytest_backburner -p pytest_asyncio.plugin"\nasyncio_mode = "auto"\n'
    pytester.makepyprojecttoml(f'{setting}{options}asyncio_default_fixture_loop_scope = "function"\n')
    pytester.makepyfile(shop=shop, **{f"test_{number}": test for number, test in enumerate(tests)})
    count = sum(len(re.findall(r"^(?:async )?def test_", test, re.MULTILINE)) for test in tests)
    pytester.runpytest_subprocess().assert_outcomes(passed=count)
