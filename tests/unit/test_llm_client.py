from __future__ import annotations

import asyncio
import json
import socket
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from backburner.domain.errors import Fail, ModelAnswerInvalid, ModelRefused, ModelUnavailable, Retry
from backburner.llm.client import ClientPool, Llm, ModelSettings, resolve_model
from backburner.llm.faults import parse_retry_after
from backburner.llm.settings import DEFAULT_MODEL
from backburner.llm.structured import Misfit, Shape
from backburner.ports import Usage
from backburner.testing.model import Call, FakeModel

KEY = "sk-test-a-very-secret-key"


class MemoryJournal:
    """Keeps steps in a dict, as a run does on disk."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[Any, Any]] = {}
        self.usages: list[Usage | None] = []
        self.channels: dict[str, list[str]] = {}

    async def keep(self, name: str, request: Any, make: Callable[[], Awaitable[tuple[Any, Usage | None]]]) -> Any:
        json.dumps(request)
        if name in self.kept and self.kept[name][0] == request:
            return self.kept[name][1]
        value, usage = await make()
        self.kept[name] = (request, json.loads(json.dumps(value)))
        self.usages.append(usage)
        return value

    async def text(self, delta: str, *, channel: str = "main") -> None:
        self.channels.setdefault(channel, []).append(delta)


class Person(BaseModel):
    name: str
    age: int


class Node(BaseModel):
    label: Literal["leaf", "branch"] = "leaf"
    children: list[Node] = []
    default: str | None = None


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with FakeModel(api_key=KEY) as fake:
        yield fake


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


@pytest.fixture
async def pool() -> AsyncIterator[ClientPool]:
    clients = ClientPool()
    yield clients
    await clients.aclose()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def call(journal: MemoryJournal, pool: ClientPool, waits: list[float]) -> Callable[..., Llm]:
    """Makes an ``Llm`` whose waits are recorded instead of waited, at their upper limit."""

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    def make(model: FakeModel, **changes: Any) -> Llm:
        settings = {"base_url": model.base_url, "api_key": KEY, "model": "fake-model", **changes}
        return Llm(journal, ModelSettings(**settings), pool, sleep=sleep, jitter=lambda low, high: high)

    return make


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# Streaming and keeping


async def test_text_streams_each_piece_and_returns_the_whole(
    model: FakeModel, journal: MemoryJournal, call: Callable[..., Llm]
) -> None:
    model.reply(["Es ", "war ", "einmal"])

    text = await call(model).text("Tell", system="Be brief")

    assert text == "Es war einmal"
    assert journal.channels == {"main": ["Es ", "war ", "einmal"]}
    assert journal.usages == [Usage("fake-model", input_tokens=3, output_tokens=3)]
    assert model.calls[0].body["messages"] == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "Tell"},
    ]


async def test_a_piece_is_delivered_while_the_stream_is_still_held(
    model: FakeModel, journal: MemoryJournal, call: Callable[..., Llm]
) -> None:
    model.reply(["one", "two"])
    model.pause(after=1)
    arrived = asyncio.Event()
    original = journal.text

    async def text(delta: str, *, channel: str = "main") -> None:
        await original(delta, channel=channel)
        arrived.set()

    journal.text = text  # type: ignore[method-assign]

    running = asyncio.create_task(call(model).text("go"))
    await arrived.wait()
    assert journal.channels == {"main": ["one"]}
    model.resume()

    assert await running == "onetwo"


async def test_a_silent_call_streams_nothing_and_a_named_channel_is_used(
    model: FakeModel, journal: MemoryJournal, call: Callable[..., Llm]
) -> None:
    model.reply(["a", "b"])

    assert await call(model).text("x", channel=None) == "ab"
    assert journal.channels == {}

    await call(model).text("y", channel="notes")
    assert journal.channels == {"notes": ["a", "b"]}


async def test_parameters_reach_the_endpoint_and_absent_ones_are_not_sent(
    model: FakeModel, call: Callable[..., Llm]
) -> None:
    await call(model).text("x", model="other", max_tokens=7, temperature=0.0, stop=["END"])
    await call(model).chat([{"role": "user", "content": "y"}])

    first, second = (sent.body for sent in model.calls)
    assert {"model": "other", "max_tokens": 7, "temperature": 0.0, "stop": ["END"]}.items() <= first.items()
    assert set(second) == {"model", "messages", "stream", "stream_options"}


async def test_a_kept_call_is_not_made_again(
    model: FakeModel, journal: MemoryJournal, call: Callable[..., Llm]
) -> None:
    first = await call(model).text("same")
    again = await call(model).text("same")
    other = await call(model).text("different")

    assert again == first
    assert other != first
    assert len(model.calls) == 2
    assert all(name.startswith("llm:") and len(name) == 20 for name in journal.kept)


async def test_a_name_is_the_steps_name(model: FakeModel, journal: MemoryJournal, call: Callable[..., Llm]) -> None:
    await call(model).text("x", name="opening")

    assert set(journal.kept) == {"opening"}


async def test_an_endpoint_that_refuses_to_count_is_asked_without_and_has_no_usage(
    journal: MemoryJournal, call: Callable[..., Llm]
) -> None:
    with FakeModel(refuse_usage=True) as model:
        await call(model).text("x")
        await call(model).text("y")

    assert journal.usages == [None, None]
    assert ["stream_options" in sent.body for sent in model.calls] == [True, False, False]


async def test_a_limit_is_renamed_where_the_endpoint_asks_for_it(model: FakeModel, call: Callable[..., Llm]) -> None:
    model.fail(400, message="Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")

    await call(model).text("x", max_tokens=5)

    assert model.calls[1].body["max_completion_tokens"] == 5
    assert "max_tokens" not in model.calls[1].body


async def test_a_base_model_gets_the_end_of_one_prompt(
    model: FakeModel, journal: MemoryJournal, call: Callable[..., Llm]
) -> None:
    llm = call(model, kind="completion", method="local-model", prompt_limit=14, extra_body={"top_k": 5})
    model.reply(["and ", "so"])

    text = await llm.text("Once upon", system="A tale of old")

    assert text == "and so"
    assert journal.channels == {"main": ["and ", "so"]}
    assert model.calls[0].path == "/v1/completions"
    assert model.calls[0].body["prompt"] == "old\n\nOnce upon"
    assert model.calls[0].body["top_k"] == 5
    assert journal.usages == [Usage("fake-model", 3, 2)]
    assert llm.method == "local-model"


# Errors that are final


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, "change the prompt"),
        (401, "set OPENAI_API_KEY"),
        (402, "OPENAI_API_KEY"),
        (403, "BACKBURNER_MODEL"),
        (404, "BACKBURNER_MODEL"),
        (413, "change the prompt"),
        (422, "change the prompt"),
    ],
)
async def test_a_refusal_fails_at_once_and_says_what_to_set(
    model: FakeModel, waits: list[float], call: Callable[..., Llm], status: int, remedy: str
) -> None:
    model.fail(status, times=9)

    with pytest.raises(ModelRefused, match=remedy) as caught:
        await call(model).text("x")

    assert isinstance(caught.value, Fail)
    assert waits == []
    # A bare 422 may mean stream_options, so that is left out once.
    assert len(model.calls) == (2 if status == 422 else 1)


async def test_an_exhausted_quota_is_final_though_it_is_a_429(model: FakeModel, call: Callable[..., Llm]) -> None:
    model.fail(429, code="insufficient_quota")

    with pytest.raises(ModelRefused, match="no credit"):
        await call(model).text("x")

    assert len(model.calls) == 1


async def test_a_web_page_instead_of_an_api_is_told_from_an_answer(model: FakeModel, call: Callable[..., Llm]) -> None:
    model.fail(200, headers={"Content-Type": "text/html"})

    with pytest.raises(ModelRefused, match="OPENAI_BASE_URL"):
        await call(model).text("x")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500])
async def test_the_key_is_in_no_message_and_no_traceback(
    model: FakeModel, call: Callable[..., Llm], status: int
) -> None:
    model.fail(status, times=9, message=f"Incorrect API key provided: {KEY} or sk-12***89.")

    with pytest.raises((ModelRefused, ModelUnavailable)) as caught:
        await call(model).text("x")

    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert KEY not in told
    assert "sk-12" not in told


async def test_a_wrong_key_is_not_repeated(model: FakeModel, call: Callable[..., Llm]) -> None:
    wrong = "another" + "-secret"
    with pytest.raises(ModelRefused) as caught:
        await call(model, api_key=wrong).text("x")

    assert wrong not in "".join(traceback.format_exception(caught.value))


def test_settings_show_neither_the_key_nor_credentials_in_the_address() -> None:
    settings = ModelSettings("https://me:pw@example.com/v1?token=t", KEY, "m")

    assert KEY not in repr(settings)
    assert settings.place == "https://example.com/v1"


# Errors that pass


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
async def test_what_passes_is_tried_again_in_place_with_growing_waits(
    model: FakeModel, waits: list[float], call: Callable[..., Llm], status: int
) -> None:
    model.fail(status, times=3)
    model.reply("fine")

    assert await call(model).text("x") == "fine"
    assert waits == [1.0, 2.0, 4.0]


async def test_after_four_tries_the_job_is_left_to_try_again(
    model: FakeModel, waits: list[float], call: Callable[..., Llm]
) -> None:
    model.fail(503, times=9)

    with pytest.raises(ModelUnavailable, match="503") as caught:
        await call(model).text("x")

    assert isinstance(caught.value, Retry)
    assert caught.value.after is None
    assert len(model.calls) == 4
    assert len(waits) == 3


async def test_a_short_retry_after_is_waited_for_in_place(
    model: FakeModel, waits: list[float], call: Callable[..., Llm]
) -> None:
    model.fail(429, headers={"Retry-After": "8"})

    await call(model).text("x")

    assert waits == [10.0]


async def test_a_wait_in_place_is_at_most_thirty_seconds(
    model: FakeModel, waits: list[float], call: Callable[..., Llm]
) -> None:
    model.fail(429, headers={"Retry-After": "30"})

    await call(model).text("x")

    assert waits == [30.0]


async def test_a_long_retry_after_is_the_jobs_to_wait(
    model: FakeModel, waits: list[float], call: Callable[..., Llm]
) -> None:
    model.fail(429, headers={"Retry-After": "120"})

    with pytest.raises(ModelUnavailable) as caught:
        await call(model).text("x")

    assert caught.value.after == 120.0
    assert waits == []


async def test_a_retry_after_that_is_a_date_is_understood(model: FakeModel, call: Callable[..., Llm]) -> None:
    at = datetime.now(UTC) + timedelta(minutes=10)
    model.fail(503, headers={"Retry-After": format_datetime(at, usegmt=True)})

    with pytest.raises(ModelUnavailable) as caught:
        await call(model).text("x")

    assert caught.value.after == pytest.approx(600, abs=30)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "99999999"}, 86400.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 60.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:10 GMT"}, 0.0),
    ],
)
def test_retry_after_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert parse_retry_after(headers, now=40.0) == seconds


async def test_no_connection_is_tried_again_and_names_the_address(
    model: FakeModel, waits: list[float], call: Callable[..., Llm]
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/v1"

    with pytest.raises(ModelUnavailable, match=nobody):
        await call(model, base_url=nobody).text("x")

    assert len(waits) == 3


async def test_a_silent_endpoint_times_out(model: FakeModel, waits: list[float], call: Callable[..., Llm]) -> None:
    model.pause()

    with pytest.raises(ModelUnavailable, match=r"silent for 0\.05 s"):
        await call(model, timeout=0.05).text("x")

    assert len(waits) == 3


async def test_a_stream_that_breaks_before_its_first_token_is_tried_again_in_place(
    model: FakeModel, journal: MemoryJournal, waits: list[float], call: Callable[..., Llm]
) -> None:
    model.break_after(0)
    model.reply(["whole"])

    assert await call(model).text("x") == "whole"
    assert journal.channels == {"main": ["whole"]}
    assert waits == [1.0]


async def test_a_stream_that_breaks_after_delivered_text_is_the_jobs_to_retry(
    model: FakeModel, journal: MemoryJournal, waits: list[float], call: Callable[..., Llm]
) -> None:
    model.break_after(2)
    model.reply(["a", "b", "c"])

    with pytest.raises(ModelUnavailable):
        await call(model).text("x")

    assert journal.channels == {"main": ["a", "b"]}
    assert journal.kept == {}
    assert waits == []


async def test_a_silent_call_that_breaks_is_tried_again_in_place(
    model: FakeModel, waits: list[float], call: Callable[..., Llm]
) -> None:
    model.break_after(2)
    model.reply(["a", "b", "c"])

    assert await call(model).text("x", channel=None) == "abc"
    assert waits == [1.0]


async def test_an_error_of_the_journal_is_not_taken_for_the_endpoints(
    model: FakeModel, journal: MemoryJournal, call: Callable[..., Llm]
) -> None:
    async def text(delta: str, *, channel: str = "main") -> None:
        raise ValueError("the store says no")

    journal.text = text  # type: ignore[method-assign]

    with pytest.raises(ValueError, match="the store says no"):
        await call(model).text("x")

    assert len(model.calls) == 1


async def test_a_cancelled_call_hangs_up(model: FakeModel, journal: MemoryJournal, call: Callable[..., Llm]) -> None:
    model.reply(["a"] * 200)
    model.pause(after=1)
    running = asyncio.create_task(call(model).text("x"))
    await asyncio.to_thread(model.wait_held)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert journal.kept == {}


# JSON


async def test_json_returns_a_validated_value_and_streams_nothing(
    model: FakeModel, journal: MemoryJournal, call: Callable[..., Llm]
) -> None:
    model.reply({"name": "陆明远", "age": 31})

    person = await call(model).json("Who?", Person)

    assert person == Person(name="陆明远", age=31)
    assert journal.channels == {}
    wanted = model.calls[0].response_format["json_schema"]
    assert wanted["strict"] is True
    assert wanted["name"] == "Person"
    assert wanted["schema"]["additionalProperties"] is False


async def test_a_kept_json_value_is_not_asked_for_again(model: FakeModel, call: Callable[..., Llm]) -> None:
    first = await call(model).json("Who?", Person)

    assert await call(model).json("Who?", Person) == first
    assert len(model.calls) == 1


async def test_a_list_travels_in_an_object(model: FakeModel, call: Callable[..., Llm]) -> None:
    model.reply({"answer": [{"name": "a", "age": 1}]}, '[{"name": "b", "age": 2}]')

    assert await call(model).json("1", list[Person]) == [Person(name="a", age=1)]
    assert await call(model).json("2", list[Person]) == [Person(name="b", age=2)]
    assert model.calls[0].response_format["json_schema"]["schema"]["type"] == "object"


async def test_an_endpoint_without_schemas_is_told_in_words_and_remembered(call: Callable[..., Llm]) -> None:
    with FakeModel(refuse_schemas=True) as model:
        first = await call(model).json("1", Person)
        await call(model).json("2", Person)

    assert isinstance(first, Person)
    kinds = [sent.response_format["type"] for sent in model.calls]
    assert kinds == ["json_schema", "json_object", "json_object"]
    assert '"age"' in model.calls[1].body["messages"][0]["content"]


async def test_a_422_and_then_a_400_lead_to_an_answer_without_a_format(
    model: FakeModel, call: Callable[..., Llm]
) -> None:
    model.fail(422, message="unprocessable")
    model.fail(400, message="response_format.type must be text")
    model.reply({"name": "a", "age": 1})

    assert await call(model).json("x", Person) == Person(name="a", age=1)
    assert model.calls[2].response_format == {}


async def test_a_schema_that_is_invalid_by_itself_is_not_held_against_the_endpoint(
    model: FakeModel, call: Callable[..., Llm]
) -> None:
    model.fail(400, message="Invalid schema for response_format 'Person'")
    await call(model).json("1", Person)
    await call(model).json("2", Person)

    kinds = [sent.response_format["type"] for sent in model.calls]
    assert kinds == ["json_schema", "json_object", "json_schema"]


@pytest.mark.parametrize(
    "answer",
    [
        '```json\n{"name": "a", "age": 1}\n```',
        '```\n{"name": "a", "age": 1}```',
        'Here it is:\n```JSON\n{"name": "a", "age": 1}\n```\nGood luck!',
        'Sure! {"name": "a", "age": 1}',
        '<think>{"name": "wrong"}</think>\n{"name": "a", "age": 1}',
        ' {"name": "a", "age": "1"} ',
    ],
)
async def test_fences_and_chatter_around_json_are_tolerated(
    model: FakeModel, call: Callable[..., Llm], answer: str
) -> None:
    model.reply(answer)

    assert await call(model).json("x", Person) == Person(name="a", age=1)
    assert len(model.calls) == 1


def test_a_fence_inside_a_string_of_the_answer_stays() -> None:
    text = json.dumps({"name": "```json\n{}\n```", "age": 1})

    assert Shape(Person).read(text)["name"] == "```json\n{}\n```"


async def test_an_answer_that_does_not_fit_is_asked_for_once_more_with_the_reason(
    model: FakeModel, journal: MemoryJournal, call: Callable[..., Llm]
) -> None:
    model.reply({"name": "a"}, {"name": "a", "age": 1})

    assert await call(model).json("x", Person) == Person(name="a", age=1)
    first, again = model.calls
    assert again.body["messages"][: len(first.body["messages"])] == first.body["messages"]
    assert again.body["messages"][-2]["content"] == '{"name": "a"}'
    assert "age: Field required" in again.body["messages"][-1]["content"]
    assert journal.usages[0] is not None
    assert journal.usages[0].input_tokens > len(first.prompt.split())


async def test_an_answer_that_never_fits_is_an_error_that_says_where(
    model: FakeModel, journal: MemoryJournal, call: Callable[..., Llm]
) -> None:
    model.reply("I would rather not.")

    with pytest.raises(ModelAnswerInvalid, match=r"asked twice .* not JSON"):
        await call(model).json("x", Person)

    assert len(model.calls) == 2
    assert journal.kept == {}


async def test_json_that_breaks_midway_is_tried_again_in_place(
    model: FakeModel, waits: list[float], call: Callable[..., Llm]
) -> None:
    model.break_after(1)
    model.reply({"name": "a", "age": 1})

    assert await call(model).json("x", Person) == Person(name="a", age=1)
    assert waits == [1.0]


async def test_a_base_model_is_not_asked_for_json(model: FakeModel, call: Callable[..., Llm]) -> None:
    with pytest.raises(ModelRefused, match="OPENAI_API_KEY"):
        await call(model, kind="completion").json("x", Person)

    assert model.calls == []


def test_a_recursive_schema_is_strict_at_every_level() -> None:
    schema = Shape(Node).schema

    for node in (schema, schema["$defs"]["Node"]):
        assert node["additionalProperties"] is False
        assert node["required"] == ["label", "children", "default"]
        assert "default" not in node["properties"]["label"]


def test_a_misfit_names_the_place_and_not_the_content() -> None:
    with pytest.raises(Misfit, match=r"1\.age: .*integer") as caught:
        Shape(list[Person]).read('[{"name": "a", "age": 1}, {"name": "b", "age": "secret"}]')

    assert "secret" not in str(caught.value)


# Clients and settings


async def test_a_pool_keeps_one_client_an_endpoint_and_key_and_can_be_used_after_closing(
    model: FakeModel, pool: ClientPool
) -> None:
    settings = ModelSettings(model.base_url, KEY, "m")

    first, again, other = await asyncio.gather(
        pool.client(settings),
        pool.client(ModelSettings(model.base_url, KEY, "another model")),
        pool.client(ModelSettings(model.base_url, "k", "m")),
    )
    assert first is again
    assert first is not other

    await pool.aclose()
    assert first.is_closed()
    assert not (await pool.client(settings)).is_closed()


def test_each_event_loop_has_clients_of_its_own(model: FakeModel) -> None:
    pool, journal = ClientPool(), MemoryJournal()
    settings = ModelSettings(model.base_url, KEY, "fake-model")

    async def talk(prompt: str) -> int:
        await Llm(journal, settings, pool).text(prompt)
        client = await pool.client(settings)
        await pool.aclose()
        assert client.is_closed()
        return id(asyncio.get_running_loop())

    asyncio.run(talk("a"))
    asyncio.run(talk("b"))

    assert len(model.calls) == 2


async def test_closing_reaches_the_clients_of_another_running_loop(model: FakeModel, pool: ClientPool) -> None:
    settings = ModelSettings(model.base_url, KEY, "fake-model")
    made = asyncio.Event()
    here = asyncio.get_running_loop()

    async def elsewhere() -> bool:
        client = await pool.client(settings)
        await Llm(MemoryJournal(), settings, pool).text("x")
        here.call_soon_threadsafe(made.set)
        release = asyncio.Event()
        loop = asyncio.get_running_loop()
        here.call_soon_threadsafe(releases.append, lambda: loop.call_soon_threadsafe(release.set))
        await release.wait()
        return client.is_closed()

    releases: list[Callable[[], Any]] = []
    running = asyncio.create_task(asyncio.to_thread(asyncio.run, elsewhere()))
    await made.wait()
    await pool.aclose()
    releases[0]()

    assert await running is True


async def test_a_server_without_a_key_is_called_without_one(call: Callable[..., Llm]) -> None:
    with FakeModel() as model:
        await call(model, api_key=None).text("x")

    assert KEY not in model.calls[0].headers["authorization"]


def test_settings_come_from_what_is_set() -> None:
    assert resolve_model("m", None, None) is None
    assert resolve_model("", "", " ") is None

    by_key = resolve_model(None, None, KEY)
    assert by_key == ModelSettings(None, KEY, DEFAULT_MODEL)
    assert by_key.url == "https://api.openai.com/v1"

    by_url = resolve_model("qwen3", "http://localhost:11434/v1", "")
    assert by_url == ModelSettings("http://localhost:11434/v1", None, "qwen3")
    assert by_url.timeout == 60.0


async def test_a_scripted_call_may_look_at_the_request(model: FakeModel, call: Callable[..., Llm]) -> None:
    def shout(sent: Call) -> str:
        return sent.prompt.upper()

    model.reply(shout)

    assert await call(model).text("quiet") == "QUIET"
