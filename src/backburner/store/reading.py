"""Questions to the store. Each is one snapshot: its statements run in one read transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Select, bindparam, func, null, select, union_all

from ..domain.budgets import MONEY
from ..domain.job import JobError, JobRecord, Status
from ..domain.json import decode
from ..domain.notifications import Notification
from ..domain.operations import (
    CancelRequests,
    CountJobs,
    CountUnread,
    GetJob,
    GetResult,
    JobCount,
    JobSnapshot,
    ListJobs,
    ListNotifications,
    ListQueues,
    ListWorkers,
    OwnerSnapshot,
    OwnerView,
    QueueRecord,
    Snapshot,
    Tails,
    WorkerRecord,
)
from ..domain.questions import Question
from . import tables
from .asked import waiting_questions
from .connection import Connection, Family, Row, Statement
from .logs import texts
from .tables import works_at

jobs, leases, scheduled, events, inbox = (
    tables.jobs,
    tables.leases,
    tables.scheduled,
    tables.events,
    tables.notifications,
)


def get_job(connection: Connection, query: GetJob) -> JobRecord | None:
    row = connection.one(READ_JOB, job=query.job)
    if row is None or (query.owner is not None and row[5] != query.owner):
        return None
    return _jobs(connection, [row])[0]


def get_result(connection: Connection, query: GetResult) -> str | None:
    row = connection.one(READ_RESULT, job=query.job)
    return None if row is None else str(row[0])


def list_jobs(connection: Connection, query: ListJobs) -> tuple[JobRecord, ...]:
    given = {
        "owner": query.owner,
        "status": query.status.value if query.status else None,
        "task": query.task,
        "queue": query.queue,
        "since": query.since,
        "before": query.before,
        "batch": query.batch,
    }
    given = {name: value for name, value in given.items() if value is not None}
    live = {} if query.status is None else {"live": None} if not query.status.finished else {"ended": None}
    rows = connection.all(_listing((*given, *live)), count=query.limit, **given)
    return tuple(_jobs(connection, rows))


def tails(connection: Connection, query: Tails) -> tuple[Mapping[str, int], Mapping[str, int]]:
    return (
        dict(connection.among(READ_JOB_TAILS, query.jobs)),
        dict(connection.among(READ_OWNER_TAILS, query.owners)),
    )


def job_snapshot(connection: Connection, query: JobSnapshot) -> Snapshot | None:
    job = get_job(connection, GetJob(query.job, query.owner))
    return None if job is None else Snapshot(job, texts(connection, job.id))


def owner_snapshot(connection: Connection, query: OwnerSnapshot) -> OwnerView:
    row = connection.one(READ_POSITION, owner=query.owner)
    live = [
        job
        for status in (Status.RUNNING, Status.PENDING)
        for job in list_jobs(connection, ListJobs(query.owner, status, limit=query.recent))
    ]
    seen = {job.id for job in live}
    recent = list_jobs(connection, ListJobs(owner=query.owner, limit=query.recent))
    every = live + [job for job in recent if job.id not in seen]
    every.sort(key=lambda job: job.id, reverse=True)
    shown = tuple(Snapshot(job, {} if job.status.finished else texts(connection, job.id)) for job in every)
    return OwnerView(row[0] if row else 0, shown, count_unread(connection, CountUnread(query.owner)))


def list_notifications(connection: Connection, query: ListNotifications) -> tuple[Notification, ...]:
    before = query.before if query.before is not None else 2**62
    statement = READ_UNREAD if query.unread_only else READ_INBOX
    rows = connection.all(statement, owner=query.owner, before=before, count=query.limit)
    return tuple(
        Notification(number, owner, job, kind, title, message, decode(data), created_at, read_at)
        for number, owner, job, kind, title, message, data, created_at, read_at in rows
    )


def count_unread(connection: Connection, query: CountUnread) -> int:
    row = connection.one(UNREAD, owner=query.owner)
    return int(row[0]) if row else 0


def cancel_requests(connection: Connection, query: CancelRequests) -> tuple[str, ...]:
    return tuple(row[0] for row in connection.all(READ_CANCELS, worker=query.worker))


def list_workers(connection: Connection, query: ListWorkers) -> tuple[WorkerRecord, ...]:
    return tuple(
        WorkerRecord(number, host, pid, tuple(decode(tasks)), started_at, expires_at, running)
        for number, host, pid, tasks, started_at, expires_at, running in connection.all(READ_WORKERS)
    )


def list_queues(connection: Connection, query: ListQueues) -> tuple[QueueRecord, ...]:
    paused = {queue for (queue,) in connection.all(READ_PAUSED)}
    numbers: dict[str, dict[str, int]] = {queue: {} for queue in paused}
    for queue, status, number, *_ in connection.all(COUNT_QUEUES):
        if status in ("pending", "running"):
            numbers.setdefault(queue, {})[status] = int(number)
    return tuple(
        QueueRecord(queue, queue in paused, each.get("pending", 0), each.get("running", 0))
        for queue, each in sorted(numbers.items())
    )


def count_jobs(connection: Connection, query: CountJobs) -> tuple[JobCount, ...]:
    given = {} if query.owner is None else {"owner": query.owner}
    rows = connection.all(COUNT_JOBS if query.owner is None else COUNT_OWN_JOBS, **given)
    sums = {(queue, task, status): each for queue, task, status, *each in rows}
    every = []
    for queue, task, status in dict.fromkeys((*place, status.removesuffix(tables.GONE)) for *place, status in sums):
        number, ran, waited = sums.get((queue, task, status), (0, 0, 0))
        gone, *_ = sums.get((queue, task, status + tables.GONE), (0, 0, 0))
        every.append(JobCount(queue, task, Status(status), int(number), int(ran) / 1e6, int(waited) / 1e6, int(gone)))
    return tuple(count for count in every if count.jobs or count.gone)


def _jobs(connection: Connection, rows: Sequence[Row]) -> list[JobRecord]:
    records = [_job(row) for row in rows]
    full = _full_scopes(connection, [record for record in records if record.waiting_for == "turn"])
    asked = waiting_questions(connection, [record.id for record in records if record.waiting_for == "answer"])
    if not full and not asked:
        return records
    return [_told(record, full, asked) for record in records]


def _told(record: JobRecord, full: set[str], asked: Mapping[str, Question]) -> JobRecord:
    if record.waiting_for == "turn" and full & _scopes(record):
        return replace(record, waiting_for="limit")
    return replace(record, question=asked[record.id]) if record.id in asked else record


def _full_scopes(connection: Connection, waiting: Sequence[JobRecord]) -> set[str]:
    """The tasks and queues of these jobs that run as many as they may."""
    scopes = sorted({scope for record in waiting for scope in _scopes(record)})
    full: set[str] = set()
    for scope, concurrency in connection.among(READ_LIMITS, scopes):
        kind, name = scope.split(":", 1)
        row = connection.one(COUNT_TASK if kind == "task" else COUNT_QUEUE, name=name)
        if row is not None and row[0] >= concurrency:
            full.add(scope)
    return full


def _scopes(record: JobRecord) -> set[str]:
    return {f"task:{record.task}", f"queue:{record.queue}"}


def _job(row: Row) -> JobRecord:
    (*plain, error, key, batch, expires_at, size, parent, cost, run_at, cancel_requested, blocked, parked, args) = row
    status = Status(plain[3])
    waiting_for = None
    if status is Status.PENDING:
        waiting_for = parked or ("time" if run_at is not None else "limit" if blocked is not None else "turn")
    fields: list[Any] = [*plain[:3], status, waiting_for, *plain[4:], bool(cancel_requested)]
    fields += [JobError(**decode(error)) if error else None, run_at, key, batch, expires_at, size, parent]
    fields += [cost / MONEY if cost is not None else None]
    fields += [decode(args) if args is not None else None]
    return JobRecord(*fields)


PLAIN = (
    jobs.c.id, jobs.c.task, jobs.c.queue, jobs.c.status, jobs.c.priority, jobs.c.owner, jobs.c.attempt,
    jobs.c.tries, jobs.c.max_tries, jobs.c.rescues, jobs.c.seq, jobs.c.percent, jobs.c.message, jobs.c.created_at,
    jobs.c.updated_at, jobs.c.started_at, jobs.c.finished_at, jobs.c.input_tokens, jobs.c.output_tokens,
    jobs.c.error, jobs.c.key, jobs.c.batch_id, jobs.c.expires_at, jobs.c.size, jobs.c.parent_id, jobs.c.cost,
    scheduled.c.run_at,
    leases.c.cancel_requested, tables.blocked.c.job_id, tables.parked.c.waiting_for,
)  # fmt: skip


is_somebodys = jobs.c.execution_id.is_(None) | (jobs.c.execution_id != jobs.c.id)
"""Executions that jobs share are nobody's business."""


