"""Several lines are read as one, in the order of priority, turn and age."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Line:
    """The ready jobs of one task of one queue."""

    queue: str
    task: str


class Head(NamedTuple):
    """A job near the front of its line, with what its start needs."""

    rank: int
    turn: int
    job: str
    queue: str
    task: str
    owner: str
    since: int
    attempt: int
    tries: int
    max_tries: int
    priority: int
    seq: int
    expires_at: int | None
    args: str

    @property
    def order(self) -> tuple[int, int, str]:
        return self.rank, self.turn, self.job


def merge(
    lines: Sequence[Line], fetch: Callable[[Line, Head | None], Sequence[Head]], is_open: Callable[[Line], bool]
) -> Iterator[Head]:
    """The jobs of all lines, the first of all first. ``fetch`` reads a page behind a job; a line that is not open any
    more is left where it stands."""
    pages: dict[Line, list[Head]] = {}
    heap: list[tuple[tuple[int, int, str], Line]] = []

    def turn_page(line: Line, behind: Head | None) -> None:
        page = list(fetch(line, behind))
        page.reverse()
        pages[line] = page
        if page:
            heapq.heappush(heap, (page[-1].order, line))

    for line in lines:
        turn_page(line, None)
    while heap:
        _, line = heapq.heappop(heap)
        if not is_open(line):
            continue
        head = pages[line].pop()
        yield head
        if pages[line]:
            heapq.heappush(heap, (pages[line][-1].order, line))
        elif is_open(line):
            turn_page(line, head)
