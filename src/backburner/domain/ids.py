"""Ids that sort by age, made before anything is written."""

from __future__ import annotations

import os
import time
import uuid


def new_id() -> str:
    """A UUID version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, 12 bits of their fractions (section 6.2,
    method 3; about 250 ns), then 62 random bits."""
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    value = milliseconds << 80 | 0x7 << 76 | (nanoseconds * 4096 // 1_000_000) << 64 | int.from_bytes(os.urandom(8))
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
