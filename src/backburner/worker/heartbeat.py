"""A thread of its own renews the lease, so that a handler which blocks the event loop does not lose it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ..domain.errors import BackburnerError
from ..domain.operations import FailUnknown, Renew, Rescue
from ..ports import Store

log = logging.getLogger("backburner.worker")

LOOK_FOR_DEAD = 1.0
UNKNOWN_PATIENCE = 600.0


class Heartbeat:
    """Renews one worker's lease and rescues the jobs of others.

    ``identity`` answers the worker's present id, which changes when it had to sign on again.
    """

    def __init__(self, store: Store, lease: float, rescue_cap: int, identity: Callable[[], str]) -> None:
        self._store = store
        self._lease = lease
        self._rescue_cap = rescue_cap
        self._identity = identity
        self._stop = threading.Event()
        self._renewed = time.monotonic()
        self._calm_since = time.monotonic()
        self._stalled: float | None = None
        """When the store could not be used last."""
        self._offset = time.time() - time.monotonic()
        self._thread: threading.Thread | None = None

    def start(self, lost: Callable[[], None]) -> None:
        """``lost`` is called when the worker turns out to have been given up by the others."""
        self._lost = lost
        self._thread = threading.Thread(target=self._run, name="backburner-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=6)

    def renewed(self) -> None:
        """The worker has just signed on: its lease is fresh."""
        self._renewed = time.monotonic()

    def stalled(self) -> None:
        """The store cannot be used: that a lock is free, or a lease ran out, proves nothing for a while."""
        self._stalled = time.monotonic()

    def clock_moved(self) -> None:
        """The database's clock has jumped: that a lease ran out proves nothing for a while."""
        self._calm_since = time.monotonic()

    def silence(self) -> float:
        """Seconds since the lease was last renewed."""
        return time.monotonic() - self._renewed

    def _run(self) -> None:
        interval = min(LOOK_FOR_DEAD, self._lease / 6)
        while True:
            try:
                if self.silence() >= self._lease / 3:
                    self._renew()
                    self._rescue_expired()
                    self._fail_unknown()
                self._rescue_dead()
            except BackburnerError as error:
                self.stalled()
                log.warning("the heartbeat failed: %s", error)
            except Exception:
                log.exception("the heartbeat failed")
            if self._stop.wait(interval):
                return

    def _renew(self) -> None:
        if self._disturbed():
            self._calm_since = time.monotonic()
        worker = self._identity()
        alive = self._store.write_sync(Renew(worker, self._lease))
        self.renewed()
        if not alive and worker == self._identity():
            self._lost()

    def _disturbed(self) -> bool:
        """A stall of the store or of this process, or a jump of the clock: then expiry proves nothing."""
        offset = time.time() - time.monotonic()
        jumped = abs(offset - self._offset) > 1.0
        self._offset = offset
        return jumped or self.silence() > self._lease / 2

    def _rescue_expired(self) -> None:
        if time.monotonic() - self._calm_since > self._lease and self._store_is_steady():
            self._rescue((), expired=True)

    def _fail_unknown(self) -> None:
        count = self._store.write_sync(FailUnknown(UNKNOWN_PATIENCE))
        if count:
            log.warning("failed %d jobs whose task no live worker knows", count)

    def _store_is_steady(self) -> bool:
        return self._stalled is None or time.monotonic() - self._stalled > self._lease

    def _rescue_dead(self) -> None:
        """Asking also takes this worker's own lock again, where its session broke."""
        dead = tuple(worker for worker in self._store.dead_workers() if worker != self._identity())
        if dead and self._store_is_steady():
            self._rescue(dead, expired=False)

    def _rescue(self, workers: tuple[str, ...], expired: bool) -> None:
        count = self._store.write_sync(Rescue(workers, expired, self._rescue_cap))
        if count:
            log.warning("rescued %d jobs of lost workers", count)
