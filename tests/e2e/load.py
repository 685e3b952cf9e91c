"""Clients of both dialects that never stop asking, and what each of their requests came to."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import anthropic
import httpx
import openai

from tests.e2e.sdks import for_anthropic, for_openai
from tests.e2e.stack import Stack

TOKENS = 16
ASK = "Tell me a story."
TIER = "x-anvil-tier"
# One request: it is told the environment and the retries, and says which tier answered.
Work = Callable[[Mapping[str, str], int], str]


def openai_stream(env: Mapping[str, str], retries: int) -> str:
    with for_openai(env, retries) as client:
        reason, said = None, ""
        stream = client.chat.completions.create(
            model="chat",
            max_tokens=TOKENS,
            stream=True,
            messages=[{"role": "user", "content": ASK}],
        )
        for chunk in stream:
            if chunk.choices:
                said += chunk.choices[0].delta.content or ""
                reason = chunk.choices[0].finish_reason or reason
    assert reason in {"stop", "length"}, f"a stream ended with {reason}"
    assert said, "a stream said nothing"
    return stream.response.headers[TIER]


def openai_long(env: Mapping[str, str], begun: threading.Event) -> str:
    with for_openai(env) as client:
        reason = None
        stream = client.chat.completions.create(
            model="chat",
            max_tokens=4000,
            stream=True,
            messages=[{"role": "user", "content": "Count to ten thousand."}],
            extra_body={"ignore_eos": True},
        )
        for chunk in stream:
            if chunk.choices:
                begun.set()
                reason = chunk.choices[0].finish_reason or reason
    assert reason in {"stop", "length"}, f"a stream ended with {reason}"
    return stream.response.headers[TIER]


def openai_whole(env: Mapping[str, str], retries: int) -> str:
    with for_openai(env, retries) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="chat", max_tokens=4, messages=[{"role": "user", "content": ASK}]
        )
    assert raw.parse().choices[0].message.content, "an answer said nothing"
    return raw.headers[TIER]


def anthropic_stream(env: Mapping[str, str], retries: int) -> str:
    with (
        for_anthropic(env, retries) as client,
        client.messages.stream(
            model="chat", max_tokens=TOKENS, messages=[{"role": "user", "content": ASK}]
        ) as stream,
    ):
        message = stream.get_final_message()
    assert message.stop_reason in {"end_turn", "max_tokens"}, f"it ended with {message.stop_reason}"
    assert message.content, "a stream said nothing"
    return stream.response.headers[TIER]


def anthropic_whole(env: Mapping[str, str], retries: int) -> str:
    with for_anthropic(env, retries) as client:
        raw = client.messages.with_raw_response.create(
            model="chat", max_tokens=4, messages=[{"role": "user", "content": ASK}]
        )
    message = raw.parse()
    assert message.content, "an answer said nothing"
    assert message.usage.output_tokens > 0
    return raw.headers[TIER]


@dataclass(frozen=True, slots=True)
class Done:
    """One request: when it began and ended (monotonic seconds), who answered, or why it failed."""

    client: str
    began: float
    ended: float
    tier: str = ""
    error: str = ""


@dataclass
class Load:
    """A client for each of `works`, which pauses that long after each answer.

    By default two stream, one in each dialect, and two want whole answers.
    """

    stack: Stack
    retries: int = 0
    works: tuple[Work, ...] = (openai_stream, anthropic_stream, openai_whole, anthropic_whole)
    pause_s: float = 0.5
    done: list[Done] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        env = self.stack.connection()
        for work in self.works:
            thread = threading.Thread(target=self._keep_asking, args=(work, env), daemon=True)
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
        # Once something is wrong, an answer that never comes must not hide what it was.
        patience_s = 900 if error is None else 5
        for thread in self._threads:
            thread.join(timeout=patience_s)
            assert error or not thread.is_alive(), "a client never got its answer"

    @contextlib.contextmanager
    def long_stream(self) -> Iterator[None]:
        """One more client, whose answer has begun and goes on for as long as it may."""
        begun, env = threading.Event(), self.stack.connection()
        thread = threading.Thread(
            target=lambda: self._ask("openai_long", lambda: openai_long(env, begun))
        )
        thread.start()
        assert begun.wait(60)
        try:
            yield
        finally:
            thread.join(timeout=300)

    def _keep_asking(self, work: Work, env: Mapping[str, str]) -> None:
        while not self._over.is_set():
            self._ask(work.__name__, lambda: work(env, self.retries))
            self._over.wait(self.pause_s)

    def _ask(self, client: str, request: Callable[[], str]) -> None:
        began, tier, failed = time.monotonic(), "", ""
        try:
            tier = request()
        except (
            openai.OpenAIError,
            anthropic.AnthropicError,
            httpx.HTTPError,
            AssertionError,
        ) as error:
            failed = f"{type(error).__name__}: {error}"
        self.done.append(Done(client, began, time.monotonic(), tier, failed))

    def errors(self, since: float = 0.0) -> list[str]:
        """What went wrong of all that ended after that moment."""
        return [
            f"{each.client}: {each.error}"
            for each in self.done
            if each.error and each.ended > since
        ]

    def answered_after(self, moment: float) -> float | None:
        """Seconds from a moment to the first whole answer that ended after it."""
        return min(
            (d.ended - moment for d in self.done if not d.error and d.ended > moment), default=None
        )

    def wait_for_answer(self, moment: float, limit_s: float = 120) -> float | None:
        """The same, waited for."""
        until = time.monotonic() + limit_s
        while self.answered_after(moment) is None and time.monotonic() < until:
            time.sleep(0.05)
        return self.answered_after(moment)

    def longest_s(self, since: float = 0.0) -> float:
        """The longest that any request took that ended after that moment."""
        return max((d.ended - d.began for d in self.done if d.ended > since), default=0.0)
