"""`backburner batches`."""

from __future__ import annotations

import asyncio
import json

import click

from .common import database_option, existing, in_words
from .main import main


@main.group()
@database_option
@click.pass_context
def batches(context: click.Context, database_url: str | None) -> None:
    """Look at batches of jobs, and cancel them."""
    context.obj = database_url


@batches.command("list")
@click.option("--owner")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.pass_obj
@in_words
def list_batches(database_url: str | None, owner: str | None, limit: int) -> None:
    """The newest batches, one a line."""
    from ..domain.operations import ListBatches

    with existing(database_url) as bb:
        for batch in bb.store.read_sync(ListBatches(owner, limit=limit)):
            told = f"{batch.percent:3.0f} %  {batch.total} jobs  {batch.owner or '-'}  {batch.title}"
            click.echo(f"{batch.id}  {batch.status.value:<9}  {told}")


@batches.command("show")
@click.argument("batch")
@click.pass_obj
@in_words
def show_batch(database_url: str | None, batch: str) -> None:
    """One batch, as JSON."""
    from ..http.schemas import batch_json

    with existing(database_url) as bb:
        click.echo(json.dumps(batch_json(bb.find_batch(batch).look_sync()), ensure_ascii=False, indent=2))


@batches.command("cancel")
@click.argument("batch")
@click.pass_obj
@in_words
def cancel_batch(database_url: str | None, batch: str) -> None:
    """Cancel all jobs of a batch; those that run end as soon as they listen."""
    with existing(database_url) as bb:
        record = asyncio.run(bb.find_batch(batch).cancel())
        click.echo(f"{record.id} is {record.status.value}")
