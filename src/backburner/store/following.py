"""What the ends of jobs bring about, in the transaction that ends them."""

from __future__ import annotations

from .awaiting import wake_parents
from .batch import Batch
from .batching import move_batches
from .spreading import spread


def follow_up(batch: Batch) -> None:
    """Called once, when everything else but the shared rows (see `Batch.flush`) has been written."""
    if batch.untold:
        spread(batch)
    if batch.ended:
        wake_parents(batch, batch.ended)
    for ended in batch.ended:
        if ended.batch_id is not None:
            batch.batches[ended.batch_id] -= 1
    if batch.batches:
        move_batches(batch)
