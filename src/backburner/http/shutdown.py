"""Ending the streams when the server is told to stop."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..app import Backburner

Handler = Callable[[int, FrameType | None], Any]


@contextlib.contextmanager
def streams_end_on_signals(bb: Backburner) -> Iterator[None]:
    """Close open event streams on SIGTERM and SIGINT, before the server's own handler sees them.

    A server such as uvicorn waits for open responses before it shuts the application down, and a stream has no end of
    its own. See `on_signals`.
    """
    with on_signals(bb.hubs.close):
        yield


@contextlib.contextmanager
def on_signals(call: Callable[[], None]) -> Iterator[None]:
    """While the block runs, ``call`` goes before the handlers of SIGTERM and SIGINT.

    Does nothing outside the main thread, where nobody may handle signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    installed = {number: _wrap(number, call) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, wrapped in installed.items():
            if wrapped is not None and signal.getsignal(number) is wrapped[0]:
                signal.signal(number, wrapped[1])


def _wrap(number: int, call: Callable[[], None]) -> tuple[Handler, Handler] | None:
    """Our handler and the one it stands before; None where a signal ends the process anyway, or is ignored."""
    previous = signal.getsignal(number)
    if not callable(previous):
        return None

    def handle(number: int, frame: FrameType | None) -> None:
        call()
        previous(number, frame)

    signal.signal(number, handle)
    return handle, previous
