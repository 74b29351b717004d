"""A hint as a number, the way signals put it on the wire."""

from __future__ import annotations

from ..ports import Hint

WORK, EVENTS, CANCEL = 1, 2, 4
EVERYTHING = Hint(work=True, events=True, cancel=True)


def to_bits(hint: Hint) -> int:
    return WORK * hint.work | EVENTS * hint.events | CANCEL * hint.cancel


def from_bits(bits: int) -> Hint:
    return Hint(bool(bits & WORK), bool(bits & EVENTS), bool(bits & CANCEL))
