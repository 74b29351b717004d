from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel, Field

from backburner.testing.model import Call, FakeModel
from backburner.testing.model_answers import instance_of


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with FakeModel() as fake:
        yield fake


def ask(model: FakeModel, prompt: str = "hello", **more: Any) -> httpx.Response:
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}], **more}
    return httpx.post(f"{model.base_url}/chat/completions", json=body, trust_env=False)


def said(response: httpx.Response) -> str:
    content: str = response.json()["choices"][0]["message"]["content"]
    return content


def events(response: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_without_a_script_the_answer_follows_from_the_prompt(model: FakeModel) -> None:
    first, again, other = said(ask(model)), said(ask(model)), said(ask(model, "goodbye"))

    assert first == again
    assert first != other


def test_a_stream_ends_with_a_reason_its_usage_and_done(model: FakeModel) -> None:
    model.reply(["Hel", "lo"])

    sent = events(ask(model, "say hello", stream=True, stream_options={"include_usage": True}))

    assert [one["choices"][0]["delta"]["content"] for one in sent[:3]] == ["Hel", "lo", ""]
    assert [one["choices"][0]["finish_reason"] for one in sent[:3]] == [None, None, "stop"]
    assert sent[3]["choices"] == []
    assert sent[3]["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}


def test_usage_is_only_streamed_on_request(model: FakeModel) -> None:
    assert all("usage" not in one for one in events(ask(model, stream=True)))


def test_base_models_have_a_route_of_their_own(model: FakeModel) -> None:
    model.reply(["and ", "then"])
    url = f"{model.base_url}/completions"

    whole = httpx.post(url, json={"prompt": "Once"}, trust_env=False).json()
    streamed = events(httpx.post(url, json={"prompt": "Once", "stream": True}, trust_env=False))

    assert whole["choices"][0]["text"] == "and then"
    assert [one["choices"][0]["text"] for one in streamed] == ["and ", "then", ""]
    assert model.calls[0].prompt == "Once"


def test_replies_are_said_in_turn_and_the_last_stays(model: FakeModel) -> None:
    model.reply("one", {"two": 2}, lambda call: f"three to {call.prompt}")

    assert [said(ask(model)) for _ in range(4)] == ["one", '{"two": 2}', "three to hello", "three to hello"]


def test_a_planned_failure_comes_first_and_passes(model: FakeModel) -> None:
    model.reply("well")
    model.fail(429, times=2, headers={"Retry-After": "3"}, code="rate_limit_exceeded")

    first, second, third = ask(model), ask(model), ask(model)

    assert [first.status_code, second.status_code, third.status_code] == [429, 429, 200]
    assert first.headers["retry-after"] == "3"
    assert first.json()["error"]["code"] == "rate_limit_exceeded"
    model.wait_ended(3)
    assert [call.outcome for call in model.calls] == ["failed", "failed", "answered"]


def test_a_broken_stream_is_an_incomplete_answer_to_its_client(model: FakeModel) -> None:
    model.reply(["a", "b", "c"])
    model.break_after(2)

    with pytest.raises(httpx.RemoteProtocolError):
        ask(model, stream=True)

    assert len(model.calls[0].sent_at) == 2
    model.wait_ended(1)
    assert model.calls[0].outcome == "broken"
    assert len(events(ask(model, stream=True))) == 4


async def test_a_stream_is_held_after_some_pieces_and_released(model: FakeModel) -> None:
    model.reply(["a", "b", "c"])
    model.pause(after=2)
    running = asyncio.create_task(asyncio.to_thread(ask, model, stream=True))

    await asyncio.to_thread(model.wait_held)
    assert len(model.calls[0].sent_at) == 2
    assert not running.done()

    model.resume()
    assert len(events(await running)) == 4
    assert sorted(model.calls[0].sent_at) == model.calls[0].sent_at


async def test_a_held_stream_does_not_keep_the_fake_from_closing() -> None:
    with FakeModel() as model:
        model.pause(after=1)
        running = asyncio.create_task(asyncio.to_thread(ask, model, stream=True))
        await asyncio.to_thread(model.wait_held)

    # Either it was cut or it got its end in time.
    await asyncio.wait([running])
    assert running.exception() is None or isinstance(running.exception(), httpx.HTTPError)


def test_calls_are_recorded_with_path_headers_and_body(model: FakeModel) -> None:
    ask(model, "hi", response_format={"type": "json_object"})

    (call,) = model.calls
    assert call.path == "/v1/chat/completions"
    assert call.headers["content-type"] == "application/json"
    assert call.body["model"] == "m"
    assert call.response_format == {"type": "json_object"}
    assert call.prompt == "hi"


def test_schemas_are_refused_on_request() -> None:
    asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    with FakeModel(refuse_schemas=True) as model:
        refused = ask(model, response_format=asked)
        assert ask(model, response_format={"type": "json_object"}).status_code == 200

    assert refused.status_code == 400
    assert "response_format" in refused.json()["error"]["message"]


def test_a_key_can_be_required() -> None:
    with FakeModel(api_key="right") as model:
        headers = {"authorization": "Bearer right"}
        body: dict[str, Any] = {"messages": []}
        url = f"{model.base_url}/chat/completions"
        assert httpx.post(url, json=body, headers=headers, trust_env=False).status_code == 200
        assert ask(model).status_code == 401


def test_unknown_routes_and_broken_bodies_are_errors_of_the_protocol(model: FakeModel) -> None:
    assert httpx.get(f"{model.base_url}/nothing", trust_env=False).status_code == 404
    assert httpx.post(f"{model.base_url}/embeddings", json={}, trust_env=False).status_code == 404
    url = f"{model.base_url}/chat/completions"
    assert httpx.post(url, content=b"not json", trust_env=False).status_code == 400
    assert model.calls == []


def test_a_script_that_raises_is_a_500_that_names_the_error(model: FakeModel) -> None:
    def broken(call: Call) -> str:
        raise LookupError("no such scene")

    model.reply(broken)

    assert "LookupError: no such scene" in ask(model).json()["error"]["message"]


class Scene(BaseModel):
    title: str = Field(min_length=20, max_length=30)
    kind: str | None
    minutes: int = Field(ge=3, le=5)
    mood: float = Field(gt=0, lt=1)
    people: list[str] = Field(min_length=2)
    next: Scene | None = None


class Film(BaseModel):
    scenes: list[Scene]
    tags: dict[str, str]


def test_json_without_a_script_fits_the_schema_it_was_asked_for(model: FakeModel) -> None:
    schema = Film.model_json_schema()
    shape = {"type": "json_schema", "json_schema": {"name": "Film", "schema": schema}}

    film = Film.model_validate_json(said(ask(model, response_format=shape)))

    assert film.scenes[0].people[0]


def test_json_without_a_script_fits_a_schema_told_in_words(model: FakeModel) -> None:
    prompt = f"Answer {{so}}: {json.dumps(Film.model_json_schema())}"

    Film.model_validate_json(said(ask(model, prompt, response_format={"type": "json_object"})))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"enum": ["b", "a"]}, "b"),
        ({"const": 4}, 4),
        ({"type": ["integer", "null"]}, 1),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "integer", "exclusiveMinimum": 7}, 8),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, True),
        ({"type": "array", "items": {"const": 1}, "minItems": 2}, [1, 1]),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}]}, [1, 2]),
        ({"type": "string", "format": "date"}, "2024-01-02"),
    ],
)
def test_small_values_fit_their_schema(schema: dict[str, Any], value: object) -> None:
    assert instance_of(schema) == value


