"""A job leaves the tables in which it waits."""

from __future__ import annotations

from sqlalchemy import Table, bindparam, delete

from . import tables
from .connection import Statement


def _leave(table: Table) -> Statement:
    return Statement(delete(table).where(table.c.job_id == bindparam("job")))


LEAVE_PARKED = _leave(tables.parked)
LEAVE_WAITS = _leave(tables.waits)
LEAVE_SCHEDULED = _leave(tables.scheduled)
LEAVE_BLOCKED = _leave(tables.blocked)
LEAVE_READY = _leave(tables.ready)
LEAVE_DEADLINES = _leave(tables.deadlines)
LEAVE_LINE = [LEAVE_PARKED, LEAVE_WAITS, LEAVE_SCHEDULED, LEAVE_BLOCKED, LEAVE_READY, LEAVE_DEADLINES]
"""In this order: a job may be on its way from one to the next."""
