"""The same for asyncio: sessions on aiosqlite, psycopg and asyncpg, and psycopg's own connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from backburner import Backburner, ConfigurationError, Run, StoreUnavailable
from backburner.domain.operations import GetJob
from backburner.store import turn
from tests.support.backends import Backend, backburner_on
from tests.support.hearing import Ear
from tests.support.making import claim, look, register

End = Callable[[], Awaitable[None]]
Open = Callable[[Backburner], AbstractAsyncContextManager[tuple[Any, End, End]]]


@pytest.fixture
def bb(backend: Backend, tmp_path: Path) -> Iterator[Backburner]:
    with backburner_on(backend, tmp_path) as bb:
        bb.open()
        yield bb


@pytest.fixture
def noted(bb: Backburner) -> Any:
    @bb.task
    async def noted(run: Run, body: str) -> str:
        return body

    return noted


def own_url(bb: Backburner, driver: str) -> str:
    url = make_url(bb.settings.database_url)
    name = "sqlite+aiosqlite" if url.drivername == "sqlite" else f"postgresql+{driver}"
    return url.set(drivername=name).render_as_string()


@asynccontextmanager
async def our_session(bb: Backburner) -> AsyncIterator[Any]:
    engine = bb.create_async_engine()
    async with AsyncSession(engine) as session:
        yield session, session.commit, session.rollback
    await engine.dispose()


@asynccontextmanager
async def our_connection(bb: Backburner) -> AsyncIterator[Any]:
    engine = bb.create_async_engine()
    async with engine.connect() as connection:
        yield connection, connection.commit, connection.rollback
    await engine.dispose()


@asynccontextmanager
async def own_session(bb: Backburner) -> AsyncIterator[Any]:
    """On aiosqlite or psycopg."""
    engine = create_async_engine(own_url(bb, "psycopg"))
    async with AsyncSession(engine) as session:
        yield session, session.commit, session.rollback
    await engine.dispose()


@asynccontextmanager
async def another_drivers_session(bb: Backburner) -> AsyncIterator[Any]:
    """On aiosqlite or asyncpg."""
    engine = create_async_engine(own_url(bb, "asyncpg"))
    async with AsyncSession(engine) as session:
        yield session, session.commit, session.rollback
    await engine.dispose()


@asynccontextmanager
async def scoped(bb: Backburner) -> AsyncIterator[Any]:
    engine = bb.create_async_engine()
    registry = async_scoped_session(async_sessionmaker(engine), scopefunc=lambda: None)
    yield registry, registry.commit, registry.rollback
    await registry.remove()
    await engine.dispose()


CARRIERS = [our_session, our_connection, own_session, another_drivers_session, scoped]


@pytest.fixture(params=CARRIERS, ids=lambda carrier: carrier.__name__)
def carry(request: pytest.FixtureRequest) -> Open:
    found: Open = request.param
    return found


async def exists(bb: Backburner, job: str) -> bool:
    return await bb.store.read(GetJob(job)) is not None


async def test_a_job_exists_exactly_if_the_transaction_commits(bb: Backburner, noted: Any, carry: Open) -> None:
    async with carry(bb) as (carrier, commit, rollback):
        job = await bb.submit_in_async(carrier, noted.using(owner="ann", key="k", delay=0), "a")
        again = await bb.submit_in_async(carrier, noted.using(owner="ann", key="k"), "a")
        assert not await exists(bb, job.id)
        await commit()
        lost = await bb.submit_in_async(carrier, noted.using(expires=5, delay=1), "b")
        await rollback()
    assert job.id == again.id
    assert look(bb.store, job.id).owner == "ann"
    assert not await exists(bb, lost.id)
    assert [job.id] == [each.id for each in claim(bb.store, register(bb.store, "noted"), noted=None)]


async def test_the_bell_rings_when_it_is_committed(bb: Backburner, noted: Any, carry: Open) -> None:
    ear = Ear()
    unsubscribe = bb.signal.subscribe(ear)
    noted.submit_sync("so that the bell is known to work")
    ear.wait_for(lambda heard: any(hint.work for hint in heard))
    async with carry(bb) as (carrier, commit, _):
        await bb.submit_in_async(carrier, noted, "a")
        ear.heard.clear()
        await commit()
        ear.wait_for(lambda heard: any(hint.work for hint in heard))
    unsubscribe()


async def test_psycopgs_own_connection_serves_too(bb: Backburner, noted: Any, backend: Backend) -> None:
    if backend.name == "sqlite":
        pytest.skip("SQLite has no such driver")
    async with await psycopg.AsyncConnection.connect(bb.settings.database_url) as connection:
        job = await bb.submit_in_async(connection, noted.using(key="k"), "a")
        again = await bb.submit_in_async(connection, noted.using(key="k"), "a")
        await connection.commit()
        lost = await bb.submit_in_async(connection, noted, "b")
        await connection.rollback()
        with pytest.raises(ConfigurationError, match="submit_in_async"):
            bb.submit_in(connection, noted, "a")  # type: ignore[arg-type]
    assert (True, False) == (await exists(bb, job.id), await exists(bb, lost.id))
    assert job.id == again.id


async def test_the_wrong_one_of_the_two_is_named(bb: Backburner, noted: Any) -> None:
    engine = bb.create_async_engine()
    async with AsyncSession(engine) as session:
        with pytest.raises(ConfigurationError, match=r"await bb\.submit_in_async"):
            bb.submit_in(session, noted, "a")  # type: ignore[arg-type]
    await engine.dispose()
    with Session() as sync, pytest.raises(ConfigurationError, match="goes to submit_in"):
        await bb.submit_in_async(sync, noted, "a")  # type: ignore[arg-type]
    async with aiosqlite.connect(":memory:") as bare:
        with pytest.raises(ConfigurationError, match="aiosqlite"):
            await bb.submit_in_async(bare, noted, "a")  # type: ignore[arg-type]


async def test_another_database_is_refused(bb: Backburner, noted: Any, tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/other.db")
    async with AsyncSession(engine) as session:
        with pytest.raises(ConfigurationError, match="one database for both"):
            await bb.submit_in_async(session, noted, "a")
    await engine.dispose()


async def test_a_read_only_engine_waits_for_nobody_and_writes_nothing(bb: Backburner, noted: Any) -> None:
    writing, reading = bb.create_async_engine(), bb.create_async_engine(read_only=True)
    async with writing.begin() as writer, reading.connect() as reader:
        await bb.submit_in_async(writer, noted, "held")
        assert 0 == (await reader.execute(text("SELECT count(*) FROM bb_jobs"))).scalar()
        with pytest.raises(Exception, match=r"read-only"):
            await reader.execute(text("DELETE FROM bb_jobs"))
    await writing.dispose()
    await reading.dispose()


async def test_an_async_transaction_takes_its_turn_on_sqlite(
    bb: Backburner, noted: Any, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend.name != "sqlite":
        pytest.skip("everybody may write at once to this database")
    engine = bb.create_async_engine()
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        with monkeypatch.context() as patch:
            patch.setattr(turn, "PATIENCE", 0.02)
            with pytest.raises(StoreUnavailable, match="has been writing"):
                await noted.submit("a")
        await connection.rollback()
        await noted.submit("b")
    await engine.dispose()
