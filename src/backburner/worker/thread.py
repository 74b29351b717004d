"""A worker inside a web process: on a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger("backburner.worker")

Stop = Callable[[], None]


class WorkerThread:
    """``run(stopper)`` works until the function that it hands to ``stopper`` is called."""

    def __init__(self, run: Callable[[Callable[[Stop], None]], Coroutine[Any, Any, None]]) -> None:
        self._run = run
        self._stop: Stop | None = None
        self._can_stop = threading.Event()
        self._thread = threading.Thread(target=self._main, name="backburner-worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Drain and wait for the end."""
        self._can_stop.wait()
        if self._stop is not None:
            self._stop()
        self._thread.join()

    def _main(self) -> None:
        try:
            asyncio.run(self._run(self._set_stop))
        except Exception:
            log.exception("the worker ended with an error")
        finally:
            self._can_stop.set()

    def _set_stop(self, stop: Stop) -> None:
        self._stop = stop
        self._can_stop.set()
