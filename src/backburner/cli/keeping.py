"""Commands about the database and what was spent."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from ..app import Backburner
from ..settings import load_settings
from .common import database_option, existing, in_words, look_at
from .main import main


@main.command()
@click.argument("target", metavar="MODULE:BACKBURNER", required=False)
@in_words
def migrate(target: str | None) -> None:
    """Bring the database up to date (an SQLite file does it by itself when it is opened)."""
    bb = _load(target)
    try:
        bb.open()
        click.echo(f"{bb.settings.database_url} is up to date.")
    finally:
        bb.close()


@main.command()
@click.option("--owner", help="Of this owner's jobs alone.")
@click.option("--model")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 100_000), help="Today is one; in UTC.")
@click.option("--job", help="Of this job alone.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@database_option
@in_words
def usage(
    owner: str | None, model: str | None, days: int, job: str | None, as_json: bool, database_url: str | None
) -> None:
    """What model calls took, by day, owner and model."""
    from ..domain.budgets import first_day
    from ..domain.operations import UsageByDay, UsageOfJob
    from ..http.schemas import usage_json

    if job is not None and (owner is not None or model is not None):
        raise click.UsageError("--job goes without --owner and --model")
    with existing(database_url) as bb:
        query = UsageByDay(first_day(days), owner, model) if job is None else UsageOfJob(job)
        found = usage_json(bb.store.read_sync(query))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for each in found["usage"]:
        click.echo(f"{each['day']}  {each['owner'] or '-'}  {each['model']}  {_taken(each)}")
    click.echo(f"total  {_taken(found['total'])}")


def _taken(amounts: dict[str, Any]) -> str:
    cost = "" if amounts["cost"] is None else f"  cost {amounts['cost']:.6g}"
    return f"{amounts['calls']} calls  {amounts['input_tokens']} in  {amounts['output_tokens']} out{cost}"


@main.command()
@click.argument("url", required=False)
@database_option
@in_words
def doctor(url: str | None, database_url: str | None) -> None:
    """Look at the database, the clock and the settings; with a URL, at a running server."""
    from ..doctor import examine

    if not examine(look_at(database_url), url):
        sys.exit(1)


def _load(target: str | None) -> Backburner:
    from ..loading import load_backburner

    return load_backburner(target) if target else Backburner(settings=load_settings())
