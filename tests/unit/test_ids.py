from __future__ import annotations

import time
import uuid

from hypothesis import given
from hypothesis import strategies as st

from backburner.domain import ids


def test_an_id_is_a_uuid_of_version_7() -> None:
    found = uuid.UUID(ids.new_id())
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert abs((found.int >> 80) / 1000 - time.time()) < 60


def test_ids_differ() -> None:
    assert len({ids.new_id() for _ in range(10_000)}) == 10_000


@given(st.integers(0, 2**47 * 10**6), st.integers(250, 10**15))
def test_ids_sort_by_age(moment: int, later: int) -> None:
    assert _at(moment) < _at(moment + later)


def _at(moment: int) -> str:
    original, ids.time = ids.time, _Clock(moment)  # type: ignore[assignment]
    try:
        return ids.new_id()
    finally:
        ids.time = original


class _Clock:
    def __init__(self, moment: int) -> None:
        self._moment = moment

    def time_ns(self) -> int:
        return self._moment
