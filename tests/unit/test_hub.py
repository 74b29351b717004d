"""The hub on a real store: what its streams bring, when they are cut, and when they end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backburner import Backburner, StoreUnavailable
from backburner.delivery.hub import Hub
from backburner.delivery.hubs import Hubs
from backburner.delivery.log import PAGE, Entry, JobLog, OwnerLog
from backburner.delivery.stream import Stream
from backburner.domain.operations import Erase, Retry
from backburner.ports import Hint
from tests.integration.http_support import PATIENCE, Hand, make_bb


class Bell:
    """A signal that rings by hand and knows who listens."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[Hint], None]] = []

    def ring(self, hint: Hint) -> None:
        thread = threading.Thread(target=lambda: [listener(hint) for listener in self.listeners])
        thread.start()
        thread.join()

    def subscribe(self, listener: Callable[[Hint], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def close(self) -> None:
        self.listeners.clear()


EVENTS = Hint(events=True)


@pytest.fixture
def bb(tmp_path: Path) -> Iterator[Backburner]:
    bb = make_bb(tmp_path)
    yield bb
    bb.close()


@pytest.fixture
def bell() -> Bell:
    return Bell()


def submit(bb: Backburner, owner: str | None = "ann") -> str:
    job = bb.tasks["write"].using(owner=owner).submit_sync(text="x")
    return job.id


async def read(stream: Stream, count: int) -> list[Entry]:
    """At least ``count`` entries, fewer when the stream ends."""
    found: list[Entry] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            entries = await stream.read()
            if not entries:
                break
            found += entries
    return found


async def read_all(stream: Stream) -> list[Entry]:
    return await read(stream, 1_000_000)


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.number for entry in entries]


async def live(*streams: Stream) -> None:
    """Wait until they have caught up with the log."""
    async with asyncio.timeout(PATIENCE):
        while not all(stream._live for stream in streams):  # noqa: ASYNC110  # nobody is told when one has
            await asyncio.sleep(0.001)


async def test_history_comes_first_and_what_is_committed_later_follows_without_a_gap(
    bb: Backburner, bell: Bell
) -> None:
    job, hand = submit(bb), Hand(bb)
    hand.take()
    for number in range(PAGE + 10):
        hand.say(f"{number} ")
    hub = Hub(bb.store, bell)
    with hub.follow(JobLog(job), 0) as stream:
        found = await read(stream, PAGE + 12)
        hand.say("later")
        bell.ring(EVENTS)
        found += await read(stream, 1)
    assert list(range(1, PAGE + 14)) == numbers(found)


async def test_nothing_is_lost_when_commits_race_with_the_start_of_a_stream(bb: Backburner) -> None:
    job, hand = submit(bb), Hand(bb)
    hand.take()
    hub = Hub(bb.store, bb.signal)

    def talk() -> None:
        for number in range(600):
            hand.say(f"{number} ")
        hand.complete()

    talking = asyncio.create_task(asyncio.to_thread(talk))

    async def follow(after: int) -> list[int]:
        with hub.follow(JobLog(job), after) as stream:
            return numbers(await read_all(stream))

    found = []
    for after in range(20):
        found.append(asyncio.create_task(follow(after)))
        await asyncio.sleep(0.001)
    everything = await asyncio.gather(*found)
    await talking
    last = 2 + 600 + 1  # submitted and started, the text, the end
    assert [list(range(after + 1, last + 1)) for after in range(20)] == everything


async def test_an_event_is_encoded_once_for_all_live_streams(bb: Backburner, bell: Bell) -> None:
    job, hand = submit(bb), Hand(bb)
    hand.take()
    hub = Hub(bb.store, bell)
    with hub.follow(JobLog(job), 2) as one, hub.follow(JobLog(job), 2) as two:
        reading = [asyncio.create_task(read(stream, 1)) for stream in (one, two)]
        await live(one, two)
        hand.say("hello")
        bell.ring(EVENTS)
        (first,), (second,) = await asyncio.gather(*reading)
    assert first.text is second.text


async def test_a_stream_that_lets_its_queue_run_full_is_cut_and_nobody_else_notices(bb: Backburner, bell: Bell) -> None:
    job, hand = submit(bb), Hand(bb)
    hand.take()
    hub = Hub(bb.store, bell, width=PAGE)
    ended: list[str] = []
    with hub.follow(JobLog(job), 2) as slow, hub.follow(JobLog(job), 2) as fast:
        slow.on_end = lambda: ended.append("slow")
        reading = [asyncio.create_task(read(stream, 1)) for stream in (slow, fast)]
        await live(slow, fast)
        hand.say("first")
        bell.ring(EVENTS)
        taken = await asyncio.gather(*reading)
        got = taken[1]
        for number in range(PAGE + 1):
            hand.say(f"{number} ")
            bell.ring(EVENTS)
            got += await read(fast, 1)
        assert list(range(3, PAGE + 5)) == numbers(got)
        assert ended == ["slow"]
        assert await read(slow, 1) == []
        cursor = slow.number
    with hub.follow(JobLog(job), cursor) as resumed:
        assert list(range(4, PAGE + 5)) == numbers(await read(resumed, PAGE + 1))


async def test_a_stream_that_still_reads_history_is_never_cut(bb: Backburner, bell: Bell) -> None:
    job, hand = submit(bb), Hand(bb)
    hand.take()
    for number in range(2 * PAGE):
        hand.say(f"{number} ")
    hub = Hub(bb.store, bell, width=PAGE)
    with hub.follow(JobLog(job), 2 * PAGE) as live, hub.follow(JobLog(job), 0) as behind:
        found = await read(behind, 1)
        seen = await read(live, 2)
        for number in range(PAGE + 10):
            hand.say(f"more {number} ")
            bell.ring(EVENTS)
            seen += await read(live, 1)
        last = seen[-1].number
        found += await read(behind, last - len(found))
    assert list(range(1, last + 1)) == numbers(found)


async def test_a_stream_ends_behind_the_last_word_of_a_job(bb: Backburner) -> None:
    job, hand = submit(bb), Hand(bb)
    hand.take()
    hub = Hub(bb.store, bb.signal)
    with hub.follow(JobLog(job), 0) as stream:
        assert numbers(await read(stream, 2)) == [1, 2]
        hand.complete()
        assert numbers(await read_all(stream)) == [3]


async def test_a_stream_goes_on_over_an_end_that_was_retried(bb: Backburner) -> None:
    job, hand = submit(bb), Hand(bb)
    hand.take()
    hand.fail()
    bb.store.write_sync(Retry(job, "ann"))
    hub = Hub(bb.store, bb.signal)
    with hub.follow(JobLog(job), 3) as stream:
        assert numbers(await read(stream, 1)) == [4]
        hand.take()
        hand.complete()
        assert numbers(await read_all(stream)) == [5, 6]


async def test_a_stream_ends_when_its_job_is_erased(bb: Backburner, bell: Bell) -> None:
    job, hand = submit(bb), Hand(bb)
    hand.take()
    hub = Hub(bb.store, bell)
    with hub.follow(JobLog(job), 2) as stream:
        reading = asyncio.create_task(read(stream, 1))
        await live(stream)
        hand.complete()
        bb.store.write_sync(Erase(job, "ann"))
        bell.ring(EVENTS)
        assert await reading == []


async def test_an_owners_stream_brings_all_jobs_and_survives_the_gaps_that_erasing_leaves(
    bb: Backburner, bell: Bell
) -> None:
    hand = Hand(bb)
    first, second = submit(bb), submit(bb)
    submit(bb, owner="bob")
    hub = Hub(bb.store, bell)
    with hub.follow(OwnerLog("ann"), 0) as stream:
        assert numbers(await read(stream, 2)) == [1, 2]
        hand.take()
        hand.complete()
        hand.take()  # it is bob's turn
        hand.take()
        bb.store.write_sync(Erase(first, "ann"))
        bell.ring(EVENTS)
        found = await read(stream, 1)
        assert numbers(found) == [5]
        assert second in found[0].text.decode()


async def test_a_lost_hint_costs_no_more_than_the_slow_look(bb: Backburner, bell: Bell) -> None:
    job, hand = submit(bb), Hand(bb)
    hand.take()
    hub = Hub(bb.store, bell, slow_look=0.05)
    with hub.follow(JobLog(job), 2) as stream:
        reading = asyncio.create_task(read(stream, 1))
        await live(stream)
        hand.say("nobody rings")
        assert numbers(await reading) == [3]


async def test_a_hub_listens_only_while_somebody_follows(bb: Backburner, bell: Bell) -> None:
    job = submit(bb)
    hub = Hub(bb.store, bell)
    assert bell.listeners == []
    with hub.follow(JobLog(job), 0), hub.follow(OwnerLog("ann"), 0):
        assert len(bell.listeners) == 1
    assert bell.listeners == []
    with hub.follow(JobLog(job), 0) as stream:
        assert numbers(await read(stream, 1)) == [1]
        assert len(bell.listeners) == 1


async def test_reading_can_be_interrupted_and_taken_up_again(bb: Backburner, bell: Bell) -> None:
    job, hand = submit(bb), Hand(bb)
    hand.take()
    hub = Hub(bb.store, bell)
    with hub.follow(JobLog(job), 0) as stream:
        found: list[Entry] = []
        while len(found) < 2:
            try:
                async with asyncio.timeout(0):
                    found += await stream.read()
            except TimeoutError:
                found += await read(stream, 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await stream.read()
        hand.say("then")
        bell.ring(EVENTS)
        found += await read(stream, 1)
    assert numbers(found) == [1, 2, 3]


async def test_close_ends_streams_from_another_thread_and_later_ones_at_once(bb: Backburner, bell: Bell) -> None:
    job = submit(bb)
    hubs = Hubs(bb.store, bell)
    hub = hubs.here()
    assert hub is hubs.here()
    with hub.follow(JobLog(job), 1) as stream:
        reading = asyncio.create_task(read(stream, 1))
        await live(stream)
        await asyncio.to_thread(hubs.close)
        assert await reading == []
    assert bell.listeners == []
    with hubs.here().follow(JobLog(job), 0) as late:
        assert await read(late, 1) == []


def test_every_event_loop_has_a_hub_of_its_own(bb: Backburner, bell: Bell) -> None:
    hubs = Hubs(bb.store, bell)

    async def here() -> Hub:
        return hubs.here()

    first, second = asyncio.run(here()), asyncio.run(here())
    assert first is not second
    hubs.close()


async def test_a_store_that_is_closed_under_a_stream_ends_it(bb: Backburner, bell: Bell) -> None:
    job = submit(bb)
    hub = Hub(bb.store, bell, slow_look=0.01)
    with hub.follow(JobLog(job), 1) as stream:
        reading = asyncio.create_task(read(stream, 1))
        await live(stream)
        hub.close()
        await asyncio.to_thread(bb.store.close)
        assert await reading == []


async def test_history_that_cannot_be_read_is_an_error_of_the_reader(bb: Backburner, bell: Bell) -> None:
    job = submit(bb)
    store = bb.store
    store.close()
    hub = Hub(store, bell)
    with hub.follow(JobLog(job), 0) as stream, pytest.raises(StoreUnavailable):
        await stream.read()


async def test_following_a_thousand_streams_takes_one_read_for_what_moved(bb: Backburner, bell: Bell) -> None:
    hand = Hand(bb)
    jobs = [submit(bb) for _ in range(100)]
    hand.take()
    hub = Hub(bb.store, bell)
    streams = []
    contexts = [hub.follow(JobLog(job), 0) for job in jobs for _ in range(10)]
    try:
        streams = [context.__enter__() for context in contexts]
        first = await asyncio.gather(*(read(stream, 1) for stream in streams))
        assert {(1,), (1, 2)} >= {tuple(numbers(entries)) for entries in first}
        reading = [asyncio.create_task(read(stream, 1)) for stream in streams[:10]]
        await live(*streams[:10])
        hand.say("only the first job moves")
        bell.ring(EVENTS)
        found = await asyncio.gather(*reading)
        assert {(3,)} == {tuple(numbers(entries)) for entries in found}
        assert len({id(entries[0].text) for entries in found}) == 1
    finally:
        for context in contexts:
            context.__exit__(None, None, None)
    assert bell.listeners == []
