"""A PostgreSQL server that crashes, and one that is restarted, under jobs that are on their way."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Self

import httpx
import pytest

from backburner import Backburner, Status
from backburner.domain.events import Event
from backburner.domain.operations import GetJob, JobEvents, JobSnapshot, ListJobs, OwnerEvents
from tests.support.postgres import PrivatePostgres

from .support import Watcher, free_port, start_web, start_worker, until
from .tasks import PARTS, WORDS

OWNER = "local"


@pytest.fixture
def env(server: PrivatePostgres) -> dict[str, str]:
    """With a lease that outlasts a slow machine's restart: no attempt is given up."""
    return {"BACKBURNER_DATABASE_URL": server.url, "BACKBURNER_LEASE": "90"}


class Client(threading.Thread):
    """Somebody who submits job after job, as one does who does not know that the server is going down."""

    def __init__(self, site: Site, path: Path, first: int) -> None:
        super().__init__(daemon=True)
        self.accepted: dict[str, int] = {}
        self.refused: list[httpx.Response] = []
        self.odd: list[object] = []
        self._site = site
        self._path = path
        self._number = first
        self._enough = threading.Event()

    def run(self) -> None:
        while not self._enough.wait(0.02):
            try:
                response = self._site.submit("mark", path=str(self._path), number=self._number)
            except httpx.HTTPError as error:
                self.odd.append(error)
                continue
            if response.status_code == 202:
                self.accepted[response.json()["id"]] = self._number
            elif response.status_code == 503:
                self.refused.append(response)
            else:
                self.odd.append((response.status_code, response.text))
            self._number += 1

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self.join()


class Site:
    """The web process as its clients see it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def submit(self, task: str, **args: object) -> httpx.Response:
        body = {"task": task, "args": args}
        return httpx.post(f"{self.url}/backburner/jobs", json=body, timeout=30, trust_env=False)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}/backburner{path}", timeout=30, trust_env=False)

    def is_ready(self) -> bool:
        return self.get("/readyz").status_code == 200


class Authors:
    """Jobs of many parts; each part that is paid for leaves a line."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.jobs: dict[str, int] = {}
        self.gate = folder / "gate"
        self._site = site
        self._paid = folder / "paid"

    def begin(self, count: int) -> list[str]:
        begun = []
        for number in range(len(self.jobs), len(self.jobs) + count):
            response = self._site.submit("chapters", path=str(self._paid), number=number, gate=str(self.gate))
            assert (response.status_code, response.headers.get("Retry-After")) == (202, "1"), response.text
            self.jobs[response.json()["id"]] = number
            begun.append(response.json()["id"])
        return begun

    def paid(self) -> Counter[tuple[int, int]]:
        lines = self._paid.read_text().split("\n")[:-1] if self._paid.exists() else []
        return Counter((int(number), int(part)) for number, part in (line.split() for line in lines))

    def are_in_the_middle(self, jobs: list[str]) -> bool:
        """Each has finished a part."""
        paid = self.paid()
        return all((self.jobs[job], 1) in paid for job in jobs)


def test_jobs_go_on_where_they_were_when_the_server_crashes_and_when_it_is_restarted(
    bb: Backburner, env: dict[str, str], server: PrivatePostgres, tmp_path: Path
) -> None:
    port = free_port()
    site, marks = Site(port), tmp_path / "marks"
    authors = Authors(site, tmp_path)
    clients: list[Client] = []
    with start_web(env, port) as web, start_worker(env) as worker, start_worker(env) as other:
        watchers = []
        for count, mode in ((16, "immediate"), (8, "fast")):
            begun = authors.begin(count)
            watchers.append(Watcher(site.url, begun[0]))
            until(lambda begun=begun: authors.are_in_the_middle(begun), "all jobs are in the middle")
            with Client(site, marks, 10_000 * len(clients)) as client:
                clients.append(client)
                until(lambda client=client: len(client.accepted) >= 3, "jobs are accepted")
                server.stop(mode)
                until(lambda client=client: len(client.refused) >= 3, "jobs are refused")
                ready = site.get("/readyz")
                assert (503, "application/problem+json") == (ready.status_code, ready.headers["Content-Type"])
                for process in (worker, other):
                    process.wait_for_line("the heartbeat failed")
                before = len(client.accepted)
                server.start()
                until(lambda client=client, before=before: len(client.accepted) >= before + 3, "jobs are accepted")
                assert site.is_ready()
        authors.begin(4)
        authors.gate.touch()
        until(lambda: not unfinished(bb), "all jobs have ended")
        for watcher in watchers:
            watcher.join()
        logs = (web.log, worker.log, other.log)
    assert [] == [line for log in logs for line in log if "Traceback" in line], logs

    for client in clients:
        assert [] == client.odd
        assert all(each.headers["Content-Type"] == "application/problem+json" for each in client.refused)
        assert all(int(each.headers["Retry-After"]) >= 1 for each in client.refused)
    accepted = {job: number for client in clients for job, number in client.accepted.items()}
    for job in (*accepted, *authors.jobs):
        assert_completed_once(bb, job)
    marked = Counter(int(line) for line in marks.read_text().split())
    assert set(accepted.values()) <= set(marked), "what was accepted was done"
    assert {1} == set(marked.values()), "and nothing was done twice"
    assert Counter((number, part) for number in range(28) for part in range(PARTS)) == authors.paid()
    for job, number in authors.jobs.items():
        snapshot = bb.store.read_sync(JobSnapshot(job))
        assert snapshot is not None
        assert {"main": text_of(number)} == snapshot.texts
    assert [text_of(0), text_of(16)] == [watcher.text for watcher in watchers]
    positions = [event.position for event in all_of(bb, OWNER)]
    assert list(range(1, len(positions) + 1)) == positions


def unfinished(bb: Backburner) -> bool:
    states = (Status.PENDING, Status.RUNNING)
    return any(bb.store.read_sync(ListJobs(status=status, limit=1)) for status in states)


def assert_completed_once(bb: Backburner, job: str) -> None:
    record = bb.store.read_sync(GetJob(job))
    assert record is not None
    assert (Status.COMPLETED, 1, 0, 0) == (record.status, record.attempt, record.tries, record.rescues)
    events = bb.store.read_sync(JobEvents(job, limit=5000))
    assert list(range(1, record.seq + 1)) == [event.seq for event in events]
    kinds = Counter(event.kind for event in events)
    assert (1, 1, 1) == (kinds["job.submitted"], kinds["job.started"], kinds["job.completed"])
    assert "job.completed" == events[-1].kind


def text_of(number: int) -> str:
    return "".join(f"{number}.{part}.{word} " for part in range(PARTS) for word in range(WORDS))


def all_of(bb: Backburner, owner: str) -> list[Event]:
    found: list[Event] = []
    while page := bb.store.read_sync(OwnerEvents(owner, after=found[-1].position or 0 if found else 0)):
        found += page
    return found
