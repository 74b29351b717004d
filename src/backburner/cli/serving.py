"""Commands that run something: the demo, a server, a worker."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable

import click

from ..domain.errors import ConfigurationError
from .common import in_words
from .main import main


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option("--once", is_flag=True, help="Run the main job to its end, print it, and exit.")
@click.option("--json", "as_json", is_flag=True, help="With --once: one JSON object on standard output.")
@click.option("--database", "database_url", default=None, help="Where the data lives; sqlite:///backburner.db")
@in_words
def demo(host: str, port: int, once: bool, as_json: bool, database_url: str | None) -> None:
    """Serve the applications, web and worker in one process, with a model of this machine if none is set."""
    from .. import demo as demonstration

    if as_json and not once:
        raise click.UsageError("--json goes with --once")
    if once:
        demonstration.run_once(database_url, as_json)
    else:
        demonstration.serve(host, port, database_url)


@main.command()
@click.argument("target", metavar="MODULE:ATTR")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@in_words
def dev(target: str, host: str, port: int) -> None:
    """Serve an ASGI application, or a bare Backburner, with a worker beside it in the same process."""
    from ..serving import serve_target

    serve_target(target, host, port, embedded_worker=True)


@main.command()
@click.argument("target", metavar="MODULE:ATTR")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@in_words
def serve(target: str, host: str, port: int) -> None:
    """Serve without a worker: run `backburner worker` beside it."""
    from ..serving import serve_target

    serve_target(target, host, port, embedded_worker=False)


@main.command()
@click.argument("target", metavar="MODULE:BACKBURNER")
@click.option("--concurrency", type=click.IntRange(1, 10_000), help="Jobs at once; BACKBURNER_CONCURRENCY otherwise.")
@in_words
def worker(target: str, concurrency: int | None) -> None:
    """Run jobs until SIGTERM or Ctrl-C; then finish what runs, and give back what does not end in time."""
    from ..loading import load_backburner

    bb = load_backburner(target)
    if not bb.tasks:
        raise ConfigurationError(f"{target} has no tasks: import the modules that define them")
    if concurrency is not None:
        bb.settings = bb.settings.model_copy(update={"concurrency": concurrency})
    # Handing the interpreter over more often keeps the writing thread from waiting for the event loop
    # (docs/decisions/0003-switch-interval.md).
    sys.setswitchinterval(0.001)
    # What is loaded by now stays: collections need not walk it for every few hundred jobs.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)

    async def work() -> None:
        loop = asyncio.get_running_loop()

        def listen(stop: Callable[[], None]) -> None:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop)

        await bb.run_worker(listen)

    try:
        asyncio.run(work())
    finally:
        bb.close()
