"""`run.llm` of a Backburner answered by a fake model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..llm.settings import ModelSettings
from .model import FakeModel

if TYPE_CHECKING:
    from ..app import Backburner


@contextlib.contextmanager
def fake_model(bb: Backburner) -> Iterator[FakeModel]:
    """A `FakeModel` that answers `Run.llm` of ``bb``'s jobs, also those in child processes."""
    with FakeModel() as model:
        key = model.api_key or "fake-key"
        before = bb.use_model(ModelSettings(base_url=model.base_url, api_key=key, model="fake-model"))
        try:
            yield model
        finally:
            bb.use_model(before)
