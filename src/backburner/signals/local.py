"""The doorbell of one machine: a Unix datagram socket a process, in a short runtime folder."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import select
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..ports import Hint
from .bits import EVERYTHING, from_bits, to_bits
from .listeners import Listeners

log = logging.getLogger("backburner.signals")

STOP = 128
NET_INTERVAL = 0.1


class Doorbell:
    """Rings every process that shares a place (a database file).

    ``changed`` is the net behind the bell: called every 100 ms, it says whether the store was written by another
    process since it was last asked, so that a hint that got lost costs a tenth of a second.
    """

    def __init__(self, place: str, changed: Callable[[], bool]) -> None:
        self._folder = runtime_folder(place)
        self._changed = changed
        self._listeners = Listeners()
        self._lock = threading.Lock()
        self._closed = False
        self._path = self._folder / f"{os.getpid()}-{secrets.token_hex(3)}"
        self._socket = self._bind()
        self._neighbours: list[str] = []
        self._seen_change = -1
        self._thread: threading.Thread | None = None

    def _bind(self) -> socket.socket:
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bell.setblocking(False)
        while True:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                bell.bind(str(self._path))
            except FileNotFoundError:
                continue  # the last one out has just removed the folder
            return bell

    def at_commit(self, hint: Hint) -> None:
        """No statement of SQLite's rings: who commits it rings, or the net notices."""

    def subscribe(self, listener: Callable[[Hint], None]) -> Callable[[], None]:
        unsubscribe = self._listeners.add(listener)
        with self._lock:
            if self._thread is None:
                self._changed()  # what is written from now on is a change
                self._thread = threading.Thread(target=self._listen, name="backburner-doorbell", daemon=True)
                self._thread.start()
        return unsubscribe

    def ring(self, hint: Hint) -> None:
        self._listeners.tell(hint)
        message = bytes([to_bits(hint)])
        for neighbour in self._find_neighbours():
            try:
                self._socket.sendto(message, neighbour)
            except BlockingIOError:
                pass  # its queue is full of hints that it has not looked at yet
            except (ConnectionRefusedError, FileNotFoundError):
                with contextlib.suppress(OSError):
                    os.unlink(neighbour)
            except OSError:
                log.debug("the doorbell of %s cannot be rung", neighbour, exc_info=True)

    def _find_neighbours(self) -> list[str]:
        try:
            change = os.stat(self._folder).st_mtime_ns
            if change != self._seen_change:
                mine = self._path.name
                self._neighbours = [f"{self._folder}/{name}" for name in os.listdir(self._folder) if name != mine]
                # A folder changed within the clock's tick may change again without a new time stamp.
                self._seen_change = change if time.time_ns() - change > 50_000_000 else -1
        except OSError:
            log.debug("the doorbell's folder cannot be read", exc_info=True)
        return self._neighbours

    def _listen(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while not self._closed:
            hint = self._drain() if poll.poll(NET_INTERVAL * 1000) else self._look()
            if hint:
                self._listeners.tell(hint)

    def _look(self) -> Hint:
        """What cannot be known is told: those who look find out, and this thread goes on."""
        try:
            return EVERYTHING if self._changed() else Hint()
        except Exception:
            log.debug("the store cannot be asked whether it was written", exc_info=True)
            return EVERYTHING

    def _drain(self) -> Hint:
        bits = 0
        with contextlib.suppress(OSError):
            while not bits & STOP:
                bits |= self._socket.recv(1)[0]
        return from_bits(bits)

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.sendto(bytes([STOP]), str(self._path))
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=2)
        self._socket.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)
            self._folder.rmdir()


def runtime_folder(place: str) -> Path:
    """A folder whose path is short enough for a socket's name (108 bytes on Linux, unix(7))."""
    name = hashlib.sha256(os.path.realpath(place).encode()).hexdigest()[:16]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and len(runtime) < 50 and os.access(runtime, os.W_OK):
        return Path(runtime, "backburner", name)
    base = "/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()
    return Path(base, f"backburner-{os.getuid()}", name)
