from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

import psycopg
import pytest

from backburner.ports import Hint
from backburner.signals import postgres
from backburner.signals.postgres import Notifications
from tests.support.hearing import PATIENCE, Ear
from tests.support.postgres import PrivatePostgres, fresh_database, server_answers

EVERYTHING = Hint(True, True, True)
MINE = "application_name = 'backburner notifications' AND datname = current_database()"

Make = Callable[..., Notifications]
Missing = Callable[[str], NoReturn]


@pytest.fixture
def url(missing: Missing) -> Iterator[str]:
    if not server_answers():
        missing("a PostgreSQL server")
    with fresh_database() as url:
        yield url


@pytest.fixture
def private(missing: Missing) -> Iterator[PrivatePostgres]:
    if not PrivatePostgres.installed():
        missing("PostgreSQL's initdb")
    with PrivatePostgres() as server:
        yield server


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Notifications] = []

    def make(url: str, schema: str = "public") -> Notifications:
        made.append(Notifications(url, schema))
        return made[-1]

    yield make
    for signal in made:
        signal.close()


def listening(signal: Notifications) -> Ear:
    """An ear of a signal whose connection is up: whoever has just connected is told to look."""
    ear = Ear()
    signal.subscribe(ear)
    ear.wait_for(lambda heard: heard == [EVERYTHING])
    ear.heard.clear()
    return ear


def nothing_is_left(signal: Notifications, partner: Notifications, ear: Ear, partners: Ear) -> None:
    """A ring there and one back: the server keeps them in order, so what was to come before has come."""
    signal.ring(Hint(cancel=True))
    partners.wait_for(lambda heard: any(hint.cancel for hint in heard))
    partner.ring(Hint(cancel=True))
    ear.wait_for(lambda heard: sum(hint.cancel for hint in heard) == 2)


def test_two_ring_each_other(url: str, make: Make) -> None:
    one, two = make(url), make(url)
    ears = listening(one), listening(two)
    one.ring(Hint(work=True))
    ears[1].wait_for(lambda heard: heard == [Hint(work=True)])
    two.ring(Hint(events=True, cancel=True))
    ears[0].wait_for(lambda heard: heard == [Hint(work=True), Hint(events=True, cancel=True)])


def test_who_rings_hears_it_at_once_and_once(url: str, make: Make) -> None:
    one, two = make(url), make(url)
    ear, other = listening(one), listening(two)
    one.ring(Hint(work=True))
    assert [Hint(work=True)] == ear.heard
    nothing_is_left(one, two, ear, other)
    assert [Hint(work=True), Hint(cancel=True), Hint(cancel=True)] == ear.heard


def test_who_only_rings_is_heard(url: str, make: Make) -> None:
    ear = listening(make(url))
    make(url).ring(Hint(work=True))
    ear.wait_for(lambda heard: heard == [Hint(work=True)])


def test_what_was_rung_just_before_closing_is_sent(url: str, make: Make) -> None:
    ear = listening(make(url))
    passing = make(url)
    passing.ring(Hint(work=True))
    passing.close()
    ear.wait_for(lambda heard: heard == [Hint(work=True)])


def test_a_burst_is_gathered_and_nothing_of_it_is_lost(url: str, make: Make) -> None:
    one, two = make(url), make(url)
    ear, other = listening(one), listening(two)
    for _ in range(5000):
        one.ring(Hint(work=True))
    one.ring(Hint(events=True))
    other.wait_for(lambda heard: any(hint.work for hint in heard) and any(hint.events for hint in heard))
    nothing_is_left(one, two, ear, other)
    assert len(other.heard) < 5000


def test_another_schema_of_the_database_is_not_rung(url: str, make: Make) -> None:
    one, two, stranger = make(url), make(url), make(url, "another")
    ear, other, strangers = listening(one), listening(two), listening(stranger)
    one.ring(Hint(work=True))
    stranger.ring(Hint(events=True))
    nothing_is_left(one, two, ear, other)
    assert ([Hint(events=True)], False) == (strangers.heard, any(hint.events for hint in other.heard))


def test_a_schema_with_the_longest_name_has_a_bell_too(url: str, make: Make) -> None:
    one, two = make(url, "ü" * 31), make(url, "ü" * 31)
    ear = listening(two)
    one.ring(Hint(work=True))
    ear.wait_for(lambda heard: heard == [Hint(work=True)])


def test_a_schema_with_a_name_in_another_encoding_has_a_bell_too(url: str, make: Make) -> None:
    one, other = (make(f"{url}?client_encoding=latin1", "bürö") for _ in range(2))
    ear = listening(other)
    one.ring(Hint(work=True))
    ear.wait_for(lambda heard: Hint(work=True) in heard)


