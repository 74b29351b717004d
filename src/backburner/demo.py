"""The demo: every installed application, web and worker in one process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

import click

from .app import Backburner
from .application import Application
from .domain.errors import ConfigurationError
from .serving import make_server, run_server
from .settings import load_settings

log = logging.getLogger("backburner.demo")

GROUP = "backburner.apps"
SHOWN = ("name", "object", "task", "kind", "status", "mentions", "last_action", "first_seen", "duration_seconds")
"""What the terminal shows of an entry; `--json` has all of it."""


def find_applications() -> dict[str, Application]:
    """The installed applications by name. Raises `ConfigurationError` when there is none."""
    found: dict[str, Application] = {each.name: each.load() for each in entry_points(group=GROUP)}
    if not found:
        raise ConfigurationError("no applications are installed: pip install backburner-apps")
    return found


def make_backburner(database_url: str | None = None) -> Backburner:
    """The applications' Backburner, for `backburner worker backburner.demo:make_backburner`."""
    return _assemble(database_url)[0]


def make_app() -> Any:
    """The applications as one ASGI application, for `backburner serve backburner.demo:make_app`."""
    return _assemble(None)[1]


def serve(host: str, port: int, database_url: str | None) -> None:
    bb, app = _assemble(database_url)
    bb.open()
    with _model(bb):
        run_server(app, host, port)


def run_once(database_url: str | None, as_json: bool) -> None:
    """The main job from start to end, over HTTP like any other client's."""
    bb, app = _assemble(database_url)
    application = next(iter(find_applications().values()))
    bb.open()
    with _model(bb), served(app) as url:
        outcome = asyncio.run(_once(application, url, quiet=as_json))
    if as_json:
        click.echo(json.dumps(outcome, ensure_ascii=False))
    else:
        _print(outcome)


def _assemble(database_url: str | None) -> tuple[Backburner, Any]:
    bb = Backburner(settings=load_settings(database_url=database_url))
    return bb, assemble(bb)


def assemble(bb: Backburner) -> Any:
    """The installed applications as one ASGI application on ``bb``."""
    from fastapi import FastAPI
    from fastapi.responses import RedirectResponse

    from .http.problems import install_problem_handlers

    app = FastAPI(title="backburner demo", lifespan=bb.lifespan)
    app.include_router(bb.router)
    install_problem_handlers(app)
    applications = find_applications()
    for application in applications.values():
        application.install(bb, app)
    home = next(iter(applications.values())).home

    @app.get("/", include_in_schema=False)
    async def front_page() -> RedirectResponse:
        return RedirectResponse(home)

    return app


@contextlib.contextmanager
def _model(bb: Backburner) -> Iterator[None]:
    """The model that is set, or the local one while the block runs."""
    if bb.settings.openai_api_key or bb.settings.openai_base_url:
        click.echo(f"Model: {bb.model.model} at {bb.model.place}", err=True)
        yield
        return
    from .llm.local import TERMS, LocalModel

    missing = LocalModel.available()
    if missing is not None:
        click.echo(f"No model: {missing} Set OPENAI_API_KEY or OPENAI_BASE_URL for another one.", err=True)
        yield
        return
    click.echo("No OPENAI_API_KEY is set: starting a tiny local model. Its text is nonsense, but real.", err=True)
    click.echo(TERMS, err=True)
    local = LocalModel()
    bb.use_model(local.start())
    try:
        yield
    finally:
        local.stop()


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an application on a free port of this machine while the block runs; answers its address."""
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        server = make_server(app, "127.0.0.1", 0)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="demo-server")
        thread.start()
        while not server.started and thread.is_alive():
            thread.join(0.02)
        if not server.started:
            raise ConfigurationError("the server did not start; its log says why")
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


async def _once(application: Application, url: str, quiet: bool) -> Mapping[str, Any]:
    import httpx
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(file=sys.stderr if quiet else sys.stdout, quiet=quiet)
    columns = (BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("", total=100)
            return await application.once(
                http, lambda percent, message: progress.update(bar, completed=percent, description=message)
            )


def _print(outcome: Mapping[str, Any]) -> None:
    """For people: figures and texts on a line each, lists with a line an entry."""
    for name, value in outcome.items():
        if isinstance(value, Mapping):
            for part, entries in value.items():
                _print_list(f"{name}, {part}", entries)
        elif isinstance(value, list):
            _print_list(name, value)
        else:
            click.echo(f"{name}: {value}")


def _print_list(name: str, entries: Any) -> None:
    click.echo(f"{name}:" if entries else f"{name}: none")
    for entry in entries or ():
        known = [f"{key} {entry[key]}" for key in SHOWN if entry.get(key)]
        click.echo("  - " + ", ".join(known))
