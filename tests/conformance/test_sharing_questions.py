"""What shared work asks people: its one owner decides, or whoever was given the token."""

from __future__ import annotations

from backburner.domain.errors import AlreadyAnswered, IllegalTransition
from backburner.domain.job import Status
from backburner.domain.json import encode
from backburner.domain.operations import (
    Answer,
    Ask,
    Cancel,
    Execution,
    GetQuestion,
    JobQuestions,
    ListJobs,
    ListNotifications,
    OwnerSnapshot,
    Parked,
    Settle,
)
from backburner.domain.questions import choose
from backburner.ports import Store
from tests.support.making import claim, complete, kinds, log_of, look, refusal, register
from tests.support.sharing import assert_exact, put, take

SECRET = "Approve the words of ann?"
WORDS = encode({"asked": None, "completed": None})


def ask(store: Store, execution: Execution, token: str = "token", name: str = "ask") -> None:
    store.write_sync(Ask(execution, name, 0, "key", token, SECRET, '{"type":"boolean"}', 60.0))


def park(store: Store, execution: Execution, *tokens: str) -> None:
    assert store.write_sync(Settle(execution, Parked("answer", None, (), tokens))) is Status.PENDING


def parked(store: Store) -> Execution:
    """The execution that has asked something."""
    execution = take(store)
    ask(store, execution)
    park(store, execution, "token")
    return execution


def go_on(store: Store) -> Execution:
    (claimed,) = claim(store, register(store))
    assert [(step.name, step.value) for step in claimed.steps] == [("ask", "true")]
    return Execution(claimed.id, claimed.attempt)


def test_every_job_of_the_owner_shows_what_the_work_asks(store: Store) -> None:
    first, second = put(store, words=WORDS), put(store, words=WORDS)
    execution = parked(store)
    late = put(store, words=WORDS)
    for job in (first, second, late):
        record = look(store, job)
        assert (record.status, record.waiting_for) == (Status.PENDING, "answer")
        assert record.question is not None
        assert (record.question.job, record.question.prompt, record.question.token) == (job, SECRET, "token")
        (asked,) = [event for event in log_of(store, job) if event.kind == "job.asked"]
        assert (asked.data["prompt"], asked.data["token"]) == (SECRET, "token")
        assert store.read_sync(JobQuestions(job)) == (record.question,)
    assert {job.id for job in store.read_sync(ListJobs()) if job.question is not None} == {first, second, late}
    asked_of = [(each.job, each.kind, each.message) for each in store.read_sync(ListNotifications("ann"))]
    assert sorted(asked_of) == sorted((job, "asked", SECRET) for job in (first, second, late))
    store.write_sync(Answer("token", "true"))
    for job in (first, second, late):
        assert look(store, job).question is None
        assert kinds(store, job)[-1] == "job.answered"
    complete(store, go_on(store))
    assert execution.job not in str([event.data for event in log_of(store, first)])
    assert_exact(store, "ann")


def test_whoever_joins_after_the_answer_is_not_told_of_the_question(store: Store) -> None:
    put(store)
    execution = parked(store)
    store.write_sync(Answer("token", "true"))
    late = put(store)
    assert {"job.asked", "job.answered"}.isdisjoint(kinds(store, late))
    assert look(store, late).question is None
    assert go_on(store).job == execution.job


def test_any_of_the_owners_jobs_is_answered_and_the_work_goes_on_for_all(store: Store) -> None:
    jobs = [put(store), put(store)]
    parked(store)
    question = choose(store.read_sync(JobQuestions(jobs[1])), jobs[1], None)
    store.write_sync(Answer(question.token, "true"))
    assert refusal(lambda: store.write_sync(Answer("token", "false"))) is AlreadyAnswered
    complete(store, go_on(store), "1")
    assert {look(store, job).status for job in jobs} == {Status.COMPLETED}


def test_a_job_that_has_left_answers_nothing_any_more(store: Store) -> None:
    gone, other = put(store), put(store)
    parked(store)
    store.write_sync(Cancel(gone, None))
    assert look(store, gone).question is None
    (question,) = store.read_sync(JobQuestions(gone))
    assert not question.open
    assert refusal(lambda: choose((question,), gone, "token")) is IllegalTransition
    assert look(store, other).question is not None


def test_no_owner_of_work_for_everyone_is_shown_what_it_asks(store: Store) -> None:
    owners = ("ann", "bob")
    jobs = [put(store, owner=owner, everyone=True, words=WORDS) for owner in owners]
    parked(store)
    jobs.append(put(store, owner="cyd", everyone=True, words=WORDS))
    for job, owner in zip(jobs, (*owners, "cyd"), strict=True):
        record = look(store, job)
        assert (record.waiting_for, record.question) == ("answer", None)
        (asked,) = [event for event in log_of(store, job) if event.kind == "job.asked"]
        assert list(asked.data) == ["expires_at"]
        assert store.read_sync(ListNotifications(owner)) == ()
        view = store.read_sync(OwnerSnapshot(owner))
        assert [shown.job.question for shown in view.jobs] == [None]
    store.write_sync(Answer("token", "true"))
    for job in jobs:
        told = str([event.data for event in log_of(store, job)])
        assert SECRET not in told
        assert "token" not in told
        assert kinds(store, job)[-1] == "job.answered"
    complete(store, go_on(store))
    assert_exact(store, *owners, "cyd")


def test_the_token_of_work_for_everyone_lets_whoever_was_given_it_decide(store: Store) -> None:
    job = put(store, owner="ann", everyone=True)
    parked(store)
    (question,) = store.read_sync(JobQuestions(job))
    assert (question.shared, question.token, question.open) == (True, "token", True)
    assert store.read_sync(GetQuestion("token")) is not None
    assert choose((question,), job, "token") == question
