"""What the rules draw from, and when they apply."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis.stateful import precondition

from backburner.domain.job import JobError
from backburner.domain.operations import Completed, Failed, Interrupted, Limit, Parked, Released

BROKE = JobError("x", "It broke", "in two")
LIMITS = st.builds(
    Limit,
    concurrency=st.none() | st.integers(1, 3),
    owner_concurrency=st.none() | st.integers(1, 2),
    rate=st.none() | st.tuples(st.integers(1, 3), st.sampled_from([10.0, 60.0])),
)
QUEUE_LIMITS = st.builds(
    Limit, concurrency=st.none() | st.integers(1, 4), owner_concurrency=st.none() | st.integers(1, 2)
)
OUTCOMES = st.sampled_from(
    [Completed("1")] * 3
    + [Failed(BROKE, None), Failed(BROKE, 0.0), Failed(BROKE, 20.0), Interrupted(), Released()]
    + [Parked("answer"), Parked("child", 30.0)]
)
WHICH = st.integers(0, 7)
"""Of a list, counted from its end."""
STORE = st.integers(0, 1)
alone = precondition(lambda self: self.gathered is None)
with_jobs = precondition(lambda self: self.model.jobs)
with_ended = precondition(lambda self: self.ended())
with_parked = precondition(lambda self: self.parked())
with_workers = precondition(lambda self: self.model.workers)
with_executions = precondition(lambda self: self.model.executions)
with_batches = precondition(lambda self: self.model.ties.batches)
with_questions = precondition(lambda self: self.model.ties.questions)