def _select_jobs(*more: Any) -> Select[Any]:
    return select(*PLAIN, *more).select_from(
        jobs.outerjoin(scheduled, scheduled.c.job_id == works_at)
        .outerjoin(leases, leases.c.job_id == jobs.c.id)
        .outerjoin(tables.blocked, tables.blocked.c.job_id == works_at)
        .outerjoin(tables.parked, tables.parked.c.job_id == works_at)
    )


_listings: dict[tuple[str, ...], Statement] = {}


def _listing(filters: tuple[str, ...]) -> Statement:
    found = _listings.get(filters)
    if found is None:
        conditions = {
            "owner": jobs.c.owner == bindparam("owner"),
            "status": jobs.c.status == bindparam("status"),
            "task": jobs.c.task == bindparam("task"),
            "queue": jobs.c.queue == bindparam("queue"),
            "since": jobs.c.created_at >= bindparam("since"),
            "before": jobs.c.id < bindparam("before"),
            "batch": jobs.c.batch_id == bindparam("batch"),
            "live": jobs.c.finished_at.is_(None),
            "ended": jobs.c.finished_at.is_not(None),
        }
        clause = _select_jobs(null()).where(is_somebodys, *(conditions[name] for name in filters))
        found = Statement(clause.order_by(jobs.c.id.desc()).limit(bindparam("count")))
        _listings[filters] = found
    return found


