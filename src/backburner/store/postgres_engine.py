"""Engines for an application's own tables in the database of the jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Engine
from sqlalchemy import create_engine as sqlalchemy_engine

from .engines import leave_to_parent, speak_plainly

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from .postgres import Postgres

READ_ONLY = "SET default_transaction_read_only = on"
POOL: dict[str, Any] = {"pool_size": 5, "max_overflow": 10, "pool_timeout": 10, "pool_pre_ping": True}
"""Connections that are kept, those made at need, seconds to wait for one. Each is tried before it is lent: the server
may have been restarted."""


def create_engine(database: Postgres, read_only: bool) -> Engine:
    def connect() -> Any:
        try:
            raw = psycopg.connect(**database.parameters("application"), autocommit=True)
            if read_only:
                raw.execute(READ_ONLY)
            raw.autocommit = False
        except psycopg.Error as error:
            raise database.translate(error) from error
        return raw

    engine = sqlalchemy_engine("postgresql+psycopg://", creator=connect, **POOL)
    speak_plainly(engine, database)
    leave_to_parent(engine)
    return engine


def create_async_engine(database: Postgres, read_only: bool) -> AsyncEngine:
    from sqlalchemy.ext.asyncio import create_async_engine as sqlalchemy_engine

    async def connect() -> Any:
        try:
            parameters = database.parameters("application")
            raw = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
            if read_only:
                await raw.execute(READ_ONLY)
            await raw.set_autocommit(False)
        except psycopg.Error as error:
            raise database.translate(error) from error
        return raw

    engine = sqlalchemy_engine("postgresql+psycopg://", async_creator=connect, **POOL)
    speak_plainly(engine.sync_engine, database)
    leave_to_parent(engine.sync_engine)
    return engine
