"""The meter of those who have neither budgets nor prices."""

from __future__ import annotations

from backburner.domain.operations import Remaining


class Unmetered:
    """See `backburner.ports.Meter`: everything may be called, nothing is counted, and each caller waits by itself."""

    async def reserve(self, model: str, input_tokens: int, output_tokens: int, stay: bool) -> None:
        """At once."""

    def settle(self, model: str, input_tokens: int, output_tokens: int, remaining: Remaining | None) -> None:
        """Nobody wants to know."""

    async def turned_away(self) -> int:
        return 1

    def pause(self, model: str, seconds: float) -> bool:
        return False

    def cost(self, model: str, input_tokens: int, output_tokens: int) -> int | None:
        return None
