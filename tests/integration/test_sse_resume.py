"""A line may break anywhere, and the server may die: the client comes back with its cursor and loses nothing."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.http_support import Hand, Message, Web, make_bb, rebuild

ALPHABET = 'abc 红楼梦\n\r\u2028😀é"\\'


def as_log(messages: list[Message]) -> list[dict[str, object]]:
    return [{"id": each.id, "event": each.event, "data": each.data} for each in messages]


def test_a_cut_line_is_taken_up_exactly_behind_the_last_event(tmp_path: Path) -> None:
    bb = make_bb(tmp_path)
    with Web(bb) as web:
        job, hand = web.submit(), Hand(bb)
        hand.take()
        for number in range(300):
            hand.say(f"{number} ")
        found: list[Message] = []
        cursor = "j-0"
        for count in (1, 7, 50, 1, 130):
            with web.follow(f"/jobs/{job}/events", cursor) as following:
                found += following.next(count)
                cursor = found[-1].id
        hand.complete()
        with web.follow(f"/jobs/{job}/events", cursor) as following:
            found += following.rest()
        assert as_log(found) == web.log_of(job)
    bb.close()


def test_a_line_cut_inside_an_event_brings_that_event_again(tmp_path: Path) -> None:
    bb = make_bb(tmp_path)
    with Web(bb) as web:
        job, hand = web.submit(), Hand(bb)
        hand.take()
        hand.say("first")
        hand.say("second " * 1000)
        hand.complete()
        whole = b"".join(pieces_of(web, job))
        inside = whole.index(b"second") + 100
        with web.follow(f"/jobs/{job}/events", "j-0") as following:
            found = following.cut_after(inside)
            assert following.cursor == "j-3"
        with web.follow(f"/jobs/{job}/events", following.cursor) as following:
            found += following.rest()
        assert as_log(found) == web.log_of(job)
    bb.close()


def test_a_restart_of_the_server_changes_nothing(tmp_path: Path) -> None:
    bb = make_bb(tmp_path)
    with Web(bb) as web:
        job, hand = web.submit(), Hand(bb)
        hand.take()
        hand.say("before ")
        with web.follow(f"/jobs/{job}/events") as following, web.follow("/events", "o-0") as everything:
            found = following.next(1)
            mine = everything.next(3)
            hand.say("and ")
            found += following.next(1)
            worker, execution = hand._worker, hand.execution
            threading.Thread(target=bb.hubs.close).start()
            found += following.rest()
            mine += everything.rest()
    bb.close()
    again = make_bb(tmp_path)
    with Web(again) as web:
        hand = Hand(again)
        hand._worker, hand._execution = worker, execution
        hand.say("after")
        with (
            web.follow(f"/jobs/{job}/events", found[-1].id) as following,
            web.follow("/events", mine[-1].id) as everything,
        ):
            found += following.next(1)
            hand.complete()
            found += following.rest()
            mine += everything.next(6 - len(mine))
        assert rebuild({}, found) == {"main": "before and after"}
        log = [(each["event"], each["data"]) for each in web.log_of(job)]
        assert [(each.event, each.data) for each in mine] == log
    again.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Web, str, int]]:
    """A finished job with text of all kinds in two channels, and a server that shows it."""
    bb = make_bb(tmp_path_factory.mktemp("written"))
    dice = random.Random(7)
    with Web(bb) as web:
        job, hand = web.submit(), Hand(bb)
        hand.take()
        for number in range(400):
            delta = "".join(dice.choices(ALPHABET, k=dice.randint(1, 40)))
            hand.say(delta, dice.choice(["main", "notes"]))
            if number in (100, 250):
                hand.keep(f"step {number}", "main", "notes")
            if number in (180, 320):
                hand.release()
                hand.take()
        hand.complete()
        whole = b"".join(pieces_of(web, job))
        yield web, job, len(whole)
    bb.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_wherever_the_line_is_cut_the_pieces_are_the_log(written: tuple[Web, str, int], data: st.DataObject) -> None:
    web, job, size = written
    found: list[Message] = []
    cursor = "j-0"
    for cut in data.draw(st.lists(st.integers(1, size), max_size=6), label="bytes until each cut"):
        with web.follow(f"/jobs/{job}/events", cursor) as following:
            if following.response.status_code == 204:
                break
            found += following.cut_after(cut)
            cursor = following.cursor or cursor
    with web.follow(f"/jobs/{job}/events", cursor) as following:
        found += following.rest()
    assert as_log(found) == web.log_of(job)


@pytest.mark.parametrize("seed", range(4))
def test_text_that_streams_while_the_line_keeps_breaking_is_rebuilt_exactly(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    bb = make_bb(tmp_path)
    said = {"main": "", "notes": ""}

    def talk(hand: Hand) -> None:
        kept = dict(said)
        for number in range(500):
            channel = dice.choice(["main", "main", "notes"])
            delta = "".join(dice.choices(ALPHABET, k=dice.randint(1, 200)))
            hand.say(delta, channel)
            said[channel] += delta
            if number % 90 == 60:
                hand.keep(f"step {number}", "main", "notes")
                kept = dict(said)
            if number % 130 == 100:
                hand.release()
                hand.take()
                said.update(kept)
        hand.complete()

    with Web(bb) as web:
        job, hand = web.submit(), Hand(bb)
        hand.take()
        with web.follow(f"/jobs/{job}/events") as following:  # a snapshot of all the text would be cut each time
            texts = rebuild({}, following.next())
            cursor, came_back = following.cursor, 0
        talking = threading.Thread(target=talk, args=(hand,))
        talking.start()
        cuts = random.Random(seed + 100)
        while True:
            with web.follow(f"/jobs/{job}/events", cursor) as following:
                if following.response.status_code == 204:
                    break
                messages = following.cut_after(cuts.randint(1, 20_000))
                texts = rebuild(texts, messages)
                cursor = following.cursor or cursor
                came_back += 1
        talking.join()
        assert texts == said
        assert came_back > 5
    bb.close()


def pieces_of(web: Web, job: str) -> list[bytes]:
    """The pieces of a whole stream as they come over the line."""
    with web.follow(f"/jobs/{job}/events", "j-0") as following:
        return list(following.response.iter_raw())
