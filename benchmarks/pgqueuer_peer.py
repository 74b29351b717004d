"""The peer of a drain on PostgreSQL: pgqueuer, in a process of its own, with no-op jobs.

Called with the database's URL, the number of jobs and the batch size; prints jobs a second. It keeps neither results
nor events.
"""

from __future__ import annotations

import asyncio
import sys
import time

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.domain.types import QueueExecutionMode
from pgqueuer.models import Job
from pgqueuer.queries import Queries


async def main(url: str, jobs: int, batch: int) -> None:
    connection = await asyncpg.connect(url)
    driver = AsyncpgDriver(connection)
    queries = Queries(driver)
    await queries.install()
    for _ in range(0, jobs, 1000):
        await queries.enqueue(["noop"] * 1000, [b"{}"] * 1000, [0] * 1000)
    queuer = PgQueuer(driver)
    done: list[float] = []

    @queuer.entrypoint("noop")
    async def noop(job: Job) -> None:
        done.append(time.perf_counter())

    began = time.perf_counter()
    await queuer.qm.run(batch_size=batch, mode=QueueExecutionMode.drain)
    assert len(done) == jobs, f"{len(done)} of {jobs} ran"
    print(jobs / (time.perf_counter() - began))
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