def test_another_process_may_call_it(model: FakeModel) -> None:
    script = "import openai; print(openai.OpenAI().models.list().data[0].id)"

    done = subprocess.run(
        [sys.executable, "-c", script], env=model.environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == model.environment["BACKBURNER_MODEL"]


async def test_many_clients_at_once_are_all_answered(model: FakeModel) -> None:
    async with openai.AsyncOpenAI(base_url=model.base_url, api_key="k", max_retries=0) as client:
        answers = await asyncio.gather(
            *(
                client.chat.completions.create(model="m", messages=[{"role": "user", "content": str(number)}])
                for number in range(50)
            )
        )

    assert len({answer.choices[0].message.content for answer in answers}) == 50
    assert len(model.calls) == 50


async def test_waiting_for_calls_ends_when_they_arrive_and_tells_what_is_missing(model: FakeModel) -> None:
    waiting = asyncio.create_task(asyncio.to_thread(model.wait_for_calls, 1))
    await asyncio.to_thread(ask, model)
    await waiting

    with pytest.raises(TimeoutError, match="2 calls"):
        model.wait_for_calls(2, timeout=0)


def test_it_has_no_address_before_it_runs() -> None:
    with pytest.raises(RuntimeError, match="context manager"):
        _ = FakeModel().base_url
