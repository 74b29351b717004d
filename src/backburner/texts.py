"""What one execution says: its channels of text, and what of them stands from earlier attempts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .channel import Channel
from .domain.job import KeptStep
from .domain.json import storable, well_formed
from .domain.operations import Execution
from .ports import Store


class Texts:
    """Offsets count code points. The text of ``steps``, which finished earlier, stands."""

    def __init__(self, store: Store, execution: Execution, steps: Sequence[KeptStep]) -> None:
        self._store = store
        self._execution = execution
        self._standing: dict[str, int] = {}
        for step in steps:
            for channel, end in step.channels.items():
                self._standing[channel] = max(end, self._standing.get(channel, 0))
        self._retold: dict[str, int] = {}
        self._written = dict(self._standing)
        self._channels: dict[str, Channel] = {}

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(self._channels)

    def written(self, channel: str) -> int:
        return self._written.get(channel, 0)

    def open(self, channel: str) -> None:
        """Raises `InvalidArguments` for a name that cannot be stored."""
        if channel not in self._channels:
            name = storable(channel, "the channel's name")
            self._channels[channel] = Channel(self._store, self._execution, name, self.written(channel))

    async def write(self, channel: str, delta: str, again: bool) -> None:
        """To an open channel. ``again``: whether a step says it that is made anew, whose text never stands."""
        if not again:
            delta = self._retell(channel, delta)
        if delta:
            self._written[channel] = self.written(channel) + len(delta)
            await self._channels[channel].write(well_formed(delta))

    def pass_over(self, ends: Mapping[str, int]) -> None:
        """A kept step has said so much again."""
        self._retold.update(ends)

    async def flush(self, channels: Iterable[str]) -> None:
        """Wait until it is on disk."""
        for channel in channels:
            if channel in self._channels:  # a kept step's may have had nothing to add
                await self._channels[channel].settle()

    def _retell(self, channel: str, delta: str) -> str:
        """What of ``delta`` does not stand yet: text between finished steps is said again by a resumed function."""
        stands, told = self._standing.get(channel, 0), self._retold.get(channel, 0)
        if told >= stands:
            return delta
        self._retold[channel] = told + len(delta)
        return delta[stands - told :]
