"""A disk that is full, or read-only."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from backburner import Backburner, Settings, StoreUnavailable

from .support import free_port, start_web, start_worker, until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """4 MiB of tmpfs; mounting needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        if os.environ.get("CI") == "true":
            pytest.fail(f"cannot mount a tmpfs: {mounted.stderr}")
        pytest.skip(f"needs the right to mount a tmpfs: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def submit(url: str, path: Path, number: int) -> httpx.Response:
    body = {"task": "mark", "args": {"path": str(path), "number": number}}
    return httpx.post(f"{url}/backburner/jobs", json=body, timeout=20, trust_env=False)


def fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return ballast


def test_a_full_disk_gives_503_and_loses_nothing_acknowledged(small_disk: Path, tmp_path: Path) -> None:
    env = {"BACKBURNER_DATABASE_URL": f"sqlite:///{small_disk}/jobs.db"}
    marks = tmp_path / "marks"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    acknowledged = []
    with start_web(env, port):
        for number in range(20):
            assert submit(url, marks, number).status_code == 202
            acknowledged.append(number)
        ballast = fill(small_disk)
        refused = None
        for number in range(20, 5000):
            response = submit(url, marks, number)
            if response.status_code != 202:
                refused = response
                break
            acknowledged.append(number)
        assert refused is not None, "the disk never got full"
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert "make room" in refused.json()["detail"]
        assert int(refused.headers["retry-after"]) > 0
        assert httpx.get(f"{url}/backburner/jobs", trust_env=False).status_code == 200, "reading still works"
        ballast.unlink()
        assert submit(url, marks, 9999).status_code == 202, "it goes on when there is room"
        acknowledged.append(9999)
        with start_worker(env):
            until(lambda: marks.exists() and len(marks.read_text().split()) >= len(acknowledged), "all are run")
    assert sorted(int(line) for line in marks.read_text().split()) == acknowledged


def test_a_read_only_disk_gives_503_with_a_sentence(small_disk: Path, tmp_path: Path) -> None:
    env = {"BACKBURNER_DATABASE_URL": f"sqlite:///{small_disk}/jobs.db"}
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with start_web(env, port):
        first = submit(url, tmp_path / "marks", 1)
        assert first.status_code == 202
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    bb = Backburner(settings=Settings(database_url=env["BACKBURNER_DATABASE_URL"]))
    with pytest.raises(StoreUnavailable, match="read-only"):
        bb.open()
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    bb.open()
    assert bb.handle(first.json()["id"]).refresh_sync().status == "pending", "nothing was lost"
    bb.close()
