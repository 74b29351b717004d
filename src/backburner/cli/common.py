"""What several commands need."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import click

from ..app import Backburner
from ..domain.errors import BackburnerError, ConfigurationError
from ..settings import load_settings

database_option = click.option(
    "--database", "database_url", default=None, help="As in the application; BACKBURNER_DATABASE_URL else."
)


def in_words(command: Callable[..., Any]) -> Callable[..., Any]:
    """An error of ours is a sentence on standard error and exit code 1, never a traceback."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except BackburnerError as error:
            raise click.ClickException(str(error)) from None

    return wrapped


@contextlib.contextmanager
def existing(database_url: str | None) -> Iterator[Backburner]:
    bb = look_at(database_url)
    try:
        yield bb
    finally:
        bb.close()


def look_at(database_url: str | None) -> Backburner:
    """Raises `ConfigurationError` where there is no database: looking at jobs makes none."""
    bb = Backburner(settings=load_settings(database_url=database_url))
    if not bb.database_exists():
        raise ConfigurationError(
            f"there is no database at {bb.settings.database_url}: name the application's with --database or "
            "BACKBURNER_DATABASE_URL"
        )
    return bb


def change(database_url: str | None, operation: Any) -> None:
    with existing(database_url) as bb:
        record = bb.store.write_sync(operation)
        note = " (asked to stop)" if record.cancel_requested else ""
        click.echo(f"{record.id} is {record.status}{note}")
