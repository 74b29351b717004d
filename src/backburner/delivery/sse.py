"""Events as lines of ``text/event-stream`` (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from typing import Any

from ..domain.events import Event
from ..domain.outlook import Outlook

MEDIA_TYPE = "text/event-stream"
HEARTBEAT = b"event: heartbeat\ndata: {}\n\n"
"""Has no id, so that a client's cursor stays where it is."""

_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def encode(kind: str, data: Mapping[str, Any], cursor: str) -> bytes:
    """One event. JSON escapes line breaks, so that the data is always a single line."""
    return f"id: {cursor}\nevent: {kind}\ndata: {_encoder.encode(data)}\n\n".encode()


def retry_line() -> bytes:
    """How long a client waits before it comes back: 1 to 3 s, drawn for each, so that they do not come together."""
    return b"retry: %d\n\n" % random.randint(1000, 3000)


def outlook_event(job: str, outlook: Outlook) -> bytes:
    """Without an id: it is not in the log, and whoever comes back is told anew."""
    data = _encoder.encode({"job": job, "position": outlook.position, "eta_seconds": outlook.eta_seconds})
    return f"event: job.outlook\ndata: {data}\n\n".encode()


def expiring(at: float) -> bytes:
    """The stream ends at ``at``, seconds since the epoch, unless its client comes back with a new token before.

    Said in seconds from now too, for clients whose clock is wrong.
    """
    left = max(0.0, at - time.time())
    data = _encoder.encode({"expires_at": timestamp(int(at * 1e6)), "expires_in": round(left, 3)})
    return f"event: token.expiring\ndata: {data}\n\n".encode()


def event_data(event: Event) -> dict[str, Any]:
    """What a client is told of an event: the same as server-sent event and in a page of JSON."""
    data = {"job": event.job, "seq": event.seq, "at": timestamp(event.at), **event.data}
    if "retry_at" in data:
        data["retry_at"] = timestamp(data["retry_at"])
    return data


def timestamp(at: int) -> str:
    """Microseconds since the epoch as ISO 8601, UTC, with milliseconds: ``2026-01-01T00:00:00.123Z``."""
    seconds, micros = divmod(at, 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{micros // 1000:03d}Z"
