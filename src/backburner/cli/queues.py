"""`backburner queues`."""

from __future__ import annotations

import click

from .common import database_option, existing, in_words
from .main import main


@main.group()
@database_option
@click.pass_context
def queues(context: click.Context, database_url: str | None) -> None:
    """Look at queues, and pause or resume them."""
    context.obj = database_url


@queues.command("list")
@click.pass_obj
@in_words
def list_queues(database_url: str | None) -> None:
    """Every queue that has jobs or is paused, one a line."""
    from ..domain.operations import ListQueues

    with existing(database_url) as bb:
        for queue in bb.store.read_sync(ListQueues()):
            state = "paused" if queue.paused else "open"
            click.echo(f"{queue.name}  {state}  {queue.pending} pending  {queue.running} running")


@queues.command()
@click.argument("queue")
@click.pass_obj
@in_words
def pause(database_url: str | None, queue: str) -> None:
    """Take no more jobs from a queue, on any worker; what runs goes on."""
    _pause(database_url, queue, paused=True)


@queues.command()
@click.argument("queue")
@click.pass_obj
@in_words
def resume(database_url: str | None, queue: str) -> None:
    """Take jobs from a queue again."""
    _pause(database_url, queue, paused=False)


def _pause(database_url: str | None, queue: str, paused: bool) -> None:
    from ..domain.operations import PauseQueue

    with existing(database_url) as bb:
        bb.store.write_sync(PauseQueue(queue, paused))
        click.echo(f"{queue} is {'paused' if paused else 'open'}")
