"""The command line."""

from __future__ import annotations

from . import batches, crons, jobs, keeping, queues, serving
from .main import main

__all__ = ["batches", "crons", "jobs", "keeping", "main", "queues", "serving"]
