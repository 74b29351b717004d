from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backburner import Backburner

from .http_support import Web, make_bb


@pytest.fixture
def bb(tmp_path: Path) -> Iterator[Backburner]:
    """On a fresh file, with two public tasks; nobody works on them unless asked to."""
    bb = make_bb(tmp_path)
    yield bb
    bb.close()


@pytest.fixture
def web(bb: Backburner) -> Iterator[Web]:
    """It under a real server."""
    with Web(bb) as web:
        yield web
