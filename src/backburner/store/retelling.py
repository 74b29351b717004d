"""What whoever comes late is told of an execution that others share already."""

from __future__ import annotations

from ..domain import events
from ..domain.events import Event, apply_text
from ..domain.json import decode, encode
from ..domain.operations import JobEvents
from . import logs
from .batch import Batch, Entry

EVERYTHING = 1 << 30


def story_of(batch: Batch, execution: str, *, running: bool) -> tuple[dict[str, str], list[Entry]]:
    """Its text so far, and the rest in short."""
    texts: dict[str, str] = {}
    latest: dict[str, Entry] = {}
    written = logs.job_events(batch.connection, JobEvents(execution, limit=EVERYTHING))
    for event in [*written, *_unwritten(batch, execution)]:
        if event.kind in (events.TEXT, events.RESET):
            apply_text(texts, event)
        elif event.kind in (events.STARTED, events.PROGRESS, events.RETRYING, events.STEP):
            name = f"{event.kind} {event.data.get('name')} {event.data.get('occurrence')}"
            latest.pop(name, None)
            latest[name] = event.kind, encode(event.data)
        elif event.kind == events.ASKED:
            latest[f"asked {event.data['prompt']}"] = event.kind, encode(event.data)
        elif event.kind == events.ANSWERED:
            latest.pop(f"asked {event.data['prompt']}", None)
    return texts, [entry for entry in latest.values() if not (running and entry[0] == events.RETRYING)]


def retell(batch: Batch, job: str | None, attempt: int, texts: dict[str, str]) -> list[Entry]:
    """What brings the text of a job to ``texts``; None is one that has none yet."""
    mine = {} if job is None else _texts_of(batch, job)
    entries: list[Entry] = []
    void = {channel: 0 for channel, text in sorted(mine.items()) if text and text != texts.get(channel)}
    if void:
        entries.append((events.RESET, encode({"attempt": attempt, "channels": void})))
    for channel, text in texts.items():
        if text and text != mine.get(channel):
            delta = {"channel": channel, "attempt": attempt, "offset": 0, "delta": text}
            entries.append((events.TEXT, encode(delta)))
    return entries


def _texts_of(batch: Batch, job: str) -> dict[str, str]:
    found = logs.texts(batch.connection, job)
    for event in _unwritten(batch, job):
        apply_text(found, event)
    return found


def _unwritten(batch: Batch, job: str) -> list[Event]:
    return [Event(job, 0, None, kind, 0, decode(data)) for kind, data in batch.unwritten(job)]
