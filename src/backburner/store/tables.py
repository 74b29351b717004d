"""The schema. Which row exists is the state of the line: `ready`, `scheduled`, `blocked` and `leases` stand beside
`jobs`. The prefix keeps them apart from the tables of the application that shares the database.

Times are microseconds since the epoch, UTC. Ids are UUIDs of version 7, so that they sort by age.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
)

HEAD = "0003"
"""The migration that this version of the code needs."""

VERSION_TABLE = "backburner_version"

metadata = MetaData()

# Compared byte by byte everywhere, whatever the language of the database is.
ID = String(36).with_variant(String(36, collation="C"), "postgresql")
NAME = String(255).with_variant(String(255, collation="C"), "postgresql")
SCOPE = String(300).with_variant(String(300, collation="C"), "postgresql")
DIGEST = String(64).with_variant(String(64, collation="C"), "postgresql")
NOBODY = ""
"""Stands for no owner where a column is part of a key."""

GONE = " gone"
"""Behind the status of a counter of ended jobs that have been removed, so that totals never fall."""

jobs = Table(
    "bb_jobs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("task", NAME, nullable=False),
    Column("queue", NAME, nullable=False),
    Column("status", String(10), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("owner", NAME),
    Column("attempt", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("max_tries", Integer, nullable=False),
    Column("rescues", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("percent", Float, nullable=False),
    Column("message", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("error", Text),
    Column("key", NAME),
    Column("batch_id", ID),
    Column("expires_at", BigInteger),
    Column("size", Float),
    Column("parent_id", ID),
    Column("awaited", Boolean),
    Column("cost", BigInteger),
    Column("execution_id", ID),
)

works_at = func.coalesce(jobs.c.execution_id, jobs.c.id)
"""Where a job is worked at: it may share an execution with others."""

# The execution of each work that several jobs may share, and the owner whose arguments it has.
works = Table(
    "bb_works",
    metadata,
    Column("work", ID, primary_key=True),
    Column("execution_id", ID, nullable=False),
    Column("lead", NAME),
    sqlite_with_rowid=False,
)

# Jobs that share their work; `execution_id` of their rows in `jobs` is where they point to, and of an execution itself.
# A result answers others for `lasts` microseconds.
shares = Table(
    "bb_shares",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("work", ID, nullable=False),
    Column("lasts", BigInteger, nullable=False),
    Column("everyone", Boolean, nullable=False),
    Column("words", Text),
    sqlite_with_rowid=False,
)

job_args = Table(
    "bb_job_args",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("body", Text, nullable=False),
)

job_results = Table(
    "bb_job_results",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("body", Text, nullable=False),
)

# The line: a row here and the job may be claimed. Each task of a queue has a line of its own, so that one at its limit
# is passed over without a look at its jobs. `rank` is the priority negated and `turn` the place among the owners (see
# `lining`), so that the order of the claim is the order of the index. `since` is when it became ready.
ready = Table(
    "bb_ready",
    metadata,
    Column("queue", NAME, primary_key=True),
    Column("task", NAME, primary_key=True),
    Column("rank", Integer, primary_key=True),
    Column("turn", BigInteger, primary_key=True),
    Column("job_id", ID, primary_key=True),
    Column("owner", NAME, nullable=False),
    Column("since", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Jobs moved aside because their owner is at a limit of the task or the queue, which `scope` names.
blocked = Table(
    "bb_blocked",
    metadata,
    Column("scope", SCOPE, primary_key=True),
    Column("owner", NAME, primary_key=True),
    Column("rank", Integer, primary_key=True),
    Column("turn", BigInteger, primary_key=True),
    Column("job_id", ID, primary_key=True),
    Column("queue", NAME, nullable=False),
    Column("task", NAME, nullable=False),
    Column("since", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The lines that have or had jobs.
lines = Table(
    "bb_lines",
    metadata,
    Column("queue", NAME, primary_key=True),
    Column("task", NAME, primary_key=True),
    Column("seen_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Start-time fair queueing (Goyal, Vin and Cheng, 1996), for each queue and rank: where the next job of an owner stands
# in the order of turns, and the time of the line itself, which is the turn that was claimed last.
turns = Table(
    "bb_turns",
    metadata,
    Column("queue", NAME, primary_key=True),
    Column("rank", Integer, primary_key=True),
    Column("owner", NAME, primary_key=True),
    Column("finish", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

clocks = Table(
    "bb_clocks",
    metadata,
    Column("queue", NAME, primary_key=True),
    Column("rank", Integer, primary_key=True),
    Column("time", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

paused_queues = Table(
    "bb_paused_queues",
    metadata,
    Column("queue", NAME, primary_key=True),
    Column("since", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Who counts the running jobs of a task or a queue that has a limit holds its row, so that two do not count at once.
limits = Table(
    "bb_limits",
    metadata,
    Column("scope", SCOPE, primary_key=True),
    Column("concurrency", Integer),
    Column("rate_count", Integer),
    Column("rate_seconds", Double),
    sqlite_with_rowid=False,
)

# Starts within the period of a task's rate.
starts = Table(
    "bb_starts",
    metadata,
    Column("task", NAME, primary_key=True),
    Column("at", BigInteger, primary_key=True),
    Column("job_id", ID, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    sqlite_with_rowid=False,
)

# Jobs that wait without a slot for a person, a child or a budget; some have a time in `scheduled` as well.
parked = Table(
    "bb_parked",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("waiting_for", String(10), nullable=False),
    sqlite_with_rowid=False,
)

# Which jobs a parked one waits for; each of those is marked as `awaited`, so that the ends of others look for nobody.
waits = Table(
    "bb_waits",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("child_id", ID, primary_key=True),
    sqlite_with_rowid=False,
)

# Jobs that belong together. `remaining` is how many of them have not ended yet; at 0 the batch is finished, once.
batches = Table(
    "bb_batches",
    metadata,
    Column("id", ID, primary_key=True),
    Column("title", NAME, nullable=False),
    Column("owner", NAME),
    Column("notify", Boolean, nullable=False),
    Column("callback", Text),
    Column("total", Integer, nullable=False),
    Column("remaining", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
)

# What jobs have asked people. The token is kept as it is: the job's owner is shown it whenever the job is looked at.
questions = Table(
    "bb_questions",
    metadata,
    Column("token", ID, primary_key=True),
    Column("job_id", ID, nullable=False),
    Column("name", NAME, nullable=False),
    Column("occurrence", Integer, nullable=False),
    Column("key", String(32), nullable=False),
    Column("prompt", Text, nullable=False),
    Column("shape", Text, nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("answer", Text),
    Column("answered_at", BigInteger),
)

# Tokens that we gave out: of their secrets only the digests.
tokens = Table(
    "bb_tokens",
    metadata,
    Column("digest", DIGEST, primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("owner", NAME, nullable=False),
    Column("job_id", ID),
    Column("expires_at", BigInteger, nullable=False),
    Column("until", BigInteger),
    sqlite_with_rowid=False,
)

# Until when a waiting job must have been started.
deadlines = Table(
    "bb_deadlines",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# One live job for each owner, task and key.
keys = Table(
    "bb_keys",
    metadata,
    Column("task", NAME, primary_key=True),
    Column("owner", NAME, primary_key=True),
    Column("key", NAME, primary_key=True),
    Column("job_id", ID, nullable=False),
    sqlite_with_rowid=False,
)

# How many jobs there are in each state, and how many have been in those that end (see `GONE`), and the seconds (as
# microseconds) that those which ended ran and waited.
counts = Table(
    "bb_counts",
    metadata,
    Column("owner", NAME, primary_key=True),
    Column("task", NAME, primary_key=True),
    Column("queue", NAME, primary_key=True),
    Column("status", String(20), primary_key=True),
    Column("jobs", BigInteger, nullable=False),
    Column("ran", BigInteger, nullable=False),
    Column("waited", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Changes of the counts that are still to be added: a row that everybody updates would make them wait for each other.
# `measured`: how long those that were completed ran, as the list of sums of `Timing`.
count_changes = Table(
    "bb_count_changes",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("owner", NAME, nullable=False),
    Column("task", NAME, nullable=False),
    Column("queue", NAME, nullable=False),
    Column("status", String(20), nullable=False),
    Column("jobs", BigInteger, nullable=False),
    Column("ran", BigInteger, nullable=False),
    Column("waited", BigInteger, nullable=False),
    Column("measured", Text),
)

# How long jobs of a task take: the sums of `Timing` in seconds, in which old measurements fade.
timings = Table(
    "bb_timings",
    metadata,
    Column("task", NAME, primary_key=True),
    Column("jobs", Double, nullable=False),
    Column("ran", Double, nullable=False),
    Column("sized", Double, nullable=False),
    Column("size", Double, nullable=False),
    Column("squares", Double, nullable=False),
    Column("products", Double, nullable=False),
    Column("sized_ran", Double, nullable=False),
    Column("ran_squares", Double, nullable=False),
    sqlite_with_rowid=False,
)

# What one process does for all now and then.
chores = Table(
    "bb_chores",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("due_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# How long ended jobs of a task are kept where that is not as usual; no seconds is for ever.
retentions = Table(
    "bb_retentions",
    metadata,
    Column("task", NAME, primary_key=True),
    Column("status", String(10), primary_key=True),
    Column("seconds", Float),
    sqlite_with_rowid=False,
)

# When each cron ticks next, by the schedule of the worker that was started last.
crons = Table(
    "bb_crons",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("task", NAME, nullable=False),
    Column("expression", NAME, nullable=False),
    Column("zone", NAME, nullable=False),
    Column("missed", String(10), nullable=False),
    Column("next_at", BigInteger),
    Column("last_at", BigInteger),
    Column("last_job", ID),
    sqlite_with_rowid=False,
)

scheduled = Table(
    "bb_scheduled",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("run_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# A row here and the job is running; its attempt is the fence.
leases = Table(
    "bb_leases",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("worker_id", ID, nullable=False),
    Column("queue", NAME, nullable=False),
    Column("task", NAME, nullable=False),
    Column("owner", NAME, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("limited", Boolean, nullable=False),  # its task or queue has a limit: then it is counted
    sqlite_with_rowid=False,
)

# The lease of all of a worker's jobs is one row, so that renewing it is one statement.
workers = Table(
    "bb_workers",
    metadata,
    Column("id", ID, primary_key=True),
    Column("host", NAME, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("tasks", Text, nullable=False),
    Column("concurrency", Integer),
    Column("started_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

steps = Table(
    "bb_steps",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("name", NAME, primary_key=True),
    Column("occurrence", Integer, primary_key=True),
    Column("key", String(32), nullable=False),
    Column("value", Text, nullable=False),
    Column("channels", Text),
    Column("attempt", Integer, nullable=False),
    Column("finished_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# `length` code points are written, the first `kept` of them stand whatever happens to the attempt. `folded` when
# none of its text is left in single events.
channels = Table(
    "bb_channels",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("name", NAME, primary_key=True),
    Column("length", Integer, nullable=False),
    Column("kept", Integer, nullable=False),
    Column("folded", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

events = Table(
    "bb_events",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("owner", NAME),
    Column("position", BigInteger),
    Column("kind", String(32), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("data", Text, nullable=False),
    sqlite_with_rowid=False,
)

# The text events of a job that ended a while ago (see `folding`), `places` what they were, `text` what they said.
folds = Table(
    "bb_folds",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("last_seq", Integer, primary_key=True),
    Column("first_seq", Integer, nullable=False),
    Column("owner", NAME),
    Column("first_position", BigInteger),
    Column("last_position", BigInteger),
    Column("places", Text, nullable=False),
    Column("text", Text, nullable=False),
    sqlite_with_rowid=False,
)

# Where an owner's stream ends. Updated last in a transaction and in the order of owners, so that positions are
# free of gaps and in the order of commits. Up to `pruned` events may be missing: their jobs were kept long enough.
streams = Table(
    "bb_streams",
    metadata,
    Column("owner", NAME, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("pruned", BigInteger),
    sqlite_with_rowid=False,
)

# Tasks that wait in the line while no live worker knows them, and since when that was noticed.
unknown_tasks = Table(
    "bb_unknown_tasks",
    metadata,
    Column("task", NAME, primary_key=True),
    Column("since", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Jobs that an application's own transaction inserted and whose first event is still to be written.
unannounced = Table(
    "bb_unannounced",
    metadata,
    Column("job_id", ID, primary_key=True),
    sqlite_with_rowid=False,
)

notifications = Table(
    "bb_notifications",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("owner", NAME, nullable=False),
    Column("job_id", ID),
    Column("kind", String(32), nullable=False),
    Column("title", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("read_at", BigInteger),
    sqlite_autoincrement=True,
)

# What a limit of model calls in a minute leaves: the bucket was or will be empty at `empty_at` and fills from then on.
# Places in line are given up to `booked_until`; `moved` is by how much the line has moved since it began, because calls
# took less or more than was reserved or nobody was served for a while. `seen_at` is the time of the last change: a
# clock that was put back is noticed by it. `gaps` is JSON, see `bucket.Level`.
buckets = Table(
    "bb_buckets",
    metadata,
    Column("model", NAME, primary_key=True),
    Column("owner", NAME, primary_key=True),
    Column("kind", String(10), primary_key=True),
    Column("per_minute", BigInteger, nullable=False),
    Column("empty_at", BigInteger, nullable=False),
    Column("booked_until", BigInteger, nullable=False),
    Column("moved", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("gaps", Text, nullable=False),
    sqlite_with_rowid=False,
)

# What an owner has taken of a day's budget, with what is reserved. Days count from 1970-01-01, UTC.
day_budgets = Table(
    "bb_day_budgets",
    metadata,
    Column("model", NAME, primary_key=True),
    Column("owner", NAME, primary_key=True),
    Column("kind", String(10), primary_key=True),
    Column("day", Integer, nullable=False),
    Column("used", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Model calls that are under way, and the places of those that wait: `places` is theirs in each bucket's line.
reservations = Table(
    "bb_reservations",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("step", String(32), primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("model", NAME, nullable=False),
    Column("owner", NAME, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("places", Text),
    sqlite_with_rowid=False,
)

# Models whose endpoint asked to be left alone for a while.
model_pauses = Table(
    "bb_model_pauses",
    metadata,
    Column("model", NAME, primary_key=True),
    Column("until", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What the model calls of a job took; it goes with the job.
job_usage = Table(
    "bb_job_usage",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("model", NAME, primary_key=True),
    Column("day", Integer, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost", BigInteger),
    sqlite_with_rowid=False,
)

# The same by owner and day; it stays.
usage_days = Table(
    "bb_usage_days",
    metadata,
    Column("owner", NAME, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("model", NAME, primary_key=True),
    Column("calls", Integer, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost", BigInteger),
    sqlite_with_rowid=False,
)
