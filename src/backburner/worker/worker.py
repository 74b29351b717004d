"""A worker: takes jobs from the line, runs them side by side, settles each."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..domain.deadline import Alarm
from ..domain.errors import LeaseLost, StoreUnavailable
from ..domain.ids import new_id
from ..domain.job import Claimed
from ..domain.operations import (
    CancelRequests,
    Claim,
    Failed,
    Limit,
    Notify,
    Operation,
    Outcome,
    Parked,
    Reclaim,
    RegisterWorker,
    Released,
    Retire,
    Settle,
)
from ..ports import Handler, Hint, Observer, Signal, Store, TaskSpec
from .executor import Running, Stopped, describe, execute, stopped_outcome
from .heartbeat import Heartbeat
from .looking import Looker

log = logging.getLogger("backburner.worker")

ABANDON_AFTER = 10.0
STORE_BACK_OFF = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """``concurrency`` jobs at once; ``lease``, ``poll`` and ``grace`` in seconds.

    ``grace`` is how long a stopping worker lets its jobs run before it gives them back. After ``rescue_cap`` deaths of
    its worker a job has failed.
    """

    concurrency: int = 100
    lease: float = 30.0
    poll: float = 5.0
    grace: float = 10.0
    rescue_cap: int = 5


class Worker:
    """Runs on the event loop that awaits `run`; `stop` may be called from anywhere, a second time to hurry."""

    def __init__(
        self,
        store: Store,
        signal: Signal,
        tasks: Mapping[str, TaskSpec],
        prepare: Callable[[Claimed], Handler],
        limits: Limits,
        queues: Mapping[str, Limit],
        beside: Sequence[Looker],
        observer: Observer | None = None,
    ) -> None:
        self._store = store
        self._signal = signal
        self._tasks = tasks
        self._prepare = prepare
        self._limits = limits
        self._queues = dict(queues)
        self._beside = beside
        self._observer = observer
        self._task_limits = {name: task.limit for name, task in tasks.items()}
        self._limited_tasks = {name for name, limit in self._task_limits.items() if limit}
        self._wake = asyncio.Event()
        self._running: set[Running] = set()
        self._executing: set[asyncio.Task[None]] = set()
        """Tasks of the worker's own, and those of abandoned jobs."""
        self._alarm = Alarm()
        self._heartbeat = Heartbeat(store, limits.lease, limits.rescue_cap, self._identity)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signing_on = False
        self._unsure = False
        """Whether a claim was made whose answer was lost."""
        self._stopping = False
        self._hurry = False

    async def run(self) -> None:
        """Work until `stop`, then drain. Returns when every job has ended or is back in the line."""
        self._loop = asyncio.get_running_loop()
        if not await self._sign_on_in_time():
            return
        unsubscribe = self._signal.subscribe(self._on_hint)
        self._heartbeat.start(lost=lambda: self._call_soon(self._lose_everything))
        for looker in self._beside:
            looker.start()
        watch = asyncio.create_task(self._watch())
        try:
            await self._work()
            await self._drain()
        except asyncio.CancelledError:
            self._stopping = self._hurry = True
            await self._drain()
            raise
        finally:
            unsubscribe()
            watch.cancel()
            for looker in self._beside:
                await asyncio.to_thread(looker.stop)
            await asyncio.to_thread(self._heartbeat.stop)
            await self._sign_off()
            self._forget_the_stubborn()

    def stop(self) -> None:
        """Take no more jobs; called again, give the running ones back at once."""
        self._hurry = self._stopping
        self._stopping = True
        for looker in self._beside:
            looker.cease()
        self._call_soon(self._wake.set)

    def clock_moved(self) -> None:
        """The database's clock has jumped: whatever is due by now is due. From any thread."""
        self._heartbeat.clock_moved()
        for looker in self._beside:
            looker.wake()
        self._call_soon(self._wake.set)

    async def _sign_on_in_time(self) -> bool:
        """Sign on as soon as the store can be written; False when the worker is stopped before."""
        while True:
            try:
                await self._sign_on()
                return True
            except StoreUnavailable as error:
                self._heartbeat.stalled()
                log.warning("cannot sign on: %s", error)
            except Exception:
                if not self._signing_on:  # whoever started it gets the error
                    raise
                log.exception("cannot sign on")
            await asyncio.sleep(STORE_BACK_OFF)
            if self._stopping:
                return False

    async def _sign_on(self) -> None:
        worker = new_id()
        unlock = self._store.lock_worker(worker)
        try:
            await self._store.write(
                RegisterWorker(worker, self._limits.lease, tuple(self._tasks), self._limits.concurrency)
            )
        except BaseException:
            unlock()
            raise
        self._id, self._unlock = worker, unlock
        self._heartbeat.renewed()
        log.info("worker %s is ready: %d tasks, %d jobs at once", worker, len(self._tasks), self._limits.concurrency)

    async def _work(self) -> None:
        while not self._stopping:
            free = min(self._limits.concurrency - len(self._running), self._store.widest_claim)
            self._wake.clear()
            patience: float = self._limits.poll
            if free > 0 and not self._signing_on:
                worker = self._id
                try:
                    if self._unsure:
                        await self._store.write(Reclaim(worker, tuple(each.job.id for each in self._running)))
                        self._unsure = False
                    claims = await self._store.write(Claim(worker, self._task_limits, free, self._queues))
                except StoreUnavailable as error:
                    log.warning("cannot take jobs: %s", error)
                    self._unsure = True
                    patience = STORE_BACK_OFF
                except LeaseLost:
                    self._lose_everything()
                except Exception:
                    log.exception("cannot take jobs")
                    patience = STORE_BACK_OFF
                else:
                    if self._signing_on or worker != self._id:
                        continue  # claimed by what this worker was before: they will be rescued from it
                    for job in claims.jobs:
                        self._start(job)
                    if len(claims.jobs) == free or claims.more:
                        continue
                    if self._observer is not None and not self._running:
                        await self._observer.idle(claims.wait)
                    if claims.wait is not None:
                        patience = min(patience, max(claims.wait, 0.001))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._wake.wait()

    def _start(self, job: Claimed) -> None:
        handler = self._prepare(job)
        if self._observer is not None:
            handler = self._observer.around(job, handler)
        running = Running(job, self._tasks[job.task], handler)
        self._running.add(running)
        assert self._loop is not None
        running.task = self._loop.create_task(self._execute(running))

    async def _execute(self, running: Running) -> None:
        job = running.job
        try:
            outcome = await self._call(running)
            if isinstance(outcome, Released | Parked):
                await running.handler.ended()  # or it would run twice
            if outcome is not None and not running.settled:
                running.settled = True
                await self._settle(running, outcome)
            await running.handler.ended()
        except LeaseLost:
            log.info("job %s went to another worker", job.id)
        except Exception as error:
            log.exception("job %s could not be run", job.id)
            await self._settle_somehow(running, Failed(describe(error), None))
        finally:
            self._leave(running)

    async def _call(self, running: Running) -> Outcome | None:
        """Call the handler. Only here may the task be cancelled: what comes before and after must not be lost."""
        job, deadline = running.job, running.handler.deadline
        deadline.start(self._alarm, lambda: self._interrupt(running, Stopped.TIMED_OUT))
        try:
            notice = running.spec.notice("started", job.owner, job.args, None)
            if notice is not None:
                await self._write(job, Notify(running.execution, "started", notice))
            if running.stopped is not None:
                return stopped_outcome(running)
            running.interruptible = True
            return await execute(running)
        finally:
            running.interruptible = False
            deadline.cancel()

    def _leave(self, running: Running) -> None:
        """Its slot is free."""
        self._running.discard(running)
        self._wake.set()

    async def _settle(self, running: Running, outcome: Outcome) -> None:
        job = running.job
        limited = job.task in self._limited_tasks or bool(self._queues.get(job.queue))
        await self._write(job, Settle(running.execution, outcome, limited))

    async def _settle_somehow(self, running: Running, outcome: Outcome) -> None:
        """Whatever is wrong with the store: a job that nobody settles would be waited for without end."""
        while True:
            try:
                return await self._settle(running, outcome)
            except LeaseLost:
                return None
            except Exception:
                log.exception("cannot write that job %s has failed", running.job.id)
            await asyncio.sleep(STORE_BACK_OFF)

    async def _write(self, job: Claimed, operation: Operation[Any]) -> None:
        """A store that cannot be written just now is waited for: the fence says whether the job is still ours."""
        while True:
            try:
                await self._store.write(operation)
                return
            except StoreUnavailable as error:
                log.warning("cannot write what became of job %s yet: %s", job.id, error)
                operation = operation.repeated()
                await asyncio.sleep(STORE_BACK_OFF)

    def _on_hint(self, hint: Hint) -> None:
        if hint.work and not self._wake.is_set():
            self._call_soon(self._wake.set)
        if hint.cancel:
            self._call_soon(self._look_for_cancels)

    def _look_for_cancels(self) -> None:
        self._spawn(self._cancel_requested())

    async def _cancel_requested(self) -> None:
        try:
            wanted = await self._store.read(CancelRequests(self._id))
        except StoreUnavailable as error:
            log.warning("cannot look for cancelled jobs: %s", error)
            return
        for job in wanted:
            running = next((each for each in self._running if each.job.id == job and not each.settled), None)
            if running is None:  # claimed, and not started yet
                asyncio.get_running_loop().call_later(0.05, self._look_for_cancels)
            else:
                self._interrupt(running, Stopped.CANCELLED)

    def _interrupt(self, running: Running, why: Stopped) -> None:
        if running.stopped is None:
            running.stopped = why
            running.handler.interrupt()
            if running.interruptible and running.task is not None:
                running.task.cancel()
            asyncio.get_running_loop().call_later(ABANDON_AFTER, self._abandon, running)

    def _abandon(self, running: Running) -> None:
        """The handler does not listen: settle without it. The fence keeps out whatever it still writes.

        A drained one is not given back while it still runs: it would run twice.
        """
        if running not in self._running or running.stopped is Stopped.DRAINED:
            return
        log.warning(
            "job %s (%s) ignores its cancellation and is abandoned; it keeps its slot until its %s",
            running.job.id,
            running.job.task,
            f"thread ends: {', '.join(running.handler.threads)}" if running.handler.threads else "coroutine ends",
        )
        if running.settled:
            return
        running.settled = True
        assert running.task is not None
        self._keep(running.task)
        self._spawn(self._settle_abandoned(running))

    async def _settle_abandoned(self, running: Running) -> None:
        outcome = stopped_outcome(running)
        with contextlib.suppress(LeaseLost):
            if outcome is not None:
                await self._settle(running, outcome)
        await running.handler.ended()
        self._leave(running)

    async def _watch(self) -> None:
        """A lease that could not be renewed for two thirds of its time is as good as lost."""
        while True:
            await asyncio.sleep(self._limits.lease / 6)
            if self._heartbeat.silence() > self._limits.lease * 2 / 3:
                self._lose_everything()
            if self._running:
                self._look_for_cancels()

    def _lose_everything(self) -> None:
        if self._signing_on:
            return
        self._signing_on = True
        log.error("worker %s lost its lease and signs on again", self._id)
        for running in list(self._running):
            self._interrupt(running, Stopped.LOST)
        self._unlock()
        self._spawn(self._sign_on_again())

    async def _sign_on_again(self) -> None:
        if await self._sign_on_in_time():
            self._signing_on = False
            self._wake.set()

    async def _drain(self) -> None:
        if self._running:
            log.info("stopping: %d job(s) have %.0f s to end", len(self._running), self._limits.grace)
            loop = asyncio.get_running_loop()
            await self._wait_until(loop.time() + self._limits.grace)
            for running in list(self._running):
                self._interrupt(running, Stopped.DRAINED)
            await self._wait_until(loop.time() + ABANDON_AFTER)
        if unfinished := self._unfinished():
            await asyncio.wait(unfinished, timeout=1)

    async def _wait_until(self, deadline: float) -> None:
        """Until every job has ended, or somebody is in a hurry."""
        while self._running and not self._hurry:
            self._wake.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()
            except TimeoutError:
                return

    async def _sign_off(self) -> None:
        """What is still held goes back into the line: a claim answered too late, a coroutine that ignored its end.

        A job that still runs in a thread stays with this process: its lock says that the process lives.
        """
        threads = [name for running in self._running for name in running.handler.threads]
        if threads:
            log.warning(
                "%d thread(s) still run; their jobs go on elsewhere once this process has ended: %s",
                len(threads),
                ", ".join(threads),
            )
            return
        with contextlib.suppress(StoreUnavailable):
            await self._store.write(Retire(self._id))
        self._unlock()

    def _forget_the_stubborn(self) -> None:
        """A function that ignores every cancellation must not keep the event loop from ending."""
        for task in self._unfinished():
            log.debug("still runs: %s", task.get_coro())
            asyncio._unregister_task(task)  # see "Extending asyncio" in Python's manual
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # as asyncio.gather does

    def _unfinished(self) -> set[asyncio.Task[None]]:
        return self._executing.union(running.task for running in self._running if running.task is not None)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._keep(asyncio.create_task(coroutine))

    def _keep(self, task: asyncio.Task[None]) -> None:
        """An event loop by itself does not keep its tasks alive."""
        self._executing.add(task)
        task.add_done_callback(self._executing.discard)

    def _identity(self) -> str:
        return self._id

    def _call_soon(self, function: Callable[[], None]) -> None:
        if self._loop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(function)