def test_a_notification_nobody_of_us_sent_makes_everyone_look(url: str, make: Make) -> None:
    ear = listening(make(url))
    with psycopg.connect(url, autocommit=True) as connection:
        for payload in ("", "look!", "7" * 7000):
            ear.heard.clear()
            connection.execute("SELECT pg_notify('backburner:public', %s)", [payload])
            ear.wait_for(lambda heard: heard == [EVERYTHING])


def test_hints_come_also_when_the_server_sends_them_with_an_answer(url: str, make: Make) -> None:
    """Both ring at once, again and again: most are read while a statement of one's own runs."""
    one, two = make(url), make(url)
    ears = listening(one), listening(two)
    for round in range(1, 200):
        one.ring(Hint(work=True))
        two.ring(Hint(events=True))
        ears[0].wait_for(lambda heard, round=round: sum(hint.events for hint in heard) == round)
        ears[1].wait_for(lambda heard, round=round: sum(hint.work for hint in heard) == round)


def test_a_lost_connection_is_made_anew_and_everyone_told_to_look(
    url: str, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = make(url), make(url)
    ears = listening(one), listening(two)
    with psycopg.connect(url) as connection:
        connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {MINE}")
    for ear in ears:
        ear.wait_for(lambda heard: heard == [EVERYTHING])
    one.ring(Hint(work=True))
    ears[1].wait_for(lambda heard: heard == [EVERYTHING, Hint(work=True)])
    assert {logging.WARNING} == {record.levelno for record in caplog.records if record.name == "backburner.signals"}


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_of_the_server_loses_no_hint(private: PrivatePostgres, make: Make, mode: str) -> None:
    one, two = make(private.url), make(private.url)
    ears = listening(one), listening(two)
    private.stop(mode)
    one.ring(Hint(work=True))
    private.start()
    ears[0].wait_for(lambda heard: heard == [Hint(work=True), EVERYTHING])
    ears[1].wait_for(lambda heard: EVERYTHING in heard)
    with psycopg.connect(private.url) as connection:
        assert (2,) == connection.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {MINE}").fetchone()
    two.ring(Hint(cancel=True))
    ears[0].wait_for(lambda heard: heard[-1] == Hint(cancel=True))


def test_ringing_while_the_server_is_down_neither_blocks_nor_raises_nor_piles_up(
    private: PrivatePostgres, make: Make
) -> None:
    one, two = make(private.url), make(private.url)
    ear, other = listening(one), listening(two)
    private.stop()
    for _ in range(20_000):
        one.ring(Hint(work=True))
    assert [Hint(work=True)] * 20_000 == ear.heard
    private.start()
    ear.wait_for(lambda heard: heard[-1] == EVERYTHING)
    other.wait_for(lambda heard: EVERYTHING in heard)
    nothing_is_left(one, two, ear, other)
    assert len(other.heard) <= 4, "what was rung meanwhile is one hint, before or after the other is back"


def test_a_server_that_takes_the_call_and_says_nothing_holds_up_nobody(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        signal = make(f"postgresql://postgres@127.0.0.1:{mute.getsockname()[1]}/postgres?connect_timeout=2")
        ear = Ear()
        signal.subscribe(ear)
        signal.ring(Hint(work=True))
        assert [Hint(work=True)] == ear.heard
        thread = signal._thread
        signal.close()
    assert thread is not None
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_nothing_is_started_before_it_is_needed(make: Make) -> None:
    signal = make("postgresql://nobody@127.0.0.1:1/nothing")
    signal.ring(Hint())
    assert signal._thread is None
    signal.close()


def test_closing_ends_the_thread_and_the_connection(url: str, make: Make) -> None:
    signal = make(url)
    ear = listening(signal)
    thread = signal._thread
    signal.close()
    assert thread is not None
    assert not thread.is_alive()
    signal.close()
    signal.ring(Hint(work=True))
    signal.subscribe(ear)
    assert ([], False) == (ear.heard, thread.is_alive())
    with psycopg.connect(url) as connection:
        deadline = time.monotonic() + PATIENCE
        while connection.execute(f"SELECT 1 FROM pg_stat_activity WHERE {MINE}").fetchall():
            assert time.monotonic() < deadline, "the connection is still there"


def test_closing_while_the_server_is_down_ends_the_thread(
    private: PrivatePostgres, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Semaphore(0)

    class Backoff:
        def delay(self, tries: int) -> float:
            tried.release()
            return 3600.0

    monkeypatch.setattr(postgres, "RECONNECT", Backoff())
    signal = make(private.url)
    listening(signal)
    private.stop()
    assert tried.acquire(timeout=PATIENCE)
    signal.ring(Hint(work=True))
    thread = signal._thread
    signal.close()
    assert thread is not None
    assert not thread.is_alive()
