"""The command line."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from .app import Backburner
from .domain.errors import BackburnerError, ConfigurationError
from .domain.job import FINISHED, Status
from .domain.retention import Retention, parse_duration
from .settings import load_settings

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def in_words(command: Callable[..., Any]) -> Callable[..., Any]:
    """An error of ours is a sentence on standard error and exit code 1, never a traceback."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except BackburnerError as error:
            raise click.ClickException(str(error)) from None

    return wrapped


@click.group()
@click.version_option(package_name="backburner")
@click.option("--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]))
def main(log_level: str) -> None:
    """Put slow AI work on the back burner."""
    logging.basicConfig(level=log_level.upper(), format=LOG_FORMAT, stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for chatty in ("httpx", "httpx2", "openai"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option("--once", is_flag=True, help="Run the main job to its end, print it, and exit.")
@click.option("--json", "as_json", is_flag=True, help="With --once: one JSON object on standard output.")
@click.option("--database", "database_url", default=None, help="Where the data lives; sqlite:///backburner.db")
@in_words
def demo(host: str, port: int, once: bool, as_json: bool, database_url: str | None) -> None:
    """Serve the applications, web and worker in one process, with a model of this machine if none is set."""
    from . import demo as demonstration

    if as_json and not once:
        raise click.UsageError("--json goes with --once")
    if once:
        demonstration.run_once(database_url, as_json)
    else:
        demonstration.serve(host, port, database_url)


@main.command()
@click.argument("target", metavar="MODULE:ATTR")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@in_words
def dev(target: str, host: str, port: int) -> None:
    """Serve an ASGI application, or a bare Backburner, with a worker beside it in the same process."""
    from .serving import serve_target

    serve_target(target, host, port, embedded_worker=True)


@main.command()
@click.argument("target", metavar="MODULE:ATTR")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@in_words
def serve(target: str, host: str, port: int) -> None:
    """Serve without a worker: run `backburner worker` beside it."""
    from .serving import serve_target

    serve_target(target, host, port, embedded_worker=False)


@main.command()
@click.argument("target", metavar="MODULE:BACKBURNER")
@click.option("--concurrency", type=click.IntRange(1, 10_000), help="Jobs at once; BACKBURNER_CONCURRENCY otherwise.")
@in_words
def worker(target: str, concurrency: int | None) -> None:
    """Run jobs until SIGTERM or Ctrl-C; then finish what runs, and give back what does not end in time."""
    from .loading import load_backburner

    bb = load_backburner(target)
    if not bb.tasks:
        raise ConfigurationError(f"{target} has no tasks: import the modules that define them")
    if concurrency is not None:
        bb.settings = bb.settings.model_copy(update={"concurrency": concurrency})
    # Handing the interpreter over more often keeps the writing thread from waiting for the event loop
    # (docs/decisions/0003-switch-interval.md).
    sys.setswitchinterval(0.001)
    # What is loaded by now stays: collections need not walk it for every few hundred jobs.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)

    async def work() -> None:
        loop = asyncio.get_running_loop()

        def listen(stop: Callable[[], None]) -> None:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop)

        await bb.run_worker(listen)

    try:
        asyncio.run(work())
    finally:
        bb.close()


@main.command()
@click.argument("target", metavar="MODULE:BACKBURNER", required=False)
@in_words
def migrate(target: str | None) -> None:
    """Bring the database up to date (an SQLite file does it by itself when it is opened)."""
    bb = _backburner(target)
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
@click.option("--database", "database_url", default=None, help="As in the application; BACKBURNER_DATABASE_URL else.")
@in_words
def usage(
    owner: str | None, model: str | None, days: int, job: str | None, as_json: bool, database_url: str | None
) -> None:
    """What model calls took, by day, owner and model."""
    from .domain.budgets import first_day
    from .domain.operations import UsageByDay, UsageOfJob
    from .http.schemas import usage_json

    if job is not None and (owner is not None or model is not None):
        raise click.UsageError("--job goes without --owner and --model")
    bb = _existing(database_url)
    try:
        query = UsageByDay(first_day(days), owner, model) if job is None else UsageOfJob(job)
        found = usage_json(bb.store.read_sync(query))
    finally:
        bb.close()
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
@click.option("--database", "database_url", default=None, help="As in the application; BACKBURNER_DATABASE_URL else.")
@in_words
def doctor(url: str | None, database_url: str | None) -> None:
    """Look at the database, the clock and the settings; with a URL, at a running server."""
    from .doctor import examine

    if not examine(_existing(database_url), url):
        sys.exit(1)


@main.group()
@click.option("--database", "database_url", default=None, help="As in the application; BACKBURNER_DATABASE_URL else.")
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
    from .domain.operations import ListJobs

    bb = _existing(database_url)
    try:
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
    finally:
        bb.close()


@jobs.command()
@click.argument("job")
@click.pass_obj
@in_words
def show(database_url: str | None, job: str) -> None:
    """One job with its log, as JSON."""
    from .domain.operations import GetResult, JobEvents
    from .http.schemas import job_json

    bb = _existing(database_url)
    try:
        handle = bb.handle(job)
        record = handle.refresh_sync()
        result = bb.store.read_sync(GetResult(job))
        shown = job_json(record, json.loads(result) if result else None, outlook=handle.outlook_sync())
        shown["events"] = [
            {"seq": event.seq, "event": event.kind, **event.data} for event in bb.store.read_sync(JobEvents(job))
        ]
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2, default=str))
    finally:
        bb.close()


