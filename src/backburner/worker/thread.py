"""A worker inside a web process: on a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import logging
import threading

from .worker import Worker

log = logging.getLogger("backburner.worker")


class WorkerThread:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._thread = threading.Thread(target=self._run, name="backburner-worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Drain and wait for the end."""
        self._worker.stop()
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._worker.run())
        except Exception:
            log.exception("the worker ended with an error")
