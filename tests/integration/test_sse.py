"""Event streams over a real line: how they begin, go on and end."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from backburner import Backburner
from backburner.delivery.hub import Hub
from backburner.domain.operations import GetJob, PauseQueue, Prune
from tests.integration.http_support import PATIENCE, Hand, Message, Web, make_bb, rebuild


def names(messages: list[Message]) -> list[str]:
    return [message.event for message in messages]


def test_the_headers_keep_proxies_from_buffering(web: Web) -> None:
    job = web.submit()
    for path in (f"/jobs/{job}/events", "/events"):
        with web.follow(path) as following:
            headers = following.response.headers
            assert headers["content-type"] == "text/event-stream"
            assert headers["cache-control"] == "no-cache"
            assert headers["x-accel-buffering"] == "no"
            assert "content-length" not in headers


def test_a_stream_first_says_when_to_come_back(web: Web) -> None:
    found = set()
    for _ in range(5):
        with web.follow("/events") as following:
            following.one()
            assert following.parser.retry is not None
            assert 1000 <= following.parser.retry <= 3000
            found.add(following.parser.retry)
    assert len(found) > 1


def test_a_fresh_connection_begins_with_a_snapshot_and_goes_on_with_what_follows(web: Web, bb: Backburner) -> None:
    job, hand = web.submit(text="红"), Hand(bb)
    hand.take()
    hand.say("甲乙")
    hand.say("note", "notes")
    with web.follow(f"/jobs/{job}/events") as following:
        first = following.one()
        assert (first.event, first.id) == ("snapshot", "j-4")
        assert first.data["cursor"] == "j-4"
        assert first.data["text"] == {"main": "甲乙", "notes": "note"}
        assert first.data["job"] == web.http.get(f"/backburner/jobs/{job}").json()
        assert "reset" not in first.data
        hand.say("丙")
        second = following.one()
        assert (second.event, second.id) == ("text.delta", "j-5")
        at = second.data.pop("at")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", at)
        expected = {"job": job, "seq": 5, "channel": "main", "attempt": 1, "offset": 2, "delta": "丙"}
        assert second.data == expected
        hand.complete('"done"')
        assert names(following.rest()) == ["job.completed"]


@pytest.mark.parametrize("end", ["complete", "fail", "obey_cancel"])
def test_the_stream_of_a_job_ends_with_it(web: Web, bb: Backburner, end: str) -> None:
    job, hand = web.submit(), Hand(bb)
    with web.follow(f"/jobs/{job}/events") as following:
        following.one()
        hand.take()
        getattr(hand, end)()
        last = following.rest()[-1]
    kinds = {"complete": "job.completed", "fail": "job.failed", "obey_cancel": "job.cancelled"}
    assert last.event == kinds[end]
    with web.follow(f"/jobs/{job}/events", last.id) as following:
        assert following.response.status_code == 204
        assert following.response.read() == b""


def test_a_real_worker_is_followed_from_submit_to_end(tmp_path: Path) -> None:
    bb = make_bb(tmp_path, embedded_worker=True)
    with Web(bb) as web, web.follow("/events") as everything:
        everything.one()
        bb.store.write_sync(PauseQueue("default", True))
        job = web.submit(text="hello ", times=20)
        with web.follow(f"/jobs/{job}/events") as following:
            messages = [following.one()]
            bb.store.write_sync(PauseQueue("default", False))
            messages += following.rest()
        assert rebuild({}, messages) == {"main": "hello " * 20}
        assert messages[-1].event == "job.completed"
        found: list[Message] = []
        while "job.completed" not in names(found):
            found.append(everything.one())
        assert [message.event for message in found] == [event["event"] for event in web.log_of(job)]
        assert "notification" in names(found)
    bb.close()


def test_a_fresh_connection_to_an_ended_job_gets_the_snapshot_and_no_more(web: Web, bb: Backburner) -> None:
    job, hand = web.submit(), Hand(bb)
    hand.take()
    hand.say("all of it")
    hand.complete('{"kept": true}')
    with web.follow(f"/jobs/{job}/events") as following:
        (only,) = following.rest()
    assert only.event == "snapshot"
    assert only.data["job"]["result"] == {"kept": True}
    assert only.data["text"] == {"main": "all of it"}
    with web.follow(f"/jobs/{job}/events", only.id) as following:
        assert following.response.status_code == 204


def test_a_cursor_before_the_end_still_brings_the_rest(web: Web, bb: Backburner) -> None:
    job, hand = web.submit(), Hand(bb)
    hand.take()
    hand.say("a")
    hand.complete()
    with web.follow(f"/jobs/{job}/events", "j-2") as following:
        assert names(following.rest()) == ["text.delta", "job.completed"]
    with web.follow(f"/jobs/{job}/events", "j-0") as following:
        assert [message.id for message in following.rest()] == ["j-1", "j-2", "j-3", "j-4"]


def test_a_manual_retry_continues_the_same_log(web: Web, bb: Backburner) -> None:
    job, hand = web.submit(), Hand(bb)
    hand.take()
    hand.say("kept ")
    hand.keep("outline", "main")
    hand.say("lost")
    with web.follow(f"/jobs/{job}/events", "j-0") as following:
        found = following.next(5)
        hand.fail()
        found += following.rest()
    end = found[-1]
    assert end.event == "job.failed"
    with web.follow(f"/jobs/{job}/events", end.id) as following:
        assert following.response.status_code == 204
    web.http.post(f"/backburner/jobs/{job}/retry")
    with web.follow(f"/jobs/{job}/events", end.id) as following:
        found += following.next(1)
        hand.take()
        hand.say("said again")
        hand.complete()
        found += following.rest()
    assert names(found)[6:] == ["job.retrying", "job.started", "attempt.reset", "text.delta", "job.completed"]
    assert rebuild({}, found) == {"main": "kept said again"}
    with web.follow(f"/jobs/{job}/events", "j-0") as following:
        assert following.rest() == found


def test_a_new_attempt_voids_the_text_that_no_step_kept(web: Web, bb: Backburner) -> None:
    job, hand = web.submit(), Hand(bb)
    hand.take()
    hand.say("kept")
    hand.keep("outline", "main")
    hand.say(" lost")
    with web.follow(f"/jobs/{job}/events") as following:
        found = following.next(1)
        hand.release()
        hand.take()
        hand.say(" and new")
        hand.complete()
        found += following.rest()
    resets = [message.data for message in found if message.event == "attempt.reset"]
    assert [(each["attempt"], each["channels"]) for each in resets] == [(2, {"main": 4})]
    assert rebuild({}, found) == {"main": "kept and new"}


@pytest.mark.parametrize("cursor", ["j-999", "o-1", "j-", "j--1", "nonsense", "j-1 ", f"j-{10**30}", "j-٣"])
def test_a_cursor_that_means_nothing_here_begins_anew(web: Web, cursor: str) -> None:
    job = web.submit()
    with web.follow(f"/jobs/{job}/events?after={cursor}") as following:
        first = following.one()
    assert (first.event, first.id, first.data["reset"]) == ("snapshot", "j-1", True)


@pytest.mark.parametrize("cursor", ["o-999", "j-1", "nonsense"])
def test_the_same_for_an_owner(web: Web, cursor: str) -> None:
    web.submit()
    with web.follow("/events", cursor) as following:
        first = following.one()
    assert (first.event, first.id, first.data["reset"]) == ("snapshot", "o-1", True)


def test_a_cursor_older_than_what_is_kept_begins_anew(web: Web, bb: Backburner) -> None:
    removed, hand = web.submit(), Hand(bb)
    hand.take()
    hand.complete()
    web.submit()
    record = bb.store.read_sync(GetJob(removed))
    assert record is not None
    assert record.finished_at is not None
    assert bb.store.write_sync(Prune(((record.finished_at, removed),))) == 1
    with web.follow("/events", "o-1") as following:
        first = following.one()
    assert (first.event, first.data["reset"], len(first.data["jobs"])) == ("snapshot", True, 1)
    with web.follow("/events", first.id) as following:
        web.submit()
        assert following.one().event == "job.submitted"


def test_the_header_wins_over_the_query(web: Web, bb: Backburner) -> None:
    job, hand = web.submit(), Hand(bb)
    hand.take()
    hand.complete()
    with web.follow(f"/jobs/{job}/events?after=j-0", "j-1") as following:
        assert [message.id for message in following.rest()] == ["j-2", "j-3"]
    with web.follow(f"/jobs/{job}/events?after=j-2") as following:
        assert [message.id for message in following.rest()] == ["j-3"]


def test_an_owners_stream_begins_with_all_that_is_under_way_and_the_unread_count(web: Web, bb: Backburner) -> None:
    bb.tasks["write"].using(owner="bob").submit_sync(text="x", times=1)
    done, hand = web.submit(text="x"), Hand(bb)
    hand.take()  # bob's
    hand.take()
    hand.complete()
    running = web.submit(text="y")
    hand.take()
    hand.say("so far")
    with web.follow("/events") as following:
        first = following.one()
        assert first.event == "snapshot"
        assert first.data["unread"] == 0
        assert first.data["cursor"] == first.id
        shown = {job["id"]: job for job in first.data["jobs"]}
        assert set(shown) == {done, running}
        assert shown[running]["text"] == {"main": "so far"}
        text = shown[done].pop("text")
        assert text == {}
        listed = {job["id"]: job for job in web.http.get("/backburner/jobs").json()["jobs"]}
        assert shown[done] == listed[done]
        hand.say(" more")
        second = following.one()
        assert second.data["delta"] == " more"
        assert int(second.id.removeprefix("o-")) == int(first.id.removeprefix("o-")) + 1


def test_nothing_of_others_reaches_an_owners_stream(web: Web, bb: Backburner) -> None:
    with web.follow("/events") as following:
        assert following.one().id == "o-0"
        bb.tasks["write"].using(owner="bob").submit_sync(text="x")
        bb.tasks["write"].submit_sync(text="x")
        mine = web.submit()
        assert following.one().data["job"] == mine


def test_a_silent_stream_gives_signs_of_life_without_an_id(bb: Backburner) -> None:
    with Web(bb, heartbeat=0.05) as web:
        job = web.submit()
        with web.follow(f"/jobs/{job}/events") as following:
            found = following.next(4)
        assert names(found) == ["snapshot", "heartbeat", "heartbeat", "heartbeat"]
        assert {message.id for message in found} == {"j-1"}
        assert found[1].data == {}
        with web.follow("/events") as everything:
            assert names(everything.next(2)) == ["snapshot", "heartbeat"]


def test_a_busy_stream_gives_them_too(bb: Backburner) -> None:
    with Web(bb, heartbeat=0.05) as web:
        job, hand = web.submit(), Hand(bb)
        hand.take()
        with web.follow(f"/jobs/{job}/events") as following:
            found = following.next(1)
            deadline = time.monotonic() + PATIENCE
            while "heartbeat" not in names(found) and time.monotonic() < deadline:
                hand.say("on and on")
                found += following.next(1)
        assert "heartbeat" in names(found)


def test_the_log_as_json_is_what_the_stream_says(web: Web, bb: Backburner) -> None:
    job, hand = web.submit(), Hand(bb)
    hand.take()
    for number in range(5):
        hand.say(f"{number} ")
    hand.complete()
    with web.follow(f"/jobs/{job}/events", "j-0") as following:
        streamed = [{"id": each.id, "event": each.event, "data": each.data} for each in following.rest()]
    assert web.log_of(job) == streamed

    def page(path: str, **params: Any) -> Any:
        return web.http.get(f"/backburner{path}", params=params, headers={"Accept": "application/json"})

    few = page(f"/jobs/{job}/events", after="j-3", limit=2).json()
    assert ([each["id"] for each in few["events"]], few["next"]) == (["j-4", "j-5"], "j-5")
    assert page(f"/jobs/{job}/events", after="j-8").json() == {"events": [], "next": "j-8"}
    mine = page("/events").json()
    assert [each["data"] for each in mine["events"]] == [each["data"] for each in streamed]
    assert mine["next"] == f"o-{len(streamed)}"
    bad = page(f"/jobs/{job}/events", after="o-1")
    assert (bad.status_code, set(bad.json()["errors"])) == (422, {"after"})


def test_a_client_that_accepts_both_is_given_the_stream(web: Web) -> None:
    job = web.submit()
    headers = {"Accept": "application/json, text/event-stream"}
    with web.http.stream("GET", f"/backburner/jobs/{job}/events", headers=headers) as response:
        assert response.headers["content-type"] == "text/event-stream"


def test_a_client_that_goes_away_leaves_nothing_behind_and_cancels_nothing(web: Web, bb: Backburner) -> None:
    job = web.submit()
    with contextlib.ExitStack() as stack:
        open_ones = [stack.enter_context(web.follow(path)) for path in [f"/jobs/{job}/events", "/events"] * 3]
        for following in open_ones:
            following.one()
        hub = the_hub(bb)
        until(lambda: count_streams(hub) == 6)
    until(lambda: count_streams(hub) == 0)
    until(lambda: hub._reader is None and hub._unsubscribe is None)
    assert web.http.get(f"/backburner/jobs/{job}").json()["status"] == "pending"


def test_a_client_that_stops_reading_is_cut_while_another_gets_everything(web: Web, bb: Backburner) -> None:
    job, hand = web.submit(), Hand(bb)
    hand.take()
    request = f"GET /backburner/jobs/{job}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    with socket.socket() as slow, web.follow(f"/jobs/{job}/events") as fast:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", web.port))
        slow.sendall(request)
        assert slow.recv(15) == b"HTTP/1.1 200 OK"
        found = fast.next(1)
        hub = the_hub(bb)
        until(lambda: count_streams(hub) == 2 and count_live(hub) == 2)
        stream_of_slow = set(next(iter(hub._followed.values())).streams)
        piece = "长" * 5000
        sent = 0
        while all(not stream._ended for stream in stream_of_slow):
            hand.say(piece)
            found += fast.next(1)
            sent += 1
            assert sent < 5000, "nobody was cut"
        for _ in range(10):
            hand.say(piece)
            found += fast.next(1)
            sent += 1
        hand.complete()
        found += fast.rest()
        assert rebuild({}, found) == {"main": piece * sent}
        seen, ended = read_to_the_end(slow)
    assert ended, "the stream was not ended properly"
    cursor = seen[-1].id
    assert cursor != found[-1].id
    with web.follow(f"/jobs/{job}/events", cursor) as resumed:
        assert rebuild({}, seen + resumed.rest()) == {"main": piece * sent}


def test_a_big_text_on_one_line_does_not_hold_up_another(web: Web, bb: Backburner) -> None:
    big, hand = web.submit(), Hand(bb)
    hand.take()
    for _ in range(40):
        hand.say("長" * 100_000)
    other, second = web.submit(), Hand(bb)
    second.take()
    request = f"GET /backburner/jobs/{big}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", web.port)) as stuck, web.follow(f"/jobs/{other}/events") as following:
        stuck.sendall(request)
        assert stuck.recv(15) == b"HTTP/1.1 200 OK"
        following.one()
        second.say("passes by")
        assert following.one().data["delta"] == "passes by"


def test_streams_end_when_the_hubs_are_closed_and_a_late_one_ends_at_once(web: Web, bb: Backburner) -> None:
    job = web.submit()
    with web.follow(f"/jobs/{job}/events") as following:
        following.one()
        threading.Thread(target=bb.hubs.close).start()
        assert following.rest() == []
    with web.follow(f"/jobs/{job}/events") as following:
        assert names(following.rest()) == ["snapshot"]


def the_hub(bb: Backburner) -> Hub:
    (hub,) = bb.hubs._hubs
    return hub


def count_streams(hub: Hub) -> int:
    return sum(len(followed.streams) for followed in list(hub._followed.values()))


def count_live(hub: Hub) -> int:
    return sum(stream._live for followed in list(hub._followed.values()) for stream in set(followed.streams))


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.005)


def read_to_the_end(line: socket.socket) -> tuple[list[Message], bool]:
    """What came over a raw HTTP/1.1 line, and whether the response was brought to its proper end."""
    line.settimeout(PATIENCE)
    raw = bytearray(b"HTTP/1.1 200 OK")
    while not raw.endswith(b"\r\n0\r\n\r\n"):
        piece = line.recv(65536)
        if not piece:
            break
        raw += piece
    body = raw.partition(b"\r\n\r\n")[2]
    text = bytearray()
    while body:
        size, _, body = body.partition(b"\r\n")
        text += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    messages = []
    for block in text.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "data" in fields and "id" in fields:
            messages.append(Message(fields["id"], fields["event"], json.loads(fields["data"])))
    return messages, raw.endswith(b"\r\n0\r\n\r\n")
