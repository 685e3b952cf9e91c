"""Clients that keep asking while something happens, and count what goes wrong."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import anthropic
import openai

from tests.e2e.stack import Stack

PAUSE_S = 0.5


@dataclass
class Load:
    """One client streams without pause, another asks in the Anthropic dialect twice a second."""

    stack: Stack
    tiers: list[str] = field(default_factory=list)
    streams: int = 0
    errors: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        env = self.stack.connection()
        for work in (self._stream, self._ask):
            thread = threading.Thread(target=self._until_over, args=(work, env))
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=120)
            assert not thread.is_alive(), "a client never got its answer"

    def _until_over(self, work: object, env: dict[str, str]) -> None:
        assert callable(work)
        while not self._over.is_set():
            began = time.monotonic()
            try:
                work(env)
            except (openai.OpenAIError, anthropic.AnthropicError, AssertionError) as error:
                self.errors.append(f"{type(error).__name__}: {error}")
            self.longest_s = max(self.longest_s, time.monotonic() - began)

    def _stream(self, env: dict[str, str]) -> None:
        with openai.OpenAI(
            base_url=env["OPENAI_BASE_URL"], api_key=env["OPENAI_API_KEY"], max_retries=0
        ) as client:
            reason = None
            for chunk in client.chat.completions.create(
                model="chat",
                max_tokens=60,
                stream=True,
                messages=[{"role": "user", "content": "Tell me a story."}],
            ):
                if chunk.choices:
                    reason = chunk.choices[0].finish_reason or reason
        assert reason in ("stop", "length"), f"a stream ended with {reason}"
        self.streams += 1

    def _ask(self, env: dict[str, str]) -> None:
        with anthropic.Anthropic(
            base_url=env["ANTHROPIC_BASE_URL"],
            auth_token=env["ANTHROPIC_AUTH_TOKEN"],
            api_key=None,
            max_retries=0,
        ) as client:
            answer = client.messages.with_raw_response.create(
                model="chat", max_tokens=4, messages=[{"role": "user", "content": "Say hello."}]
            )
        assert answer.parse().usage.output_tokens > 0
        self.tiers.append(answer.headers["x-anvil-tier"])
        self._over.wait(PAUSE_S)
