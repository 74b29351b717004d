"""The fake model's wire: the parts of the OpenAI protocol that a client of text needs.

Protocol: OpenAI API reference, "Chat completions", "Completions" and "Streaming"; Server-sent events of the
HTML standard, in HTTP/1.1 chunks (RFC 9112 §7.1). A thread a connection, so that a script may block.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

from backburner.testing.model_call import Call, Failure

if TYPE_CHECKING:
    from backburner.testing.model import FakeModel

GONE = (BrokenPipeError, ConnectionResetError, ConnectionAbortedError)


class ModelServer(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 256

    def __init__(self, model: FakeModel) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.model = model
        self._guard = threading.Lock()
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="fake-model")

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, hang up on everyone, and wait until the last thread has ended."""
        self.shutdown()
        with self._guard:
            for connection in self._open:
                _hang_up(connection)
        self.server_close()
        self._thread.join()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up between two requests."""
        if not isinstance(sys.exception(), GONE):
            super().handle_error(request, client_address)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            return self._send_error(404, f"there is no {self.path} here")
        models = [{"id": "fake-model", "object": "model", "created": 0, "owned_by": "backburner"}]
        return self._send_json(200, {"object": "list", "data": models})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path not in ("/v1/chat/completions", "/v1/completions"):
            return self._send_error(404, f"there is no {self.path} here")
        try:
            parsed = json.loads(body)
        except ValueError as error:
            return self._send_error(400, f"the body is not JSON: {error}")
        call = Call(self.path, parsed, {name.lower(): value for name, value in self.headers.items()})
        try:
            self._serve(call)
        except GONE:
            self._model.ended(call, "abandoned")
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """A test's output belongs to the test."""

    def _serve(self, call: Call) -> None:
        failure = self._model.receive(call)
        if failure is not None and failure.break_after is None:
            self._model.ended(call, "failed")
            return self._send_failure(failure)
        break_after = failure.break_after if failure else None
        try:
            pieces = self._model.answer(call)
        except Exception as error:
            self._model.ended(call, "failed")
            return self._send_error(500, f"the scripted reply raised {type(error).__name__}: {error}")
        send = self._send_stream if call.streams else self._send_whole
        if send(call, pieces, break_after):
            self._model.ended(call, "answered")
        else:
            self._model.ended(call, "broken")
            self.close_connection = True
            _hang_up(self.connection)
        return None

    def _send_whole(self, call: Call, pieces: list[str], break_after: int | None) -> bool:
        if break_after is not None:
            return False
        sent = list(self._model.paced(pieces))
        call.sent_at.append(time.time())
        choice = {"index": 0, "finish_reason": "stop", **_spoken(call, "".join(sent), "message")}
        self._send_json(
            200, {**_envelope(call, ""), "choices": [choice], "usage": _usage(call, pieces)}, self._model.headers
        )
        return True

    def _send_stream(self, call: Call, pieces: list[str], break_after: int | None) -> bool:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        for name, value in self._model.headers.items():
            self.send_header(name, value)
        self.end_headers()
        chunk = _envelope(call, ".chunk")
        for number, piece in enumerate(self._model.paced(pieces)):
            if number == break_after:
                return False
            call.sent_at.append(time.time())
            spoken = {"index": 0, "finish_reason": None, **_spoken(call, piece, "delta")}
            self._send_event({**chunk, "choices": [spoken]})
        if break_after is not None:
            return False
        last = {"index": 0, "finish_reason": "stop", **_spoken(call, "", "delta")}
        self._send_event({**chunk, "choices": [last]})
        if (call.body.get("stream_options") or {}).get("include_usage"):
            self._send_event({**chunk, "choices": [], "usage": _usage(call, pieces)})
        self._send_chunk(b"data: [DONE]\n\n")
        self._send_chunk(b"")
        return True

    @property
    def _model(self) -> FakeModel:
        return cast(ModelServer, self.server).model

    def _send_event(self, data: dict[str, Any]) -> None:
        self._send_chunk(b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n")

    def _send_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _send_failure(self, failure: Failure) -> None:
        self._send_error(failure.status, failure.message, failure.code, failure.param, dict(failure.headers))

    def _send_error(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        error = {"message": message, "type": kind, "param": param, "code": code}
        self._send_json(status, {"error": error}, headers)

    def _send_json(self, status: int, data: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        body = json.dumps(data, ensure_ascii=False).encode()
        self.send_response(status)
        sent = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _envelope(call: Call, suffix: str) -> dict[str, Any]:
    chat = call.path.endswith("/chat/completions")
    return {
        "id": "fake-1",
        "object": f"chat.completion{suffix}" if chat else "text_completion",
        "created": int(time.time()),
        "model": call.body.get("model", "fake-model"),
    }


def _spoken(call: Call, text: str, part: str) -> dict[str, Any]:
    if not call.path.endswith("/chat/completions"):
        return {"text": text, "logprobs": None}
    return {part: {"role": "assistant", "content": text}}


def _usage(call: Call, pieces: list[str]) -> dict[str, int]:
    """A token is a word of the prompt and a piece of the answer: easy to count in a test."""
    asked, said = len(call.prompt.split()), len(pieces)
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
