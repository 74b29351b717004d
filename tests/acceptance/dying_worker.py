"""A worker that kills itself with SIGKILL right after its n-th commit: `python -m … N MODULE:BACKBURNER`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from backburner.cli import main
from backburner.domain.operations import RegisterWorker, Renew, Rescue
from backburner.store.writer import Writer

HOUSEKEEPING = (RegisterWorker, Renew, Rescue)


def die_after(commits: int) -> None:
    """Counts the commits that have to do with jobs; the last one is on disk, and nobody was told."""
    transaction = Writer._transaction
    left = [commits]

    def counted(self: Writer, taken: Any, careful: bool) -> Any:
        answers = transaction(self, taken, careful)
        if not all(isinstance(each.operation, HOUSEKEEPING) for each in taken) and answers[1]:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return answers

    Writer._transaction = counted  # type: ignore[method-assign]  # this process exists to be killed


if __name__ == "__main__":
    die_after(int(sys.argv.pop(1)))
    sys.argv.insert(1, "worker")
    main()
