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

from tests.e2e.stack import Stack

PAUSE_S = 0.5
TOKENS = 16
ASK = "Tell me a story."
Work = Callable[[Mapping[str, str], int], None]


@dataclass(frozen=True, slots=True)
class Done:
    """One request: when it began and ended (monotonic seconds), and why it failed."""

    client: str
    began: float
    ended: float
    error: str = ""


@dataclass
class Load:
    """Two clients stream, one in each dialect, and two want whole answers."""

    stack: Stack
    retries: int = 0
    done: list[Done] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        env = self.stack.connection()
        works = (openai_stream, anthropic_stream, openai_whole, anthropic_whole)
        for work in works:
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

    @contextlib.contextmanager
    def long_stream(self) -> Iterator[None]:
        """One more client, whose answer has begun and goes on for as long as it may."""
        begun = threading.Event()

        def ask() -> None:
            began, failed = time.monotonic(), ""
            try:
                openai_long(self.stack.connection(), begun)
            except (openai.OpenAIError, httpx.HTTPError, AssertionError) as error:
                failed = f"{type(error).__name__}: {error}"
            self.done.append(Done("openai_long", began, time.monotonic(), failed))

        thread = threading.Thread(target=ask)
        thread.start()
        assert begun.wait(60)
        try:
            yield
        finally:
            thread.join(timeout=300)

    def _keep_asking(self, work: Work, env: Mapping[str, str]) -> None:
        while not self._over.is_set():
            began, failed = time.monotonic(), ""
            try:
                work(env, self.retries)
            except (
                openai.OpenAIError,
                anthropic.AnthropicError,
                httpx.HTTPError,
                AssertionError,
            ) as error:
                failed = f"{type(error).__name__}: {error}"
            self.done.append(Done(work.__name__, began, time.monotonic(), failed))
            self._over.wait(PAUSE_S)

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


def openai_stream(env: Mapping[str, str], retries: int) -> None:
    with _openai(env, retries) as client:
        reason, said = None, ""
        for chunk in client.chat.completions.create(
            model="chat",
            max_tokens=TOKENS,
            stream=True,
            messages=[{"role": "user", "content": ASK}],
        ):
            if chunk.choices:
                said += chunk.choices[0].delta.content or ""
                reason = chunk.choices[0].finish_reason or reason
    assert reason in {"stop", "length"}, f"a stream ended with {reason}"
    assert said, "a stream said nothing"


def openai_long(env: Mapping[str, str], begun: threading.Event) -> None:
    with _openai(env, 0) as client:
        reason = None
        for chunk in client.chat.completions.create(
            model="chat",
            max_tokens=4000,
            stream=True,
            messages=[{"role": "user", "content": "Count to ten thousand."}],
            extra_body={"ignore_eos": True},
        ):
            if chunk.choices:
                begun.set()
                reason = chunk.choices[0].finish_reason or reason
    assert reason in {"stop", "length"}, f"a stream ended with {reason}"


def openai_whole(env: Mapping[str, str], retries: int) -> None:
    with _openai(env, retries) as client:
        answer = client.chat.completions.create(
            model="chat", max_tokens=4, messages=[{"role": "user", "content": ASK}]
        )
    assert answer.choices[0].message.content, "an answer said nothing"


def anthropic_stream(env: Mapping[str, str], retries: int) -> None:
    with (
        _anthropic(env, retries) as client,
        client.messages.stream(
            model="chat", max_tokens=TOKENS, messages=[{"role": "user", "content": ASK}]
        ) as stream,
    ):
        message = stream.get_final_message()
    assert message.stop_reason in {"end_turn", "max_tokens"}, f"it ended with {message.stop_reason}"
    assert message.content, "a stream said nothing"


def anthropic_whole(env: Mapping[str, str], retries: int) -> None:
    with _anthropic(env, retries) as client:
        message = client.messages.create(
            model="chat", max_tokens=4, messages=[{"role": "user", "content": ASK}]
        )
    assert message.content, "an answer said nothing"


def _openai(env: Mapping[str, str], retries: int) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=env["OPENAI_BASE_URL"], api_key=env["OPENAI_API_KEY"], max_retries=retries
    )


def _anthropic(env: Mapping[str, str], retries: int) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=env["ANTHROPIC_BASE_URL"],
        auth_token=env["ANTHROPIC_AUTH_TOKEN"],
        api_key=None,
        max_retries=retries,
    )
