"""How a running function frees its slot while it waits for something that may take days."""

from __future__ import annotations

from .operations import Parked


class Park(BaseException):
    """Unwinds the function; it is called again from its top when ``outcome`` says so.

    No `Exception`, so that a handler's own ``except Exception`` does not catch it.
    """

    def __init__(self, outcome: Parked) -> None:
        super().__init__(f"the job waits: {outcome.waiting_for}")
        self.outcome = outcome

    def __reduce__(self) -> tuple[type[Park], tuple[Parked]]:
        return Park, (self.outcome,)
