"""Questions to people and their answers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from backburner.domain.errors import AlreadyAnswered, IllegalTransition, LeaseLost, QuestionNotFound
from backburner.domain.job import Status
from backburner.domain.notifications import Notice
from backburner.domain.operations import (
    Answer,
    Ask,
    Asked,
    Cancel,
    Erase,
    Execution,
    GetQuestion,
    JobQuestions,
    ListJobs,
    ListNotifications,
    Parked,
    Retry,
    Settle,
)
from backburner.ports import Store
from tests.support.making import claim, complete, fail, kinds, log_of, look, refusal, register, start

from .conftest import Open


def ask(
    store: Store, execution: Execution, token: str = "token", timeout: float | None = None, name: str = "ask"
) -> Asked:
    operation = Ask(execution, name, 0, "key", token, "Approve?", '{"type":"boolean"}', timeout, Notice("A question"))
    return store.write_sync(operation)


def park(store: Store, execution: Execution, *tokens: str) -> None:
    assert store.write_sync(Settle(execution, Parked("answer", None, (), tokens))) is Status.PENDING


def test_a_job_that_asks_waits_until_it_is_answered_and_the_answer_is_a_step(store: Store) -> None:
    execution = start(store, owner="ann")
    assert ask(store, execution) == Asked("token", None, False)
    park(store, execution, "token")
    record = look(store, execution.job)
    assert (record.status, record.waiting_for, record.tries) == (Status.PENDING, "answer", 0)
    assert record.question is not None
    assert (record.question.prompt, record.question.schema) == ("Approve?", {"type": "boolean"})
    assert (record.question.token, record.question.expires_at) == ("token", None)
    (listed,) = store.read_sync(ListJobs(owner="ann"))
    assert listed.question == record.question
    worker = register(store)
    assert claim(store, worker) == []
    store.write_sync(Answer("token", "true"))
    (again,) = claim(store, worker)
    assert [(step.name, step.key, step.value) for step in again.steps] == [("ask", "key", "true")]
    assert look(store, execution.job).question is None
    assert ask(store, Execution(again.id, again.attempt), "another") == Asked("token", "true", False)


def test_the_log_and_the_inbox_tell_of_the_question(store: Store) -> None:
    execution = start(store, owner="ann")
    ask(store, execution, timeout=60.0)
    park(store, execution, "token")
    store.write_sync(Answer("token", "false"))
    assert kinds(store, execution.job)[2:] == ["notification", "job.asked", "job.retrying", "job.answered"]
    asked = log_of(store, execution.job)[3].data
    question = store.read_sync(GetQuestion("token"))
    assert question is not None
    assert asked == {
        "prompt": "Approve?",
        "schema": {"type": "boolean"},
        "token": "token",
        "expires_at": question.expires_at,
    }
    assert question.expires_at == question.asked_at + 60_000_000
    (notification,) = store.read_sync(ListNotifications("ann"))
    assert (notification.kind, notification.title) == ("asked", "A question")


def test_the_same_answer_again_is_fine_and_another_one_is_refused(store: Store) -> None:
    execution = start(store)
    ask(store, execution)
    park(store, execution, "token")
    store.write_sync(Answer("token", '{"a":1,"b":[true]}'))
    before = kinds(store, execution.job)
    store.write_sync(Answer("token", '{"b": [true], "a": 1}'))
    assert refusal(lambda: store.write_sync(Answer("token", '{"a":1,"b":[1]}'))) is AlreadyAnswered
    assert kinds(store, execution.job) == before
    (again,) = claim(store, register(store))
    complete(store, Execution(again.id, again.attempt))
    store.write_sync(Answer("token", '{"a":1,"b":[true]}'))
    assert refusal(lambda: store.write_sync(Answer("token", "null"))) is AlreadyAnswered


def test_nobody_has_asked_with_an_unknown_token(store: Store) -> None:
    assert refusal(lambda: store.write_sync(Answer("guess", "true"))) is QuestionNotFound
    assert store.read_sync(GetQuestion("guess")) is None


def test_who_asks_on_after_the_park_keeps_the_question_and_its_token(store: Store) -> None:
    execution = start(store)
    ask(store, execution)
    fail(store, execution, retry_after=None)
    assert ask_again(store, execution.job) == Asked("other", None, False)


def ask_again(store: Store, job: str, token: str = "other") -> Asked:
    if look(store, job).status.finished:
        store.write_sync(Retry(job, None))
    (again,) = claim(store, register(store))
    return ask(store, Execution(again.id, again.attempt), token)


def test_another_try_keeps_the_question_and_its_time(store: Store) -> None:
    execution = start(store, max_tries=3)
    ask(store, execution, timeout=60.0)
    fail(store, execution, retry_after=0)
    assert ask_again(store, execution.job) == Asked("token", None, False)
    assert [question.token for question in store.read_sync(JobQuestions(execution.job))] == ["token"]


def test_a_question_that_changed_is_asked_anew(store: Store) -> None:
    execution = start(store)
    ask(store, execution)
    changed = Ask(execution, "ask", 0, "other key", "new", "Really?", "true", None)
    assert store.write_sync(changed) == Asked("new", None, False)
    assert refusal(lambda: store.write_sync(Answer("token", "true"))) is QuestionNotFound


def test_an_answer_before_the_park_is_not_waited_for(store: Store) -> None:
    execution = start(store)
    ask(store, execution)
    store.write_sync(Answer("token", "true"))
    assert look(store, execution.job).status is Status.RUNNING
    park(store, execution, "token")
    assert look(store, execution.job).waiting_for == "turn"


def test_the_time_for_an_answer_ends_the_wait(store: Store) -> None:
    execution = start(store)
    ask(store, execution, timeout=0.05)
    park(store, execution, "token")
    worker = register(store)
    taken = []
    while not taken:
        taken = claim(store, worker)
    assert ask(store, Execution(taken[0].id, taken[0].attempt)) == Asked("token", None, True)
    assert refusal(lambda: store.write_sync(Answer("token", "true"))) is IllegalTransition


def test_a_park_after_the_time_goes_on_at_once(store: Store) -> None:
    execution = start(store)
    ask(store, execution, timeout=1e-6)
    park(store, execution, "token")
    assert look(store, execution.job).waiting_for == "turn"


def test_the_first_of_several_answers_lets_the_job_go_on(store: Store) -> None:
    execution = start(store)
    ask(store, execution, "one", name="ask one")
    ask(store, execution, "two", name="ask two")
    park(store, execution, "one", "two")
    assert [question.token for question in store.read_sync(JobQuestions(execution.job))] == ["one", "two"]
    store.write_sync(Answer("two", "true"))
    (again,) = claim(store, register(store))
    park(store, Execution(again.id, again.attempt), "one")
    record = look(store, execution.job)
    assert record.question is not None
    assert (record.waiting_for, record.question.token) == ("answer", "one")


def test_a_job_that_has_ended_waits_for_no_answer_and_a_manual_retry_asks_anew(store: Store) -> None:
    execution = start(store)
    ask(store, execution)
    park(store, execution, "token")
    store.write_sync(Cancel(execution.job, None))
    question = store.read_sync(GetQuestion("token"))
    assert question is not None
    assert not question.open
    assert refusal(lambda: store.write_sync(Answer("token", "true"))) is IllegalTransition
    assert ask_again(store, execution.job) == Asked("other", None, False)
    assert store.read_sync(GetQuestion("token")) is None


def test_an_erased_job_takes_its_questions_with_it(store: Store) -> None:
    execution = start(store)
    ask(store, execution)
    complete(store, execution)
    store.write_sync(Erase(execution.job, None))
    assert store.read_sync(GetQuestion("token")) is None


def test_only_the_current_attempt_asks(store: Store) -> None:
    execution = start(store)
    complete(store, execution)
    assert refusal(lambda: ask(store, execution)) is LeaseLost


def test_two_different_answers_at_once_have_one_winner_and_a_park_at_once_loses_none(open_store: Open) -> None:
    stores = open_store(), open_store()
    for number in range(15):
        execution, token = start(stores[0]), f"token {number}"
        ask(stores[0], execution, token)
        barrier = threading.Barrier(3)

        def answer(store: Store, value: str, token: str = token, barrier: threading.Barrier = barrier) -> object:
            barrier.wait()
            return refusal(lambda: store.write_sync(Answer(token, value)))

        def settle(execution: Execution = execution, token: str = token, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            park(stores[0], execution, token)

        with ThreadPoolExecutor(3) as pool:
            parking = pool.submit(settle)
            told = [pool.submit(answer, stores[each], str(each)) for each in (0, 1)]
            parking.result()
            assert {future.result() for future in told} == {None, AlreadyAnswered}
        (again,) = claim(stores[0], register(stores[0]))
        assert len(again.steps) == 1
        complete(stores[0], Execution(again.id, again.attempt))
