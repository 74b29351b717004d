"""`backburner crons`."""

from __future__ import annotations

from datetime import datetime

import click

from ..domain.errors import ConfigurationError
from .common import database_option, existing, in_words
from .main import main


@main.group()
@database_option
@click.pass_context
def crons(context: click.Context, database_url: str | None) -> None:
    """Look at what is submitted by the clock."""
    context.obj = database_url


@crons.command("list")
@click.pass_obj
@in_words
def list_crons(database_url: str | None) -> None:
    """Each cron that a worker has declared, with its next tick and the last job, one a line."""
    from ..domain.operations import ListCrons

    with existing(database_url) as bb:
        found = bb.store.read_sync(ListCrons())
        if not found:
            click.echo(f"no crons in {bb.settings.database_url}", err=True)
        for cron in found:
            last = f"{_local(cron.last_at, cron.zone)} ({cron.last_job})" if cron.last_job else "never"
            click.echo(
                f"{cron.name}  {cron.task}  {cron.expression!r} {cron.zone}  missed: {cron.missed}  "
                f"next: {_local(cron.next_at, cron.zone)}  last: {last}"
            )


@crons.command()
@click.argument("name")
@click.pass_obj
@in_words
def forget(database_url: str | None, name: str) -> None:
    """Take a cron that is no longer in the code off the list; it does not fire anyway."""
    from ..domain.operations import ForgetCron

    with existing(database_url) as bb:
        if not bb.store.write_sync(ForgetCron(name)):
            raise ConfigurationError(f"there is no cron {name!r}: `backburner crons list` names them")
        click.echo(f"{name} is forgotten.")


def _local(at: int | None, zone: str) -> str:
    from zoneinfo import ZoneInfo

    if at is None:
        return "never"
    return datetime.fromtimestamp(at / 1e6, ZoneInfo(zone)).isoformat(sep=" ", timespec="seconds")
