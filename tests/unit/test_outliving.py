"""Threads that outlive the main thread go on using backburner."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys, threading
from backburner import Backburner, Run

bb = Backburner(sys.argv[1])

@bb.task
async def one(run: Run) -> int:
    return 1

stop = bb.start_worker()
assert one.submit_sync().result_sync(20) == 1

def serve() -> None:
    threading.main_thread().join()
    print(one.submit_sync().result_sync(20), flush=True)
    stop()

threading.Thread(target=serve).start()
"""


def test_a_thread_that_outlives_the_main_one_submits_and_reads(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, f"sqlite:///{tmp_path}/jobs.db"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert "closed" not in done.stderr
