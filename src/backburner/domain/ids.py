"""Ids that sort by age, made before anything is written."""

from __future__ import annotations

import os
import time
import uuid

EXECUTION = "8"
"""The version in the id of an execution that several jobs share: RFC 9562's for a layout of one's own."""


def new_execution_id() -> str:
    """An id that tells by itself what it belongs to, so that no other job costs a look for it."""
    plain = new_id()
    return f"{plain[:14]}{EXECUTION}{plain[15:]}"


def is_execution(job: str) -> bool:
    """Whether this is no job of anybody's, but the execution that several jobs share."""
    return job[14:15] == EXECUTION


def new_id() -> str:
    """A UUID version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, 12 bits of their fractions (section 6.2,
    method 3; about 250 ns), then 62 random bits."""
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    value = milliseconds << 80 | 0x7 << 76 | (nanoseconds * 4096 // 1_000_000) << 64 | int.from_bytes(os.urandom(8))
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
