"""What went wrong at a model endpoint: whether trying again can help, and what a person should set."""

from __future__ import annotations

import email.utils
import json
import math
import re
import time
from collections.abc import Mapping
from typing import Any

from backburner.domain.operations import Remaining
from backburner.llm.rates import remaining_in
from backburner.llm.settings import ModelSettings

LONGEST_RETRY_AFTER = 24 * 3600.0
SAID_AT_MOST = 300
KEY_LIKE = re.compile(r"\b[sp]k-[\w*.-]{6,}")
PASSING = {408, 409, 425, 429}


class EndpointFault(Exception):
    """A call that failed, told in a sentence that never holds the key.

    ``passing``: the same call may succeed later. ``retry_after``: seconds that the endpoint asked us to
    wait. ``status``: of the HTTP answer, if there was one. ``said``: the endpoint's own words. ``remaining``: what it
    says is left of its limits.
    """

    def __init__(
        self,
        sentence: str,
        *,
        passing: bool,
        status: int | None = None,
        said: str = "",
        retry_after: float | None = None,
        remaining: Remaining | None = None,
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.passing = passing
        self.status = status
        self.said = said
        self.retry_after = retry_after
        self.remaining = remaining


def fault_of(error: Exception, settings: ModelSettings) -> EndpointFault | None:
    """Judge what the ``openai`` client raised; ``None`` for an error that is not the endpoint's."""
    import httpx
    import openai

    if isinstance(error, openai.APITimeoutError | httpx.TimeoutException):
        return EndpointFault(
            f"{settings.place} was silent for {settings.timeout:g} s; the call can be tried again",
            passing=True,
        )
    if isinstance(error, openai.APIConnectionError | httpx.TransportError):
        return EndpointFault(
            f"there is no connection to {settings.place}: is OPENAI_BASE_URL right, and does the server run?",
            passing=True,
        )
    if isinstance(error, openai.APIStatusError):
        said = _said(error.body, settings) or _scrub(error.response.text, settings)
        retry_after = parse_retry_after(error.response.headers)
        fault = _of_status(error.status_code, error.code or error.type, said, retry_after, settings)
        fault.remaining = remaining_in(error.response.headers)
        return fault
    if isinstance(error, openai.APIError):
        # An error inside a stream that had begun with 200; some gateways put the status into its code.
        said = _said(error.body, settings) or _scrub(error.message, settings)
        status = int(error.code) if error.code and error.code.isdigit() else 503
        return _of_status(status, error.code or error.type, said, None, settings)
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return EndpointFault(f"{settings.place} sent something that is not the OpenAI protocol", passing=True)
    return None


def ended_early(settings: ModelSettings) -> EndpointFault:
    """A stream without a ``finish_reason``: the connection was cut where HTTP could not tell."""
    return EndpointFault(f"the answer of {settings.place} ended before its end", passing=True)


def filtered(settings: ModelSettings) -> EndpointFault:
    return EndpointFault(f"the content filter of {settings.place} stopped the answer: change the prompt", passing=False)


def web_page(settings: ModelSettings) -> EndpointFault:
    return EndpointFault(
        f"{settings.place} answers with a web page: set OPENAI_BASE_URL to the API's address, "
        "which usually ends in /v1",
        passing=False,
    )


def parse_retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait, from ``Retry-After`` (RFC 9110 §10.2.3: seconds or a date) or ``retry-after-ms``.

    ``retry-after-ms`` is OpenAI's own. ``now`` is a Unix time. At most a day; ``None`` if there is no header
    or it makes no sense.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        return max(0.0, min(seconds, LONGEST_RETRY_AFTER)) if math.isfinite(seconds) else None
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
        seconds = date.timestamp() - (time.time() if now is None else now)
    except (ValueError, OverflowError):
        return None
    return max(0.0, min(seconds, LONGEST_RETRY_AFTER))


def _of_status(
    status: int, code: str | None, said: str, retry_after: float | None, settings: ModelSettings
) -> EndpointFault:
    passing = status >= 500 or status in PASSING
    place = settings.place
    if code == "insufficient_quota" or status == 402:
        passing = False
        sentence = f"the account at {place} has no credit left: see its billing page, or set another OPENAI_API_KEY"
    elif status == 401:
        # The endpoint's own words are left out: OpenAI repeats a part of the key in them.
        said_nothing = "" if settings.api_key else " (it is not set)"
        sentence = f"{place} does not accept the key: set OPENAI_API_KEY{said_nothing}"
    elif status == 403:
        sentence = (
            f"the key may not use this model at {place}: set another BACKBURNER_MODEL or OPENAI_API_KEY" + _quoted(said)
        )
    elif status == 404:
        sentence = (
            f"{place} does not know this model or path: set BACKBURNER_MODEL to one of its models, "
            "or OPENAI_BASE_URL to its address, which usually ends in /v1" + _quoted(said)
        )
    elif status == 429:
        sentence = f"{place} asks for fewer requests (429)" + _quoted(said)
    elif passing:
        sentence = f"{place} is not well just now ({status})" + _quoted(said)
    else:
        sentence = f"{place} refused the request ({status}): change the prompt or its parameters" + _quoted(said)
    return EndpointFault(sentence, passing=passing, status=status, said=said, retry_after=retry_after)


def _said(body: object, settings: ModelSettings) -> str:
    """The message inside an error's body: OpenAI's shape, FastAPI's ``detail``, or plain text."""
    if isinstance(body, Mapping):
        found: Any = next((body[key] for key in ("message", "detail", "error") if body.get(key)), "")
        body = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    return _scrub(body, settings) if isinstance(body, str) else ""


def _scrub(text: str, settings: ModelSettings) -> str:
    if settings.api_key:
        text = text.replace(settings.api_key, "[key]")
    return KEY_LIKE.sub("[key]", " ".join(text.split()))


def _quoted(said: str) -> str:
    if not said:
        return ""
    return f" (it said: {said if len(said) <= SAID_AT_MOST else said[: SAID_AT_MOST - 1] + '…'})"
