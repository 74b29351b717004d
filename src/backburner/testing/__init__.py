"""For tests of code that uses backburner: see docs/testing.md."""

from .clock import FakeClock
from .draining import Drained, drain, drain_sync
from .inlining import inline
from .model import Call, FakeModel
from .models import fake_model
from .run import FakeRun
from .submits import assert_not_submitted, assert_submitted, submitted
from .temporary import temporary_backburner

__all__ = [
    "Call",
    "Drained",
    "FakeClock",
    "FakeModel",
    "FakeRun",
    "assert_not_submitted",
    "assert_submitted",
    "drain",
    "drain_sync",
    "fake_model",
    "inline",
    "submitted",
    "temporary_backburner",
]
