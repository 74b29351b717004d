"""A model that is not one: an OpenAI-compatible server on loopback that says what a test tells it to."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from backburner.testing.model_answers import default_answer, pieces_of
from backburner.testing.model_call import Call, Failure
from backburner.testing.model_http import ModelServer

__all__ = ["Call", "FakeModel"]

Reply = str | list[str] | dict[str, Any]
Script = Reply | Callable[[Call], Reply]


class FakeModel:
    """Serves ``/v1/chat/completions``, ``/v1/completions`` and ``/v1/models`` on a free loopback port.

    A context manager; several processes and threads may call it at once. Without a script it answers with
    text derived from the prompt, and with a small object that fits the schema when JSON is asked for.

    ``refuse_schemas`` answers 400 to ``response_format: json_schema``, ``refuse_usage`` to
    ``stream_options``, as many compatible servers do. ``api_key``: any other key gets a 401.
    ``seconds_per_piece`` makes it slow, for a demonstration; a test holds it with ``pause`` instead.
    """

    def __init__(
        self,
        *,
        refuse_schemas: bool = False,
        refuse_usage: bool = False,
        api_key: str | None = None,
        seconds_per_piece: float = 0.0,
    ) -> None:
        self.refuse_schemas = refuse_schemas
        self.refuse_usage = refuse_usage
        self.api_key = api_key
        self.calls: list[Call] = []
        self.headers: dict[str, str] = {}
        """Sent with every answer that is no failure."""
        self._seconds_per_piece = seconds_per_piece
        self._changed = threading.Condition()
        self._script: deque[Script] = deque()
        self._failures: deque[Failure] = deque()
        self._hold_after: int | None = None
        self._held = 0
        self._closing = False
        self._server: ModelServer | None = None

    def __enter__(self) -> Self:
        self._closing = False
        self._server = ModelServer(self)
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._server is not None:
            self._server.stop()

    @property
    def base_url(self) -> str:
        """The address to give to a client; it ends in ``/v1``."""
        if self._server is None:
            raise RuntimeError("the fake model is not running: use it as a context manager")
        return self._server.base_url

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make backburner, or any ``openai`` client, of another process call this one."""
        return {
            "OPENAI_BASE_URL": self.base_url,
            "OPENAI_API_KEY": self.api_key or "fake-key",
            "BACKBURNER_MODEL": "fake-model",
        }

    def reply(self, *replies: Script) -> None:
        """Say these, one a call, and the last of them again and again.

        A string is sent in pieces of a few characters, a list in the pieces it has, a dict as JSON; a
        function gets the ``Call`` and returns one of the three.
        """
        with self._changed:
            self._script = deque(replies)

    def fail(
        self,
        status: int = 500,
        *,
        times: int = 1,
        headers: Mapping[str, str] | None = None,
        code: str | None = None,
        message: str | None = None,
        param: str | None = None,
    ) -> None:
        """Answer the next ``times`` calls with this HTTP error, then go on with the replies."""
        said = message or f"the fake model fails with {status}, as it was told to"
        failure = Failure(status, dict(headers or {}), code, said, param)
        with self._changed:
            self._failures.extend([failure] * times)

    def break_after(self, pieces: int, *, times: int = 1) -> None:
        """Cut the connection of the next ``times`` calls after so many pieces (0: before any text)."""
        with self._changed:
            self._failures.extend([Failure(break_after=pieces)] * times)

    def pause(self, after: int = 0) -> None:
        """Hold every stream once it has sent ``after`` pieces, until ``resume``."""
        with self._changed:
            self._hold_after = after

    def resume(self) -> None:
        """Let all streams go on."""
        with self._changed:
            self._hold_after = None
            self._changed.notify_all()

    def wait_held(self, streams: int = 1, timeout: float = 30.0) -> None:
        """Return once so many streams are held by ``pause``; ``TimeoutError`` after ``timeout`` seconds.

        It blocks: call it by ``asyncio.to_thread`` where an event loop runs.
        """
        self._wait_for(lambda: self._held >= streams, f"{streams} held streams", timeout)

    def wait_for_calls(self, count: int, timeout: float = 30.0) -> None:
        """Return once ``count`` calls have arrived in all; blocks like ``wait_held``."""
        self._wait_for(lambda: len(self.calls) >= count, f"{count} calls", timeout)

    def wait_ended(self, count: int, timeout: float = 30.0) -> None:
        """Return once ``count`` calls have an ``outcome``, which a client can be quicker than; blocks likewise."""
        self._wait_for(lambda: self._count_ended() >= count, f"{count} ended calls", timeout)

    def _count_ended(self) -> int:
        return sum(call.outcome != "open" for call in self.calls)

    def _wait_for(self, met: Callable[[], bool], what: str, timeout: float) -> None:
        with self._changed:
            if not self._changed.wait_for(met, timeout):
                raise TimeoutError(f"waited {timeout:g} s for {what} at the fake model")

    def receive(self, call: Call) -> Failure | None:
        """The server's: record a call, and say whether it shall fail."""
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
            return self._refusal(call) or (self._failures.popleft() if self._failures else None)

    def ended(self, call: Call, outcome: str) -> None:
        """The server's: say how a call ended."""
        with self._changed:
            call.outcome = outcome
            self._changed.notify_all()

    def answer(self, call: Call) -> list[str]:
        """The server's: the pieces of the answer to a call."""
        with self._changed:
            if not self._script:
                return pieces_of(default_answer(call.prompt, call.response_format))
            script = self._script.popleft() if len(self._script) > 1 else self._script[0]
        return pieces_of(script(call) if callable(script) else script)

    def paced(self, pieces: Iterable[str]) -> Iterator[str]:
        """The server's: the pieces, each when it may be sent, and the end when that may be."""
        sent = 0
        for piece in pieces:
            self._wait_at_gate(sent)
            yield piece
            sent += 1
        self._wait_at_gate(sent)

    def _wait_at_gate(self, sent: int) -> None:
        with self._changed:
            if self._seconds_per_piece and sent:
                self._changed.wait_for(lambda: self._closing, self._seconds_per_piece)
            if self._is_open(sent):
                return
            self._held += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_open(sent))
            self._held -= 1

    def _is_open(self, sent: int) -> bool:
        return self._closing or self._hold_after is None or sent < self._hold_after

    def _refusal(self, call: Call) -> Failure | None:
        if self.api_key is not None and call.headers.get("authorization") != f"Bearer {self.api_key}":
            shown = call.headers.get("authorization", "").removeprefix("Bearer ")
            message = f"Incorrect API key provided: {shown}."
            return Failure(401, code="invalid_api_key", message=message)
        if self.refuse_schemas and call.response_format.get("type") == "json_schema":
            message = "Invalid parameter: 'response_format' of type 'json_schema' is not supported here."
            return Failure(400, message=message, param="response_format")
        if self.refuse_usage and "stream_options" in call.body:
            return Failure(400, message="Unrecognized request argument: stream_options", param="stream_options")
        return None
