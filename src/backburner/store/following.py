"""What the ends of jobs bring about, in the transaction that ends them."""

from __future__ import annotations

from .awaiting import wake_parents
from .batch import Batch


def follow_up(batch: Batch) -> None:
    """Called once, when everything else but the shared rows (see `Batch.flush`) has been written."""
    if batch.ended:
        wake_parents(batch, batch.ended)
