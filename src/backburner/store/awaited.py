"""psycopg's asyncio connection for the store's functions, which know nothing of asyncio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from sqlalchemy.util import await_only


class Awaited:
    """To be used inside SQLAlchemy's ``greenlet_spawn``, which awaits what is waited for here."""

    def __init__(self, raw: psycopg.AsyncConnection[Any]) -> None:
        self._raw = raw

    def execute(self, sql: Any, parameters: Sequence[Any] | None = None) -> Answer:
        return Answer(await_only(psycopg.AsyncCursor(self._raw, row_factory=tuple_row).execute(sql, parameters)))


class Answer:
    def __init__(self, cursor: psycopg.AsyncCursor[tuple[Any, ...]]) -> None:
        self._cursor = cursor

    @property
    def connection(self) -> psycopg.AsyncConnection[Any]:
        return self._cursor.connection

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    def fetchone(self) -> tuple[Any, ...] | None:
        return await_only(self._cursor.fetchone())

    def fetchall(self) -> list[tuple[Any, ...]]:
        return await_only(self._cursor.fetchall())
