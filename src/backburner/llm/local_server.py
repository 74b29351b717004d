"""The child process that holds the local model: ``python -m backburner.llm.local_server``.

It reads one line of JSON from its standard input (``file``, ``key``, ``parent``), writes one to its standard
output when it answers (``{"url": "http://127.0.0.1:…"}``) and serves llama.cpp's OpenAI-compatible interface
until its input ends, which it does when the parent closes it or dies, however that happens.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from typing import Any, BinaryIO

MODEL = "gemma-3-270m"
THREADS = 1
"""Of two cores: 68 tokens/s, where two threads give 75, and one core stays free for the web and the worker.

ggml's threads spin at barriers: three such servers on two busy cores needed 2.5 s for 100 tokens each with one
thread, and 10 to 50 s with two.
"""

SLOTS = 4
CONTEXT = 2048
"""Tokens of prompt and answer together, in each of the slots that share the thread."""

ANSWER_TOKENS = 400
PARENT_CHECK_SECONDS = 1.0


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    order = json.loads(sys.stdin.buffer.readline())
    announcements = _keep_standard_output_for_us()
    threading.Thread(target=_exit_without, args=(order["parent"],), daemon=True).start()
    server = _serve(order["file"], order["key"])
    announcements.write(json.dumps({"url": server.listening_address}).encode() + b"\n")
    announcements.close()
    sys.stdin.buffer.read()
    _exit()


def _keep_standard_output_for_us() -> BinaryIO:
    """Native code prints where it likes; the pipe that the parent reads must hold our one line alone."""
    ours = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return os.fdopen(ours, "wb")


def _exit_without(parent: int) -> None:
    """Exit when the parent is gone though the pipe is not: a process it forked may still hold the other end.

    ``PR_SET_PDEATHSIG`` would not do: it fires when the *thread* that started this process ends.
    """
    tick = threading.Event()
    while sys.platform == "win32" or os.getppid() == parent:
        tick.wait(PARENT_CHECK_SECONDS)
    _exit()


def _exit() -> None:
    # Without the interpreter's farewell: threads of the native server may be in the middle of a token.
    os._exit(0)


def _serve(file: str, key: str) -> Any:
    xllamacpp = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = file
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    # Any page in the user's browser can reach a loopback port: it needs a key and gets no CORS.
    params.api_keys = [key]
    params.cors_origins = ""
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = -1
    params.n_parallel = SLOTS
    params.n_ctx = CONTEXT * SLOTS
    params.n_predict = ANSWER_TOKENS
    params.cpuparams.n_threads = THREADS
    params.cpuparams_batch.n_threads = THREADS
    params.cache_ram_mib = 0
    _against_repetition(params.sampling)
    return xllamacpp.Server(params)


def _against_repetition(sampling: Any) -> None:
    """So small a model says one sentence for ever, unless words and phrases that were said become dearer."""
    sampling.temp = 0.9
    sampling.top_k = 64
    sampling.top_p = 0.95
    sampling.penalty_repeat = 1.15
    sampling.penalty_last_n = 256
    sampling.dry_multiplier = 0.8


if __name__ == "__main__":
    main()