@jobs.command()
@click.option("--owner", help="Of this owner's jobs alone.")
@click.pass_obj
@in_words
def stats(database_url: str | None, owner: str | None) -> None:
    """How many jobs there are, how long they took and waited, and how many came to a good end, as JSON."""
    from .domain.operations import CountJobs
    from .http.statistics import statistics

    bb = _existing(database_url)
    try:
        click.echo(json.dumps(statistics(bb.store.read_sync(CountJobs(owner))), ensure_ascii=False, indent=2))
    finally:
        bb.close()


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
    from .bulk import retry_all
    from .domain.operations import ListJobs, Retry

    if (job is None) is not everything:
        raise click.UsageError("name one job, or say --all")
    if job is not None:
        _change(database_url, Retry(job, None))
        return
    bb = _existing(database_url)
    try:
        query = ListJobs(owner=owner, status=Status(status), task=task)
        click.echo(f"{asyncio.run(retry_all(bb.store, query, limit))} jobs are run again")
    finally:
        bb.close()


@jobs.command()
@click.argument("job")
@click.pass_obj
@in_words
def cancel(database_url: str | None, job: str) -> None:
    """Cancel a job; a running one ends as soon as it listens, 10 s later at the latest."""
    from .domain.operations import Cancel

    _change(database_url, Cancel(job, None))


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
    bb = _existing(database_url)
    try:
        kept: Retention = bb.settings.kept
        if older_than is not None:
            kept = dict.fromkeys(FINISHED, _age(older_than))
        kept = {name: seconds for name, seconds in kept.items() if name in FINISHED and status in (None, name)}
        count = sum(_prune(bb, kept, usual=older_than is None, dry_run=dry_run))
        click.echo(f"{'to remove' if dry_run else 'removed'}: {count}")
    finally:
        bb.close()


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
    from .domain.operations import FindPrunable, Prune

    after = None
    while True:
        found = bb.store.read_sync(FindPrunable(kept, usual, after))
        for start in range(0, len(found.jobs), 50):
            some = found.jobs[start : start + 50]
            yield len(some) if dry_run else bb.store.write_sync(Prune(some))
        after = found.after
        if after is None:
            return


@main.group()
@click.option("--database", "database_url", default=None, help="As in the application; BACKBURNER_DATABASE_URL else.")
@click.pass_context
def crons(context: click.Context, database_url: str | None) -> None:
    """Look at what is submitted by the clock."""
    context.obj = database_url


@crons.command("list")
@click.pass_obj
@in_words
def list_crons(database_url: str | None) -> None:
    """Each cron that a worker has declared, with its next tick and the last job, one a line."""
    from .domain.operations import ListCrons

    bb = _existing(database_url)
    try:
        found = bb.store.read_sync(ListCrons())
        if not found:
            click.echo(f"no crons in {bb.settings.database_url}", err=True)
        for cron in found:
            last = f"{_local(cron.last_at, cron.zone)} ({cron.last_job})" if cron.last_job else "never"
            click.echo(
                f"{cron.name}  {cron.task}  {cron.expression!r} {cron.zone}  missed: {cron.missed}  "
                f"next: {_local(cron.next_at, cron.zone)}  last: {last}"
            )
    finally:
        bb.close()


@crons.command()
@click.argument("name")
@click.pass_obj
@in_words
def forget(database_url: str | None, name: str) -> None:
    """Take a cron that is no longer in the code off the list; it does not fire anyway."""
    from .domain.operations import ForgetCron

    bb = _existing(database_url)
    try:
        if not bb.store.write_sync(ForgetCron(name)):
            raise ConfigurationError(f"there is no cron {name!r}: `backburner crons list` names them")
        click.echo(f"{name} is forgotten.")
    finally:
        bb.close()


