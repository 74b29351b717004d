"""A server that is told to stop does not wait for streams, which have no end of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from backburner import Backburner
from backburner.http.shutdown import streams_end_on_signals
from tests.integration.http_support import PATIENCE, Following, make_bb

SERVER = """
import sys, socket
from pathlib import Path
import uvicorn
from fastapi import FastAPI
from tests.integration.http_support import make_bb

bb = make_bb(Path(sys.argv[1]))
app = FastAPI(lifespan=bb.lifespan)
app.include_router(bb.router)
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listening])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_streams_and_then_the_server(tmp_path: Path, number: signal.Signals) -> None:
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE, cwd=root, text=True
    ) as server:
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}"
            with (
                httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as http,
                http.stream("GET", "/backburner/events") as response,
            ):
                following = Following(response)
                assert following.one().event == "snapshot"
                server.send_signal(number)
                assert following.rest() == []
            assert server.wait(PATIENCE) in (0, -number)
        finally:
            server.kill()


@pytest.fixture
def bb(tmp_path: Path) -> Backburner:
    return make_bb(tmp_path)


def test_the_handlers_that_were_there_are_called_and_come_back(bb: Backburner) -> None:
    called: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: called.append(number))
    mine = signal.getsignal(signal.SIGTERM)
    try:
        with streams_end_on_signals(bb):
            signal.raise_signal(signal.SIGTERM)
        assert called == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)
        bb.close()


def test_a_handler_that_was_installed_later_is_left_alone(bb: Backburner) -> None:
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        with streams_end_on_signals(bb):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
        bb.close()


def test_a_signal_that_ends_the_process_anyway_is_left_alone(bb: Backburner) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with streams_end_on_signals(bb):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
        bb.close()


def test_outside_the_main_thread_nothing_is_touched(bb: Backburner) -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def enter() -> None:
        with streams_end_on_signals(bb):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]
    bb.close()
