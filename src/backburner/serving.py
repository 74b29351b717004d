"""Serving ASGI applications with uvicorn."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .app import Backburner
from .domain.errors import BackburnerError, ConfigurationError
from .loading import is_factory, load
from .settings import load_settings
from .task import Task

if TYPE_CHECKING:
    import uvicorn


log = logging.getLogger("backburner.serving")

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def serve_target(target: str, host: str, port: int, embedded_worker: bool) -> None:
    """Serve what ``module:attribute`` names. Raises `ConfigurationError`."""
    os.environ["BACKBURNER_EMBEDDED_WORKER"] = "true" if embedded_worker else "false"
    found = load(target)
    if is_factory(found):
        found = found()
    if isinstance(found, Task):
        raise ConfigurationError(f"{target} is a task: name the application, or the Backburner the task belongs to")
    if isinstance(found, Backburner):
        found.settings = found.settings.model_copy(update={"embedded_worker": embedded_worker})
        found = bare_application(found)
    if not callable(found):
        raise ConfigurationError(f"{target} is neither an ASGI application nor a Backburner")
    known = _backburners(target)
    told_apart = bool(known) and all(bb.authenticates for bb in known.values())
    run_server(found, host, port, started=lambda: _warn_without_lifespan(target), told_apart=told_apart)


def _backburners(target: str) -> dict[str, Backburner]:
    names = vars(sys.modules[target.partition(":")[0]])
    return {name: value for name, value in names.items() if isinstance(value, Backburner)}


def _warn_without_lifespan(target: str) -> None:
    """A job would stay pending for ever, and nothing would say why."""
    forgotten = [name for name, bb in _backburners(target).items() if not bb.has_lifespan]
    for name in forgotten:
        log.warning(
            "%s does not use %s.lifespan: it runs no worker, and open streams hold up its end. Write "
            "FastAPI(lifespan=%s.lifespan)",
            *(target, name, name),
        )


def bare_application(bb: Backburner) -> Any:
    """A Backburner served by itself: its routes and pages under ``/backburner``."""
    from fastapi import FastAPI

    from .http.problems import install_problem_handlers

    app = FastAPI(title="backburner", lifespan=bb.lifespan)
    app.include_router(bb.router)
    install_problem_handlers(app)
    return app


def make_server(app: Any, host: str, port: int, started: Callable[[], None] | None = None) -> uvicorn.Server:
    """``started`` is called once the application's lifespan has begun."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if started is not None and self.started:
                started()

    config = uvicorn.Config(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=15)
    return Server(config)


def run_server(
    app: Any, host: str, port: int, started: Callable[[], None] | None = None, told_apart: bool = False
) -> None:
    """Serve until SIGTERM or Ctrl-C. ``told_apart``: whether the application knows who is asking.

    Raises `ConfigurationError` when the address is taken, or open to others while authentication is off, and what the
    application's start fails with where that is an error of ours.
    """
    if not told_apart and load_settings().auth == "off" and host not in LOOPBACK:
        raise ConfigurationError(
            f"authentication is off, so that whoever reaches {host} would own every job: listen on 127.0.0.1, or set "
            "BACKBURNER_AUTH=jwt"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio switches Nagle's algorithm off on each connection; it costs 40 ms an answer.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {host}:{port} ({error.strerror}): stop what uses it, or choose another with --port"
            ) from None
        probe.listen(2048)
        address = f"[{host}]" if ":" in host else host
        print(f"Serving on http://{address}:{probe.getsockname()[1]}", flush=True)
        # uvicorn raises the signal that ended it once more: an orderly end is no reason to die of it.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        opening = Opening(app)
        server = make_server(opening, host, port, started)
        try:
            server.run(sockets=[probe])
        except SystemExit:
            if opening.failure is None:
                raise
            if not server.should_exit:  # or a signal ended it before it had started
                raise opening.failure from None


class Opening:
    """An application whose start fails by an error of ours leaves that here; the server would show its traceback."""

    def __init__(self, app: Any) -> None:
        self.failure: BackburnerError | None = None
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        failed: list[Any] = []

        async def hold(message: Any) -> None:
            if message["type"] == "lifespan.startup.failed":
                failed.append(message)
            else:
                await send(message)

        try:
            await self._app(scope, receive, hold)
        except BackburnerError as error:
            self.failure = error
            await send({"type": "lifespan.startup.failed"})
        except BaseException:
            for message in failed:
                await send(message)
            raise
        for message in failed:
            await send(message)
