"""Put slow AI work on the back burner."""

from .app import Backburner
from .application import Application
from .domain.backoff import Backoff
from .domain.errors import (
    BackburnerError,
    ConfigurationError,
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
    ResultTimeout,
    Retry,
    SchemaOutdated,
    StoreUnavailable,
    TooLarge,
    UnknownTask,
)
from .domain.job import JobError, JobRecord, Status
from .domain.notifications import Notice
from .run import Run, SyncRun
from .settings import Settings
from .task import Job, Task

__all__ = [
    "Application",
    "Backburner",
    "BackburnerError",
    "Backoff",
    "ConfigurationError",
    "DuplicateStep",
    "Fail",
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
