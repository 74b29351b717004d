from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from backburner.domain.errors import StoreUnavailable
from backburner.store import turn as module
from backburner.store.turn import Turn

HOLD = """
import sys
from pathlib import Path
from backburner.store.turn import Turn
turn = Turn(Path(sys.argv[1]))
turn.take()
print("held", flush=True)
sys.stdin.readline()
turn.give_back()
print("given back", flush=True)
sys.stdin.readline()
"""

GREEDY = """
import sys
from pathlib import Path
from backburner.store.turn import Turn
turn = Turn(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    turn.take()
    turn.give_back()
    turn.pause_for_others()
"""


def start(script: str, folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() in ("held\n", "ready\n")
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


@pytest.fixture
def turn(tmp_path: Path):  # type: ignore[no-untyped-def]
    turn = Turn(tmp_path)
    yield turn
    turn.close()


def test_a_turn_is_one_writers_at_a_time(tmp_path: Path, turn: Turn) -> None:
    other = Turn(tmp_path)
    turn.take()
    taken = threading.Event()

    def take() -> None:
        other.take()
        taken.set()

    thread = threading.Thread(target=take)
    thread.start()
    while not turn.somebody_waits():
        time.sleep(0.001)
    assert not taken.is_set()
    turn.give_back()
    thread.join()
    assert taken.is_set()
    assert not turn.somebody_waits()
    other.close()


def test_patience_ends_in_words(tmp_path: Path, turn: Turn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    other = Turn(tmp_path)
    turn.take()
    with pytest.raises(StoreUnavailable, match=f"process {os.getpid()} has been writing"):
        other.take()
    assert not turn.somebody_waits(), "who gave up waits no more"
    turn.give_back()
    other.take()
    other.close()


def test_a_turn_dies_with_its_process(tmp_path: Path, turn: Turn) -> None:
    process = start(HOLD, tmp_path)
    taken = threading.Event()
    thread = threading.Thread(target=lambda: (turn.take(), taken.set()))
    thread.start()
    while not _somebody_waits(tmp_path):
        time.sleep(0.001)
    assert not taken.is_set()
    end(process)
    thread.join(5)
    assert taken.is_set()


def test_a_busy_process_lets_others_have_their_turn(tmp_path: Path, turn: Turn) -> None:
    process = start(GREEDY, tmp_path)
    waits = []
    for _ in range(20):
        began = time.monotonic()
        turn.take()
        waits.append(time.monotonic() - began)
        turn.give_back()
    end(process)
    assert sorted(waits)[10] < 0.5


def test_giving_back_what_is_not_held_takes_it_from_nobody(tmp_path: Path, turn: Turn) -> None:
    other = Turn(tmp_path)
    turn.take()
    other.give_back()
    assert not other._try()
    other.close()


def test_a_turn_is_taken_even_where_its_holder_cannot_be_written_down(
    turn: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    turn.take()


def test_a_turn_that_cannot_be_opened_leaves_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / "waiting").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(OSError, match="directory"):
            Turn(tmp_path)
    assert len(os.listdir("/proc/self/fd")) < before + 20, "what other tests left may come and go"


def _somebody_waits(folder: Path) -> bool:
    look = Turn(folder)
    try:
        return look.somebody_waits()
    finally:
        look.close()
