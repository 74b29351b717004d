"""One exception tree. Every message says what happened and what to do about it."""

from __future__ import annotations

from datetime import timedelta


class BackburnerError(Exception):
    """Anything backburner raises on purpose.

    ``type`` is the stable name that a job's ``error.type`` and a problem document carry, ``title`` its
    one-line meaning for a person.
    """

    type = "error"
    title = "Something went wrong"

    @property
    def detail(self) -> str:
        return str(self)


class InvalidArguments(BackburnerError):
    """The arguments of a submit do not fit the task, or cannot be written as JSON.

    ``fields`` maps the name of an argument to what is wrong with it.
    """

    type = "invalid_arguments"
    title = "The arguments do not fit the task"

    def __init__(self, message: str, fields: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields = fields or {}


class TooLarge(InvalidArguments):
    """Arguments, a result or a step's value are over 16 MiB of JSON."""

    type = "too_large"
    title = "The value is larger than a job may carry"


class UnknownTask(BackburnerError):
    """No task of this name is registered, or it is not open to the caller."""

    type = "unknown_task"
    title = "There is no such task"


class JobNotFound(BackburnerError):
    """There is no such job for this caller; somebody else's job looks just the same."""

    type = "job_not_found"
    title = "There is no such job"


class IllegalTransition(BackburnerError):
    """The job's state does not allow this (retrying a completed job, erasing a running one)."""

    type = "illegal_transition"
    title = "The job's state does not allow this"


class DuplicateJob(BackburnerError):
    """A live job of this owner and task has the same key, and the task wants no second one. ``job`` is its id."""

    type = "duplicate_job"
    title = "There is such a job already"

    def __init__(self, message: str, job: str = "") -> None:
        super().__init__(message)
        self.job = job


class BatchNotFound(BackburnerError):
    """There is no such batch for this caller; somebody else's looks just the same."""

    type = "batch_not_found"
    title = "There is no such batch"


class QuestionNotFound(BackburnerError):
    """No question has this token."""

    type = "question_not_found"
    title = "There is no such question"


class AlreadyAnswered(IllegalTransition):
    """The question has been answered, and otherwise."""

    type = "already_answered"
    title = "The question has been answered"


class AnswerTimeout(BackburnerError, TimeoutError):
    """Nobody answered ``run.ask(timeout=…)`` in time. A manual retry of the job asks again."""

    type = "answer_timeout"
    title = "Nobody answered in time"


class DuplicateStep(BackburnerError):
    """Two steps that run side by side have the same name, so a resume could not tell them apart."""

    type = "duplicate_step"
    title = "Two parallel steps share a name"


class StoreUnavailable(BackburnerError):
    """The database cannot be written or read just now: full disk, read-only file, no connection.

    Nothing that was acknowledged is lost. ``retry_after`` is in seconds.
    """

    type = "store_unavailable"
    title = "The database cannot be used just now"

    def __init__(self, message: str, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StoreUnreachable(StoreUnavailable):
    """Nobody answers at the database's address, or not yet: a process that starts waits for it."""


class SchemaOutdated(BackburnerError):
    """The database's schema is older or newer than this version of backburner."""

    type = "schema_outdated"
    title = "The database needs a migration"


class ConfigurationError(BackburnerError):
    """A setting is missing or makes no sense."""

    type = "configuration"
    title = "A setting is missing or wrong"


class LeaseLost(BackburnerError):
    """This execution is no longer the job's current attempt; whatever it writes is refused."""

    type = "lease_lost"
    title = "Another worker has taken over the job"


class JobFailed(BackburnerError):
    """Raised by ``job.result()`` when the job has failed. ``error`` is the job's error record."""

    type = "job_failed"
    title = "The job failed"

    def __init__(self, message: str, error: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.error = error or {}


class JobCancelled(BackburnerError):
    """Raised by ``job.result()`` when the job was cancelled, and in a sync handler that is being cancelled."""

    type = "cancelled"
    title = "The job was cancelled"


class JobTimeout(BackburnerError):
    """An attempt took longer than the task's ``timeout``."""

    type = "timeout"
    title = "The job took too long"


class ResultTimeout(BackburnerError, TimeoutError):
    """``job.result(timeout=…)`` waited in vain; the job goes on."""

    type = "result_timeout"
    title = "The job is not finished yet"


LONGEST_WAIT = 100 * 366 * 86_400.0


class Retry(BackburnerError):
    """A handler raises this to be called again; it costs one try.

    ``after`` is a number of seconds or a timedelta; without it the task's backoff decides. Raises `InvalidArguments`,
    which fails the job at once, for no such number.
    """

    type = "retry"
    title = "The job asked to be tried again"

    def __init__(self, reason: str = "", *, after: float | timedelta | None = None) -> None:
        super().__init__(reason or "the job asked to be tried again")
        seconds = after.total_seconds() if isinstance(after, timedelta) else after
        self.after = None if seconds is None else float(seconds)
        if self.after is not None and not 0 <= self.after <= LONGEST_WAIT:
            choose = "choose 0 s to 100 years"
            raise InvalidArguments(f"Retry(after={after!r}) is no time to wait: {choose}", {"after": choose})


class Fail(BackburnerError):
    """A handler raises this to fail at once, whatever tries are left.

    ``status`` is the HTTP status that an endpoint waiting for the job answers with.
    """

    type = "failed"
    title = "The job failed"

    def __init__(self, reason: str, *, status: int = 500, type: str | None = None) -> None:
        super().__init__(reason)
        self.status = status
        if type is not None:
            self.type = type


class CommandFailed(BackburnerError):
    """A program that ``run.command`` started failed, or wrote more than can be kept.

    ``returncode`` is its exit code, or minus the number of the signal that ended it; ``stderr`` what it complained of.
    """

    type = "command_failed"
    title = "A program failed"

    def __init__(self, message: str, returncode: int | None = None, stderr: str = "") -> None:
        super().__init__(message)
        self.returncode = returncode
        self.stderr = stderr


class CommandTimeout(CommandFailed, TimeoutError):
    """A program took longer than the ``timeout`` of ``run.command`` and was killed."""

    type = "command_timeout"
    title = "A program took too long"


class ProcessDied(BackburnerError):
    """The child process that a job ran in (``bb.task(process=True)``) ended before the job did.

    ``returncode`` is its exit code, or minus the number of the signal that ended it.
    """

    type = "process_died"
    title = "The job's process died"

    def __init__(self, message: str, returncode: int | None = None) -> None:
        super().__init__(message)
        self.returncode = returncode


class ModelRefused(Fail):
    """The model endpoint refused the call for good (401, 403, 404, 400, 422): trying again cannot help."""

    type = "model_refused"
    title = "The model endpoint refused the request"


class BudgetExceeded(Fail):
    """An owner's budget for the day has not enough left for a model call; the message says when it begins again."""

    type = "budget_exceeded"
    title = "The budget for model calls is used up for today"

    def __init__(self, reason: str, *, status: int = 429, type: str | None = None) -> None:
        super().__init__(reason, status=status, type=type)


class ModelUnavailable(Retry):
    """The model endpoint is overloaded or broken (429, 5xx, no connection); the job is tried again."""

    type = "model_unavailable"
    title = "The model endpoint is not answering just now"


class ModelAnswerInvalid(BackburnerError):
    """The model's answer does not have the shape that was asked for."""

    type = "model_answer_invalid"
    title = "The model answered with something unusable"


def words_of(error: BaseException) -> str:
    """What an exception says; one of an application may fail to say anything."""
    try:
        return str(error)
    except Exception:
        return ""
