"""The fixtures that pytest gets from backburner, in runs of pytest of their own."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

pytest_plugins = "pytester"

APPLICATION = """
from backburner import Backburner, Run

bb = Backburner("sqlite:////nowhere/at/all.db")

@bb.task
async def ask(run: Run, text: str) -> str:
    return await run.llm.text(text)
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("BACKBURNER_TEST_DATABASE_URL", raising=False)
    pytester.makepyfile(application=APPLICATION)
    pytester.makepyprojecttoml(
        '[tool.pytest.ini_options]\nbackburner = "application:bb"\naddopts = "-W error -p pytest_backburner"\n'
    )
    return pytester


def test_the_fixtures_serve_the_application_that_the_option_names(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        from application import ask
        from backburner.testing import assert_submitted, drain_sync, submitted

        def test_inline(backburner_inline, fake_model):
            fake_model.reply("Well.")
            assert ask.submit_sync("How?").result_sync() == "Well."

        def test_clock(backburner_clock, backburner_db, fake_model):
            assert submitted(backburner_db) == []
            ask.using(delay=3600).submit_sync("How?")
            assert_submitted(ask, text="How?")
            assert len(drain_sync(backburner_db)) == 0
            backburner_clock.advance(hours=1)
            assert len(drain_sync(backburner_db)) == 1
        """
    )
    project.runpytest_subprocess().assert_outcomes(passed=2)


def test_a_run_that_uses_none_of_them_does_not_import_backburner(project: pytest.Pytester) -> None:
    project.makepyfile("import sys\ndef test_it():\n    assert 'backburner' not in sys.modules")
    project.runpytest_subprocess().assert_outcomes(passed=1)


def test_what_is_missing_is_said(project: pytest.Pytester) -> None:
    project.makepyfile("def test_it(backburner_db): ...")
    project.runpytest_subprocess("-o", "backburner=").stdout.fnmatch_lines(["*which Backburner do the fixtures mean*"])
    project.runpytest_subprocess("-o", "backburner=elsewhere:bb").stdout.fnmatch_lines(["*no module 'elsewhere'*"])


def test_pytest_finds_the_plugin_by_itself() -> None:
    assert [point.value for point in entry_points(group="pytest11", name="pytest_backburner")] == ["pytest_backburner"]