READ_JOB = Statement(
    _select_jobs(tables.job_args.c.body)
    .join(tables.job_args, tables.job_args.c.job_id == jobs.c.id)
    .where(jobs.c.id == bindparam("job"), is_somebodys)
)
READ_RESULT = Statement(
    select(tables.job_results.c.body)
    .select_from(jobs.join(tables.job_results, tables.job_results.c.job_id == works_at))
    .where(jobs.c.id == bindparam("job"))
)
READ_JOB_TAILS = Family(lambda among: select(jobs.c.id, jobs.c.seq).where(among(jobs.c.id)))
READ_OWNER_TAILS = Family(
    lambda among: select(tables.streams.c.owner, tables.streams.c.position).where(among(tables.streams.c.owner))
)
READ_POSITION = Statement(select(tables.streams.c.position).where(tables.streams.c.owner == bindparam("owner")))
INBOX = (
    inbox.c.id, inbox.c.owner, inbox.c.job_id, inbox.c.kind, inbox.c.title, inbox.c.message, inbox.c.data,
    inbox.c.created_at, inbox.c.read_at,
)  # fmt: skip
_page = (
    select(*INBOX)
    .where(inbox.c.owner == bindparam("owner"), inbox.c.id < bindparam("before"))
    .order_by(inbox.c.id.desc())
    .limit(bindparam("count"))
)
READ_INBOX = Statement(_page)
READ_UNREAD = Statement(_page.where(inbox.c.read_at.is_(None)))
UNREAD = Statement(
    select(func.count()).select_from(inbox).where(inbox.c.owner == bindparam("owner"), inbox.c.read_at.is_(None))
)
READ_CANCELS = Statement(
    select(leases.c.job_id).where(leases.c.worker_id == bindparam("worker"), leases.c.cancel_requested.is_(True))
)
READ_WORKERS = Statement(
    select(
        tables.workers.c.id,
        tables.workers.c.host,
        tables.workers.c.pid,
        tables.workers.c.tasks,
        tables.workers.c.started_at,
        tables.workers.c.expires_at,
        func.count(leases.c.job_id),
    )
    .outerjoin(leases, leases.c.worker_id == tables.workers.c.id)
    .group_by(tables.workers.c.id)
)
READ_LIMITS = Family(
    lambda among: select(tables.limits.c.scope, tables.limits.c.concurrency).where(
        among(tables.limits.c.scope), tables.limits.c.concurrency.is_not(None)
    )
)
COUNT_TASK = Statement(
    select(func.count()).select_from(leases).where(leases.c.task == bindparam("name"), leases.c.limited.is_(True))
)
COUNT_QUEUE = Statement(
    select(func.count()).select_from(leases).where(leases.c.queue == bindparam("name"), leases.c.limited.is_(True))
)
READ_PAUSED = Statement(select(tables.paused_queues.c.queue))


def _count_jobs(*by: str, owner: bool = False) -> Statement:
    """Sums over what is added up already and what is not."""
    names = [*by, "jobs", "ran", "waited"]
    both = union_all(
        *(
            select(*(table.c[name] for name in names)).where(*([table.c.owner == bindparam("owner")] if owner else []))
            for table in (tables.counts, tables.count_changes)
        )
    ).subquery()
    sums = [func.sum(both.c[name]) for name in ("jobs", "ran", "waited")]
    return Statement(select(*(both.c[name] for name in by), *sums).group_by(*(both.c[name] for name in by)))


COUNT_JOBS = _count_jobs("queue", "task", "status")
COUNT_OWN_JOBS = _count_jobs("queue", "task", "status", owner=True)
COUNT_QUEUES = _count_jobs("queue", "status")
