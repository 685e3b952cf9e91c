"""The official SDKs, each asked in one way for all that it can do: at once or not, whole or not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from tests.unit.router.doubles import TOKEN, Running

Options = dict[str, Any]
_SETTINGS: Options = {"timeout": 20}


@dataclass(frozen=True, slots=True)
class Way:
    """`blocking`: the client that waits in a thread. `stream`: the answer comes in events."""

    blocking: bool
    stream: bool

    def __str__(self) -> str:
        return f"{'sync' if self.blocking else 'async'}-{'stream' if self.stream else 'whole'}"


WAYS = [Way(blocking, stream) for blocking in (False, True) for stream in (False, True)]


def openai_options(running: Running, *, token: str = TOKEN, retries: int = 0) -> Options:
    return {
        **_SETTINGS,
        "base_url": f"{running.url}/v1",
        "api_key": token,
        "max_retries": retries,
    }


def anthropic_options(running: Running, *, token: str = TOKEN, retries: int = 0) -> Options:
    return {
        **_SETTINGS,
        "base_url": running.url,
        "auth_token": token,
        "api_key": None,
        "max_retries": retries,
    }


async def chat(options: Options, way: Way, **asked: Any) -> ChatCompletion:
    """A chat completion."""
    if way.blocking:
        return await asyncio.to_thread(_chat, options, way.stream, asked)
    async with openai.AsyncOpenAI(**options) as client:
        if not way.stream:
            whole: ChatCompletion = await client.chat.completions.create(**asked)
            return whole
        async with client.chat.completions.stream(
            **asked, stream_options={"include_usage": True}
        ) as stream:
            return await stream.get_final_completion()


def _chat(options: Options, stream: bool, asked: Options) -> ChatCompletion:
    with openai.OpenAI(**options) as client:
        if not stream:
            return client.chat.completions.create(**asked)
        with client.chat.completions.stream(
            **asked, stream_options={"include_usage": True}
        ) as events:
            return events.get_final_completion()


async def respond(options: Options, way: Way, **asked: Any) -> Response:
    """An answer of the Responses API."""
    if way.blocking:
        return await asyncio.to_thread(_respond, options, way.stream, asked)
    async with openai.AsyncOpenAI(**options) as client:
        if not way.stream:
            whole: Response = await client.responses.create(**asked)
            return whole
        async with client.responses.stream(**asked) as stream:
            return await stream.get_final_response()


def _respond(options: Options, stream: bool, asked: Options) -> Response:
    with openai.OpenAI(**options) as client:
        if not stream:
            return client.responses.create(**asked)
        with client.responses.stream(**asked) as events:
            return events.get_final_response()


async def message(options: Options, way: Way, **asked: Any) -> anthropic.types.Message:
    """A message of Anthropic's."""
    if way.blocking:
        return await asyncio.to_thread(_message, options, way.stream, asked)
    async with anthropic.AsyncAnthropic(**options) as client:
        if not way.stream:
            whole: anthropic.types.Message = await client.messages.create(**asked)
            return whole
        async with client.messages.stream(**asked) as stream:
            return await stream.get_final_message()


def _message(options: Options, stream: bool, asked: Options) -> anthropic.types.Message:
    with anthropic.Anthropic(**options) as client:
        if not stream:
            return client.messages.create(**asked)
        with client.messages.stream(**asked) as events:
            return events.get_final_message()
