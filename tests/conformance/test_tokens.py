"""Read tokens and single-use tickets."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from backburner.domain.errors import JobNotFound
from backburner.domain.identity import READ_TOKEN, Token, TokenKind, digest, new_secret
from backburner.domain.operations import Erase, FindToken, IssueToken, PruneTokens, RevokeTokens, TakeTicket
from backburner.ports import Store
from tests.support.clock import pass_time
from tests.support.making import complete, start, submit

from .conftest import Open


def issue(store: Store, kind: TokenKind, job: str | None = None, owner: str = "ann", until: int | None = None) -> str:
    name = digest(new_secret(READ_TOKEN))
    store.write_sync(IssueToken(name, kind, owner, job, 60.0, until))
    return name


def test_a_ticket_serves_once(store: Store) -> None:
    name = issue(store, TokenKind.TICKET, until=7)
    taken = store.write_sync(TakeTicket(name))
    assert taken is not None
    assert (taken.owner, taken.job, taken.until) == ("ann", None, 7)
    assert store.write_sync(TakeTicket(name)) is None


def test_of_many_who_take_a_ticket_at_once_one_gets_it(open_store: Open) -> None:
    stores = [open_store() for _ in range(4)]
    for _ in range(10):
        name = issue(stores[0], TokenKind.TICKET)
        barrier = threading.Barrier(len(stores))

        def take(store: Store, name: str = name, barrier: threading.Barrier = barrier) -> Token | None:
            barrier.wait()
            return store.write_sync(TakeTicket(name))

        with ThreadPoolExecutor(len(stores)) as pool:
            taken = list(pool.map(take, stores))
        assert len([each for each in taken if each is not None]) == 1


def test_a_ticket_that_came_too_late_opens_nothing(store: Store) -> None:
    name = issue(store, TokenKind.TICKET)
    pass_time(store, 61)
    assert store.write_sync(TakeTicket(name)) is None


def test_a_read_token_serves_until_it_expires(store: Store) -> None:
    job = submit(store, owner="ann")
    name = issue(store, TokenKind.READ, job)
    for _ in range(2):
        found = store.read_sync(FindToken(name))
        assert found is not None
        assert (found.owner, found.job) == ("ann", job)
    pass_time(store, 61)
    assert store.read_sync(FindToken(name)) is None


def test_one_kind_of_token_is_not_taken_for_the_other(store: Store) -> None:
    job = submit(store, owner="ann")
    assert store.read_sync(FindToken(issue(store, TokenKind.TICKET, job))) is None
    assert store.write_sync(TakeTicket(issue(store, TokenKind.READ, job))) is None


def test_nobody_makes_or_revokes_tokens_of_somebody_elses_job(store: Store) -> None:
    job = submit(store, owner="ann")
    name = issue(store, TokenKind.READ, job)
    for refused in (IssueToken("x", TokenKind.READ, "bob", job, 60.0), RevokeTokens(job, "bob")):
        with pytest.raises(JobNotFound):
            store.write_sync(refused)
    assert store.read_sync(FindToken(name)) is not None


def test_revoking_takes_the_read_tokens_of_that_job_only(store: Store) -> None:
    job, other = submit(store, owner="ann"), submit(store, owner="ann")
    revoked, kept = [issue(store, TokenKind.READ, job) for _ in range(2)], issue(store, TokenKind.READ, other)
    assert store.write_sync(RevokeTokens(job, "ann")) == 2
    assert [store.read_sync(FindToken(name)) for name in revoked] == [None, None]
    assert store.read_sync(FindToken(kept)) is not None


def test_tokens_go_with_their_job(store: Store) -> None:
    execution = start(store, owner="ann")
    name = issue(store, TokenKind.READ, execution.job)
    complete(store, execution)
    store.write_sync(Erase(execution.job, "ann"))
    assert store.read_sync(FindToken(name)) is None


def test_expired_tokens_are_forgotten_and_others_are_not(store: Store) -> None:
    old = issue(store, TokenKind.TICKET)
    pass_time(store, 61)
    new = issue(store, TokenKind.TICKET)
    assert store.write_sync(PruneTokens()) is False
    pass_time(store, -61)
    assert store.write_sync(TakeTicket(old)) is None
    assert store.write_sync(TakeTicket(new)) is not None
