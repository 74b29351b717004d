from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backburner import Backburner, Run, Settings
from backburner.ports import Hint
from backburner.signals.local import Doorbell, runtime_folder
from tests.support.hearing import PATIENCE, Ear
from tests.support.making import submit

RING = """
import sys
from backburner.ports import Hint
from backburner.signals.local import Doorbell
bell = Doorbell(sys.argv[1], lambda: False)
bell.ring(Hint(work=True, cancel=True))
bell.close()
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[str]:
    place = str(tmp_path / "jobs.db")
    yield place
    shutil.rmtree(runtime_folder(place), ignore_errors=True)


@pytest.fixture
def ring(place: str) -> Iterator[Callable[..., Doorbell]]:
    made: list[Doorbell] = []

    def make(changed: Callable[[], bool] = lambda: False) -> Doorbell:
        made.append(Doorbell(place, changed))
        return made[-1]

    yield make
    for bell in made:
        bell.close()


def test_a_bell_is_heard_by_everyone_and_by_oneself(ring: Callable[..., Doorbell]) -> None:
    one, two, ears = ring(), ring(), (Ear(), Ear())
    one.subscribe(ears[0])
    two.subscribe(ears[1])
    one.ring(Hint(events=True))
    for ear in ears:
        ear.wait_for(lambda heard: heard == [Hint(events=True)])


def test_a_bell_is_heard_by_another_process(ring: Callable[..., Doorbell], place: str) -> None:
    ear = Ear()
    ring().subscribe(ear)
    subprocess.run([sys.executable, "-c", RING, place], check=True)
    ear.wait_for(lambda heard: heard == [Hint(work=True, cancel=True)])


def test_who_has_unsubscribed_hears_no_more(ring: Callable[..., Doorbell]) -> None:
    bell, first, second = ring(), Ear(), Ear()
    unsubscribe = bell.subscribe(first)
    bell.subscribe(second)
    unsubscribe()
    unsubscribe()
    bell.ring(Hint(work=True))
    assert (first.heard, second.heard) == ([], [Hint(work=True)])


def test_a_listener_that_raises_keeps_nobody_from_hearing(ring: Callable[..., Doorbell]) -> None:
    bell, ear = ring(), Ear()

    def bad(hint: Hint) -> None:
        raise RuntimeError("deaf")

    bell.subscribe(bad)
    bell.subscribe(ear)
    bell.ring(Hint(work=True))
    assert ear.heard == [Hint(work=True)]


def test_the_socket_of_a_dead_process_is_cleared_away(ring: Callable[..., Doorbell], place: str) -> None:
    bell, dead = ring(), ring()
    dead._socket.close()
    assert len(os.listdir(runtime_folder(place))) == 2
    bell.ring(Hint(work=True))
    assert os.listdir(runtime_folder(place)) == [bell._path.name]


def test_a_bell_that_nobody_answers_does_not_block(ring: Callable[..., Doorbell]) -> None:
    bell, _busy = ring(), ring()
    for _ in range(5000):
        bell.ring(Hint(work=True))


def test_a_bell_without_a_folder_still_reaches_oneself_and_never_raises(
    ring: Callable[..., Doorbell], place: str
) -> None:
    bell, ear = ring(), Ear()
    bell.subscribe(ear)
    shutil.rmtree(runtime_folder(place))
    bell.ring(Hint(work=True))
    assert ear.heard == [Hint(work=True)]
    bell.close()
    bell.ring(Hint(work=True))


def test_the_net_tells_what_the_bell_did_not(ring: Callable[..., Doorbell]) -> None:
    changes = iter([False, True])
    ear = Ear()
    ring(lambda: next(changes, False)).subscribe(ear)
    ear.wait_for(lambda heard: heard == [Hint(work=True, events=True, cancel=True)])


def test_a_worker_hears_of_other_processes_jobs_although_the_folder_is_gone(tmp_path: Path) -> None:
    """By the file's `data_version`: no slow look comes in time here."""
    from backburner.worker.thread import WorkerThread
    from tests.support.migrated import copy_migrated

    copy_migrated(tmp_path / "jobs.db")
    settings = Settings(_env_file=None, database_url=f"sqlite:///{tmp_path}/jobs.db", poll=3600, grace=0.1)  # type: ignore[call-arg]
    mine, other = Backburner(settings=settings), Backburner(settings=settings)
    ran = threading.Event()

    @mine.task
    async def t(run: Run) -> None:
        ran.set()

    mine.open()
    other.open()
    ear = Ear()
    thread = WorkerThread(mine.run_worker)
    thread.start()
    try:
        unsubscribe = mine.signal.subscribe(ear)
        shutil.rmtree(runtime_folder(str(tmp_path / "jobs.db")))
        submit(other.store, "t")
        assert ran.wait(PATIENCE)
        unsubscribe()
    finally:
        thread.stop()
        for bb in (mine, other):
            with contextlib.suppress(OSError):
                bb.close()


def test_two_places_do_not_hear_each_other(ring: Callable[..., Doorbell], tmp_path: Path) -> None:
    stranger = Doorbell(str(tmp_path / "other.db"), lambda: False)
    mine, ear, strange_ear = ring(), Ear(), Ear()
    mine.subscribe(ear)
    stranger.subscribe(strange_ear)
    stranger.ring(Hint(work=True))
    mine.ring(Hint(cancel=True))
    assert (ear.heard, strange_ear.heard) == ([Hint(cancel=True)], [Hint(work=True)])
    stranger.close()
    shutil.rmtree(runtime_folder(str(tmp_path / "other.db")), ignore_errors=True)