def _local(at: int | None, zone: str) -> str:
    if at is None:
        return "never"
    return datetime.fromtimestamp(at / 1e6, ZoneInfo(zone)).isoformat(sep=" ", timespec="seconds")


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
    bb = _existing(database_url)
    try:
        handle = bb.handle(job)
        handle.refresh_sync()
        waiting = [question.token for question in handle.questions_sync() if question.open]
        record = handle.answer_sync(value, token=waiting[0] if token is None and len(waiting) == 1 else token)
        click.echo(f"{record.id} is {record.status}")
    finally:
        bb.close()


@main.group()
@click.option("--database", "database_url", default=None, help="As in the application; BACKBURNER_DATABASE_URL else.")
@click.pass_context
def batches(context: click.Context, database_url: str | None) -> None:
    """Look at batches of jobs, and cancel them."""
    context.obj = database_url


@batches.command("list")
@click.option("--owner")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.pass_obj
@in_words
def list_batches(database_url: str | None, owner: str | None, limit: int) -> None:
    """The newest batches, one a line."""
    from .domain.operations import ListBatches

    bb = _existing(database_url)
    try:
        for batch in bb.store.read_sync(ListBatches(owner, limit=limit)):
            told = f"{batch.percent:3.0f} %  {batch.total} jobs  {batch.owner or '-'}  {batch.title}"
            click.echo(f"{batch.id}  {batch.status.value:<9}  {told}")
    finally:
        bb.close()


@batches.command("show")
@click.argument("batch")
@click.pass_obj
@in_words
def show_batch(database_url: str | None, batch: str) -> None:
    """One batch, as JSON."""
    from .http.schemas import batch_json

    bb = _existing(database_url)
    try:
        click.echo(json.dumps(batch_json(bb.find_batch(batch).look_sync()), ensure_ascii=False, indent=2))
    finally:
        bb.close()


@batches.command("cancel")
@click.argument("batch")
@click.pass_obj
@in_words
def cancel_batch(database_url: str | None, batch: str) -> None:
    """Cancel all jobs of a batch; those that run end as soon as they listen."""
    bb = _existing(database_url)
    try:
        record = asyncio.run(bb.find_batch(batch).cancel())
        click.echo(f"{record.id} is {record.status.value}")
    finally:
        bb.close()


@main.group()
@click.option("--database", "database_url", default=None, help="As in the application; BACKBURNER_DATABASE_URL else.")
@click.pass_context
def queues(context: click.Context, database_url: str | None) -> None:
    """Look at queues, and pause or resume them."""
    context.obj = database_url


@queues.command("list")
@click.pass_obj
@in_words
def list_queues(database_url: str | None) -> None:
    """Every queue that has jobs or is paused, one a line."""
    from .domain.operations import ListQueues

    bb = _existing(database_url)
    try:
        for queue in bb.store.read_sync(ListQueues()):
            state = "paused" if queue.paused else "open"
            click.echo(f"{queue.name}  {state}  {queue.pending} pending  {queue.running} running")
    finally:
        bb.close()


@queues.command()
@click.argument("queue")
@click.pass_obj
@in_words
def pause(database_url: str | None, queue: str) -> None:
    """Take no more jobs from a queue, on any worker; what runs goes on."""
    _pause(database_url, queue, paused=True)


@queues.command()
@click.argument("queue")
@click.pass_obj
@in_words
def resume(database_url: str | None, queue: str) -> None:
    """Take jobs from a queue again."""
    _pause(database_url, queue, paused=False)


def _pause(database_url: str | None, queue: str, paused: bool) -> None:
    from .domain.operations import PauseQueue

    bb = _existing(database_url)
    try:
        bb.store.write_sync(PauseQueue(queue, paused))
        click.echo(f"{queue} is {'paused' if paused else 'open'}")
    finally:
        bb.close()


def _change(database_url: str | None, operation: Any) -> None:
    bb = _existing(database_url)
    try:
        record = bb.store.write_sync(operation)
        note = " (asked to stop)" if record.cancel_requested else ""
        click.echo(f"{record.id} is {record.status}{note}")
    finally:
        bb.close()


def _existing(database_url: str | None) -> Backburner:
    """Looking at jobs makes no database."""
    bb = Backburner(settings=load_settings(database_url=database_url))
    if not bb.database_exists():
        raise ConfigurationError(
            f"there is no database at {bb.settings.database_url}: name the application's with --database or "
            "BACKBURNER_DATABASE_URL"
        )
    return bb


def _backburner(target: str | None) -> Backburner:
    from .loading import load_backburner

    return load_backburner(target) if target else Backburner(settings=load_settings())


if __name__ == "__main__":
    main()
