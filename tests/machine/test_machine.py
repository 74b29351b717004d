from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.backends import BACKENDS, Backend

from .broken import BROKEN, Break
from .harness import fields
from .machine import Machine

SETTINGS = settings(
    derandomize=True,
    database=None,
    deadline=None,
    stateful_step_count=50,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    print_blob=False,
)
EXAMPLES = {"sqlite": 100, "postgres": 25}
"""As many as cost about the same."""
LOOKING = settings(SETTINGS, phases=[Phase.generate], max_examples=400)
"""For bugs that are there: the first that is met will do, and it need not be made small."""


def drive(backend: Backend, folder: Path, chosen: settings) -> None:
    with fields(backend, folder) as fresh:
        run_state_machine_as_test(type("Machine", (Machine,), {"fresh": staticmethod(fresh)}), settings=chosen)


@pytest.mark.parametrize("name", list(BACKENDS))
def test_a_store_keeps_its_promises_whatever_is_done_to_it(
    name: str, tmp_path: Path, missing: Callable[[str], NoReturn]
) -> None:
    backend = BACKENDS[name]
    if not backend.answers():
        missing(backend.needs)
    drive(backend, tmp_path, settings(SETTINGS, max_examples=EXAMPLES[name]))


@pytest.mark.parametrize("spoil", BROKEN, ids=[spoil.__name__ for spoil in BROKEN])
def test_the_machine_finds_a_store_where(spoil: Break, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch)
    with pytest.raises(AssertionError, match=BROKEN[spoil]):
        drive(BACKENDS["sqlite"], tmp_path, LOOKING)
