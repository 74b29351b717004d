from __future__ import annotations

from pathlib import Path

import pytest

from backburner import Backburner, Settings
from backburner.domain.errors import ConfigurationError
from backburner.settings import load_settings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBURNER_CONCURRENCY", "7")
    monkeypatch.setenv("BACKBURNER_LEASE", "12.5")
    settings = load_settings()
    assert (settings.concurrency, settings.lease) == (7, 12.5)


def test_settings_come_from_the_file_of_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BACKBURNER_POLL=1.5\nSOMETHING_ELSE=1\n")
    assert load_settings().poll == 1.5


@pytest.mark.parametrize(
    ("name", "value"),
    [("CONCURRENCY", "many"), ("CONCURRENCY", "0"), ("LEASE", "0"), ("POLL", "0"), ("GRACE", "-1"), ("AUTH", "maybe")],
)
def test_a_setting_that_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"BACKBURNER_{name}", value)
    with pytest.raises(ConfigurationError, match=f"BACKBURNER_{name}: "):
        Backburner()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mongodb://x/y", "'mongodb'"),
        ("jobs.db", "jobs.db"),
        ("sqlite:///", "in-memory"),
        ("sqlite:///:memory:", "in-memory"),
        ("sqlite:////no/such/folder/jobs.db", "does not exist"),
    ],
)
def test_a_database_that_cannot_be_is_refused_in_words(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Backburner(url).open()


def test_a_relative_path_is_relative_to_the_working_folder(tmp_path: Path) -> None:
    bb = Backburner("sqlite:///here.db")
    bb.open()
    bb.close()
    assert (tmp_path / "here.db").exists()


def test_a_key_is_not_shown() -> None:
    assert "secret" not in repr(Settings(_env_file=None, OPENAI_API_KEY="secret"))  # type: ignore[call-arg]
