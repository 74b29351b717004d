from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backburner.domain.backoff import Backoff

SECONDS = st.floats(0.001, 1e6)


@given(SECONDS, st.floats(1, 1e6), SECONDS, st.integers(1, 10_000))
def test_a_wait_lies_in_the_upper_half_of_its_ceiling(first: float, factor: float, longest: float, tries: int) -> None:
    delay = Backoff(first, factor, longest).delay(tries)
    assert 0 < delay <= longest
    assert delay >= min(first, longest) / 2


def test_waits_grow_up_to_the_longest() -> None:
    backoff = Backoff(2.0, 2.0, 60.0)
    assert 1 <= backoff.delay(1) <= 2 <= backoff.delay(2) <= 4 <= backoff.delay(3) <= 8
    assert 30 <= backoff.delay(100) <= 60
