"""A Backburner that was opened before a fork (a server that loads the application first) works on both sides of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.backends import Backend

SCRIPT = """
import json, os, sys
from sqlalchemy import text
from backburner import Backburner

bb = Backburner(sys.argv[1])

@bb.task
def job(run, who: str) -> str:
    return who

def use(who):
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO notes VALUES (:who)"), {"who": who})
        inside = bb.submit_in(connection, job, who)
    return [job.submit_sync(who).id, inside.id]

def read_all():
    with engine.connect() as connection:
        return sorted(connection.execute(text("SELECT who FROM notes")).scalars())

engine = bb.create_engine()
with engine.begin() as connection:
    connection.execute(text("CREATE TABLE notes (who TEXT)"))
jobs = use("before")
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    os.write(writing, json.dumps([use("child"), bb.handle(jobs[0]).refresh_sync().task]).encode())
    bb.close()
    engine.dispose()
    os._exit(0)
os.close(writing)
os.waitpid(child, 0)
theirs, task = json.loads(os.read(reading, 10000))
jobs += theirs + use("parent")
print(json.dumps([task, [bb.handle(each).refresh_sync().args["who"] for each in jobs], read_all()]))
bb.close()
engine.dispose()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_parent_and_child_go_on_with_connections_of_their_own(backend: Backend, tmp_path: Path) -> None:
    with backend.fresh(tmp_path) as url:
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT, url],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert 0 == done.returncode, done.stderr
    who = ["before", "before", "child", "child", "parent", "parent"]
    assert ["job", who, ["before", "child", "parent"]] == json.loads(done.stdout)
    assert "" == done.stderr
