"""The same done to many jobs: each by itself, many in a commit."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from .domain.errors import IllegalTransition, JobNotFound
from .domain.operations import ListJobs, Retry
from .ports import Store

PAGE = 200


async def retry_all(store: Store, query: ListJobs, most: int) -> int:
    """Give fresh tries to the failed or cancelled jobs that ``query`` finds, the newest ``most``; answers how many."""
    retried = 0
    page = replace(query, limit=min(PAGE, most))
    while retried < most:
        found = await store.read(page)
        if not found:
            break
        outcomes = await asyncio.gather(
            *(store.write(Retry(job.id, query.owner)) for job in found), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, IllegalTransition | JobNotFound):
                continue  # somebody was quicker, or its key is taken
            if isinstance(outcome, BaseException):
                raise outcome
            retried += 1
        page = replace(page, before=found[-1].id, limit=min(PAGE, most - retried) or 1)
    return retried
