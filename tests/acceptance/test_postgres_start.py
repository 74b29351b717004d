"""Processes that are started before their PostgreSQL server, or with an address that it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from backburner import Backburner, Status
from tests.support.postgres import PrivatePostgres

from .support import TASKS, Process, free_port, until
from .test_workers import put, status

COMMANDS = (("worker", TASKS), ("serve", TASKS, "--port", "0"))


@pytest.fixture
def env(server: PrivatePostgres) -> dict[str, str]:
    return {"BACKBURNER_DATABASE_URL": server.url}


def test_a_worker_and_a_web_process_wait_for_the_server_and_go_on_when_it_is_up(
    bb: Backburner, server: PrivatePostgres, env: dict[str, str], tmp_path: Path
) -> None:
    server.stop()
    with (
        Process("worker", TASKS, env=env) as worker,
        Process("serve", TASKS, "--port", str(free_port()), env=env) as web,
    ):
        for process in (worker, web):
            line = process.wait_for_line("waiting for the database")
            assert f"127.0.0.1:{server.port}/postgres" in line
            assert "pg_isready" in line, "it says how to look"
        server.start()
        worker.wait_for_line("is ready")
        web.wait_for_line("the database answers")
        job = put(bb, "mark", path=str(tmp_path / "marks"), number=1)
        until(lambda: status(bb, job) is Status.COMPLETED, "the job is done")
    for process in (worker, web):
        assert 1 == len([line for line in process.log if "waiting for the database" in line]), process.log
        assert [] == [line for line in process.log if "Traceback" in line], process.log


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_process_that_waits_for_the_server_ends_when_it_is_told_to(
    server: PrivatePostgres, env: dict[str, str], command: tuple[str, ...]
) -> None:
    server.stop()
    with Process(*command, env=env) as process:
        process.wait_for_line("waiting for the database")
        assert 0 == process.stop()
    assert [] == [line for line in process.log if "Traceback" in line or "Error" in line], process.log


def test_what_waiting_cannot_help_is_an_error_in_one_sentence(server: PrivatePostgres) -> None:
    for wrong, reason in (
        (f"postgresql://postgres@127.0.0.1:{server.port}/nowhere", 'database "nowhere" does not exist'),
        (f"postgresql://nobody@127.0.0.1:{server.port}/postgres", 'role "nobody" does not exist'),
        (f"postgresql://postgres@no.such.host.invalid:{server.port}/postgres", "no.such.host.invalid"),
    ):
        assert_refused(wrong, reason)
    server.stop()
    server.demand_passwords()
    server.start()
    guessed = f"postgresql://postgres:guessed@127.0.0.1:{server.port}/postgres"
    assert_refused(guessed, "password authentication failed")


def assert_refused(url: str, reason: str) -> None:
    for command in COMMANDS:
        with Process(*command, env={"BACKBURNER_DATABASE_URL": url}) as process:
            line = process.wait_for_line("Error: ")
            assert 1 == process.wait()
        assert reason in line
        assert "guessed" not in line, "no password is shown"
        assert [] == [line for line in process.log if "Traceback" in line or "waiting" in line], process.log
