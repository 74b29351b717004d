"""Put slow AI work on the back burner."""

from typing import TYPE_CHECKING, Any

from .app import Backburner
from .application import Application, Report
from .batches import Batch
from .command import CommandResult
from .domain.backoff import Backoff
from .domain.batches import BatchRecord
from .domain.errors import (
    AlreadyAnswered,
    AnswerTimeout,
    BackburnerError,
    BatchNotFound,
    BudgetExceeded,
    CommandFailed,
    CommandTimeout,
    ConfigurationError,
    DuplicateJob,
    DuplicateStep,
    Fail,
    IllegalTransition,
    InvalidArguments,
    JobCancelled,
    JobFailed,
    JobNotFound,
    JobTimeout,
    LeaseLost,
    ModelAnswerInvalid,
    ModelRefused,
    ModelUnavailable,
    ProcessDied,
    QuestionNotFound,
    ResultTimeout,
    Retry,
    SchemaOutdated,
    StoreUnavailable,
    TooLarge,
    UnknownTask,
)
from .domain.identity import Identity
from .domain.job import JobError, JobRecord, Status
from .domain.notifications import Notice
from .domain.outlook import Outlook
from .job import Job
from .run import Run
from .settings import Settings
from .sync_run import SyncRun
from .task import Task

if TYPE_CHECKING:
    from .http.problems import ProblemRoute
    from .http.ui import Pages

__all__ = [
    "AlreadyAnswered",
    "AnswerTimeout",
    "Application",
    "Backburner",
    "BackburnerError",
    "Backoff",
    "Batch",
    "BatchNotFound",
    "BatchRecord",
    "BudgetExceeded",
    "CommandFailed",
    "CommandResult",
    "CommandTimeout",
    "ConfigurationError",
    "DuplicateJob",
    "DuplicateStep",
    "Fail",
    "Identity",
    "IllegalTransition",
    "InvalidArguments",
    "Job",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobNotFound",
    "JobRecord",
    "JobTimeout",
    "LeaseLost",
    "ModelAnswerInvalid",
    "ModelRefused",
    "ModelUnavailable",
    "Notice",
    "Outlook",
    "Pages",
    "ProblemRoute",
    "ProcessDied",
    "QuestionNotFound",
    "Report",
    "ResultTimeout",
    "Retry",
    "Run",
    "SchemaOutdated",
    "Settings",
    "Status",
    "StoreUnavailable",
    "SyncRun",
    "Task",
    "TooLarge",
    "UnknownTask",
]


def __getattr__(name: str) -> Any:
    """What brings FastAPI with it is loaded where it is used: a worker does without."""
    if name == "ProblemRoute":
        from .http.problems import ProblemRoute

        return ProblemRoute
    if name == "Pages":
        from .http.ui import Pages

        return Pages
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
