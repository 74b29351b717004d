"""A limit a minute as a bucket, and the line of those who wait for it."""

from __future__ import annotations

from dataclasses import dataclass, field

MINUTE = 60_000_000
LATE = 5_000_000
"""Whoever had to wait for a bucket may come to it with a clock so much behind."""
MOST_GAPS = 16
"""An even number; of more, each two become one that promises less."""


@dataclass(slots=True)
class Level:
    """What is left of a limit a minute. Times in microseconds.

    The bucket was or will be empty at ``empty_at``, fills evenly, and is full a minute later. What is taken moves that
    time ahead, so that in any stretch of time no more goes out than a full bucket and what flows in meanwhile.

    Who finds too little books a place in line behind ``booked_until`` and takes when its place has come; who has no
    place does not overtake those who have. Places are kept relative to ``moved``, so that the whole line moves up when
    a call took less than was reserved for it, and back when it took more.

    ``gaps`` is how much time the bucket lacked to be full when something was taken: the least of it since each time,
    the oldest first. A call gives back no more than that, or what ran over meanwhile would go out after all.
    """

    per_minute: int
    empty_at: int
    booked_until: int
    moved: int
    seen_at: int
    gaps: list[tuple[int, int]] = field(default_factory=list)

    def when(self, amount: int, now: int, start: int, place: int | None) -> int:
        """When so much can be taken, ``start`` at the earliest, by who has this place or none.

        More than a full bucket never is in it: a full one will do then, and owes the rest.
        """
        fills = self._time_for(min(amount, self.per_minute))
        behind_all = self._end(start) + fills
        if place is None:
            return max(start, behind_all)
        in_it = max(self.empty_at, now - MINUTE) + fills
        return max(start, in_it, min(place + self.moved, behind_all))

    def take(self, amount: int, now: int, place: int | None = None) -> None:
        if place is None:
            self.booked_until = self._end(now) + self._time_for(amount)
        self._note_gap(now)
        self.empty_at = max(self.empty_at, now - MINUTE) + self._time_for(amount)

    def book(self, amount: int, start: int) -> int:
        """The next place in line."""
        place = self.when(amount, start, start, None)
        self.booked_until = self._end(start) + self._time_for(amount)
        return place - self.moved

    def correct(self, more: int, now: int, taken_at: int) -> None:
        """A call took so much more (or less) than was taken for it at ``taken_at``."""
        self._note_gap(now)
        time = self._time_for(abs(more))
        if more < 0:
            time = -self._give_back(time, taken_at)
        self.empty_at += time
        self._move(time)

    def follow(self, now: int) -> bool:
        """Go on from the new time when the clock was put back since ``seen_at``; whether that is so."""
        back = self.seen_at - now
        if back <= LATE:
            self.seen_at = max(self.seen_at, now)
            return False
        self.seen_at = now
        self.empty_at -= back
        self._move(-back)
        self.gaps = [(at - back, gap) for at, gap in self.gaps]
        return True

    def close_up(self, amount: int) -> None:
        """A place in line was given up."""
        self._move(-self._time_for(amount))

    def desert(self) -> None:
        """Nobody is in line any more."""
        self.booked_until = min(self.booked_until, self.empty_at)

    def hold_up(self, time: int) -> None:
        """Nobody is served for a while; an empty line has nothing to lose by that."""
        if self.booked_until > self.empty_at:
            self._move(time)

    def leave(self, amount: int, now: int) -> None:
        """At most ``amount`` is left."""
        self.empty_at = max(self.empty_at, now - self._time_for(min(amount, self.per_minute)))

    def _note_gap(self, now: int) -> None:
        gap = max(0, self.empty_at - (now - MINUTE))
        self.gaps = [each for each in self.gaps if each[1] < gap] + [(now, gap)]
        if len(self.gaps) > MOST_GAPS:
            first, *rest = self.gaps
            pairs = zip(rest[::2], rest[1::2], strict=True)
            self.gaps = [first, *((later, less) for (_, less), (later, _) in pairs)]

    def _give_back(self, time: int, taken_at: int) -> int:
        """As much of it as would be in the bucket now, had it never been taken."""
        if taken_at > self.seen_at:
            taken_at = 0  # the clock was put back since: it may have been before any of them
        time = min([time, *(gap for at, gap in self.gaps if at > taken_at)])
        self.gaps = [(at, gap - time if at > taken_at else gap) for at, gap in self.gaps]
        return time

    def _end(self, start: int) -> int:
        """Of the line."""
        return max(self.booked_until, self.empty_at, start - MINUTE)

    def _move(self, time: int) -> None:
        self.booked_until += time
        self.moved += time

    def _time_for(self, amount: int) -> int:
        """In which so much flows in, rounded up."""
        return -(-amount * MINUTE // self.per_minute)


class Turns(Level):
    """The line of one owner's calls before a bucket that all owners share.

    Only the first of it stands in the line of the bucket itself, so that there it is the owners who take turns: however
    many calls one of them has, another one's waits for no more than one of each.
    """

    __slots__ = ()

    def correct(self, more: int, now: int, taken_at: int) -> None:
        """The line moves, as nothing is held here that could run over."""
        time = self._time_for(abs(more))
        self._move(time if more > 0 else -time)

    def when(self, amount: int, now: int, start: int, place: int | None) -> int:
        begin = max(start, self.booked_until)
        return begin if place is None else max(start, min(place + self.moved, begin))

    def book(self, amount: int, start: int) -> int:
        begin = max(start, self.booked_until)
        self.booked_until = begin + self._time_for(amount)
        return begin - self.moved

    def hold_up(self, time: int) -> None:
        self._move(time)

    def served_in(self, wait: int, amount: int) -> None:
        """The first has its place in the bucket's line: the next one's turn is when that has come."""
        self._move(wait - self._time_for(amount))
