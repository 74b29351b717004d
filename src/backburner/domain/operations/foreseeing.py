"""What waiting jobs may expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..outlook import Outlook
from .base import Query


@dataclass(frozen=True, slots=True)
class Outlooks(Query[Mapping[str, Outlook]]):
    """Position and ETA of those of these jobs that have not ended; of many that wait, only of the first in the line.

    Positions are exact up to 20,000, and not told beyond.
    """

    jobs: Sequence[str]
