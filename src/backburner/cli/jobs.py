"""`backburner jobs`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import click

from ..app import Backburner
from ..domain.job import FINISHED, Status
from ..domain.retention import Retention, parse_duration
from .common import change, database_option, existing, in_words
from .main import main


@main.group()
@database_option
@click.pass_context
def jobs(context: click.Context, database_url: str | None) -> None:
    """Look at jobs, and retry or cancel them."""
    context.obj = database_url


@jobs.command("list")
@click.option("--status", type=click.Choice([status.value for status in Status]))
@click.option("--task")
@click.option("--owner")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.pass_obj
@in_words
def list_jobs(database_url: str | None, status: str | None, task: str | None, owner: str | None, limit: int) -> None:
    """The newest jobs, one a line."""
    from ..domain.operations import ListJobs

    with existing(database_url) as bb:
        query = ListJobs(owner=owner, status=Status(status) if status else None, task=task, limit=limit)
        found = bb.store.read_sync(query)
        if not found:
            click.echo(f"no such jobs in {bb.settings.database_url}", err=True)
        for job in found:
            error = f"  {job.error.title}: {job.error.detail}" if job.error else ""
            click.echo(
                f"{job.id}  {job.status.value:<9}  {job.percent:3.0f} %  {job.task}  {job.owner or '-'}"
                f"{error}".splitlines()[0]
            )


@jobs.command()
@click.argument("job")
@click.pass_obj
@in_words
def show(database_url: str | None, job: str) -> None:
    """One job with its log, as JSON."""
    from ..domain.operations import GetResult, JobEvents
    from ..http.schemas import job_json

    with existing(database_url) as bb:
        handle = bb.handle(job)
        record = handle.refresh_sync()
        result = bb.store.read_sync(GetResult(job))
        shown = job_json(record, json.loads(result) if result else None, outlook=handle.outlook_sync())
        shown["events"] = [
            {"seq": event.seq, "event": event.kind, **event.data} for event in bb.store.read_sync(JobEvents(job))
        ]
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2, default=str))


@jobs.command()
@click.option("--owner", help="Of this owner's jobs alone.")
@click.pass_obj
@in_words
def stats(database_url: str | None, owner: str | None) -> None:
    """How many jobs there are, how long they took and waited, and how many came to a good end, as JSON."""
    from ..domain.operations import CountJobs
    from ..http.statistics import statistics

    with existing(database_url) as bb:
        click.echo(json.dumps(statistics(bb.store.read_sync(CountJobs(owner))), ensure_ascii=False, indent=2))


@jobs.command()
@click.argument("job", required=False)
@click.option("--all", "everything", is_flag=True, help="Every job of this status, the newest first.")
@click.option("--status", default="failed", show_default=True, type=click.Choice(["failed", "cancelled"]))
@click.option("--task", help="With --all: of this task only.")
@click.option("--owner", help="With --all: of this owner only.")
@click.option("--limit", default=10_000, show_default=True, type=click.IntRange(1))
@click.pass_obj
@in_words
def retry(
    database_url: str | None,
    job: str | None,
    everything: bool,
    status: str,
    task: str | None,
    owner: str | None,
    limit: int,
) -> None:
    """Run a failed or cancelled job again, from its first unfinished step; or all of them."""
    from ..bulk import retry_all
    from ..domain.operations import ListJobs, Retry

    if (job is None) is not everything:
        raise click.UsageError("name one job, or say --all")
    if job is not None:
        change(database_url, Retry(job, None))
        return
    with existing(database_url) as bb:
        query = ListJobs(owner=owner, status=Status(status), task=task)
        click.echo(f"{asyncio.run(retry_all(bb.store, query, limit))} jobs are run again")


@jobs.command()
@click.argument("job")
@click.pass_obj
@in_words
def cancel(database_url: str | None, job: str) -> None:
    """Cancel a job; a running one ends as soon as it listens, 10 s later at the latest."""
    from ..domain.operations import Cancel

    change(database_url, Cancel(job, None))


@jobs.command()
@click.argument("job")
@click.argument("answer", metavar="JSON")
@click.option("--token", help="Which question, where the job has asked several.")
@click.pass_obj
@in_words
def answer(database_url: str | None, job: str, answer: str, token: str | None) -> None:
    """Answer what a job asks, in JSON: true, '"red"', '{"title": "…"}'."""
    try:
        value = json.loads(answer)
    except ValueError as error:
        raise click.UsageError(f"the answer is not JSON ({error}): a text needs its quotes, as in '\"red\"'") from None
    with existing(database_url) as bb:
        handle = bb.handle(job)
        handle.refresh_sync()
        waiting = [question.token for question in handle.questions_sync() if question.open]
        record = handle.answer_sync(value, token=waiting[0] if token is None and len(waiting) == 1 else token)
        click.echo(f"{record.id} is {record.status}")


@jobs.command()
@click.option(
    "--status", type=click.Choice([status.value for status in sorted(FINISHED)]), help="Only jobs that ended so."
)
@click.option("--older-than", metavar="DURATION", help="As in 7d or 12h; BACKBURNER_RETENTION and the tasks' own else.")
@click.option("--dry-run", is_flag=True, help="Say how many jobs that is, and leave them.")
@click.pass_obj
@in_words
def prune(database_url: str | None, status: str | None, older_than: str | None, dry_run: bool) -> None:
    """Remove ended jobs that have been kept long enough. Workers do it by themselves."""
    with existing(database_url) as bb:
        kept: Retention = bb.settings.kept
        if older_than is not None:
            kept = dict.fromkeys(FINISHED, _age(older_than))
        kept = {name: seconds for name, seconds in kept.items() if name in FINISHED and status in (None, name)}
        count = sum(_prune(bb, kept, usual=older_than is None, dry_run=dry_run))
        click.echo(f"{'to remove' if dry_run else 'removed'}: {count}")


def _age(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--older-than") from None
    if seconds is None:
        raise click.BadParameter("nothing is older than forever", param_hint="--older-than")
    return seconds


def _prune(bb: Backburner, kept: Retention, usual: bool, dry_run: bool) -> Iterator[int]:
    """In small parts, so that nobody waits for it."""
    from ..domain.operations import FindPrunable, Prune

    after = None
    while True:
        found = bb.store.read_sync(FindPrunable(kept, usual, after))
        for start in range(0, len(found.jobs), 50):
            some = found.jobs[start : start + 50]
            yield len(some) if dry_run else bb.store.write_sync(Prune(some))
        after = found.after
        if after is None:
            return
