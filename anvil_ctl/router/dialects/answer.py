"""An answer put together from its deltas: the same whether it was streamed or not."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from anvil_ctl.router.dialects.delta import (
    Broken,
    Delta,
    Ended,
    Finish,
    Named,
    Signature,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
    Usage,
)

# Where an engine counts nothing, English text has about this many characters a token.
_CHARS_PER_TOKEN = 4


class Stamp(msgspec.Struct, frozen=True):
    """What an answer that we write ourselves is labelled with. `created` is in Unix seconds."""

    id: str
    created: int
    model: str


class ToolCall(msgspec.Struct):
    """One call; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str = ""


class Answer:
    """Collects deltas."""

    __slots__ = (
        "_arguments",
        "_texts",
        "_thoughts",
        "_tools",
        "broken",
        "ended",
        "model",
        "reason",
        "signature",
        "stop_sequence",
        "usage",
    )

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._tools: dict[int, ToolCall] = {}
        # Joined once: adding each fragment to a string copies all that came before it.
        self._arguments: dict[int, list[str]] = {}
        self.reason: str | None = None
        self.stop_sequence: str | None = None
        self.signature = ""
        self.model: str | None = None
        self.usage = Usage()
        self.broken = False
        self.ended = False

    def add(self, delta: Delta) -> None:
        """Take in one delta."""
        if isinstance(delta, Text):  # nearly every one there is
            self._texts.append(delta.text)
            return
        match delta:
            case ToolArguments(slot, text):
                self._tools.setdefault(slot, ToolCall("", ""))
                self._arguments.setdefault(slot, []).append(text)
            case ToolStart(slot, call_id, name):
                self._tools[slot] = ToolCall(call_id, name)
                self._arguments[slot] = []
            case Thinking(text):
                self._thoughts.append(text)
            case _:
                self._note(delta)

    def extend(self, deltas: Iterable[Delta]) -> None:
        """Take in several."""
        for delta in deltas:
            self.add(delta)

    @property
    def text(self) -> str:
        """The visible text."""
        return "".join(self._texts)

    @property
    def thinking(self) -> str:
        """The reasoning."""
        return "".join(self._thoughts)

    @property
    def calls(self) -> list[ToolCall]:
        """The tool calls, in order."""
        return [
            ToolCall(call.id, call.name, "".join(self._arguments[slot]))
            for slot, call in self._tools.items()
        ]

    def counted(self) -> Usage:
        """The upstream's counts; where it gave none of the output, an estimate over the text."""
        if self.usage.output is not None:
            return self.usage
        made = len(self.text) + len(self.thinking)
        made += sum(len(call.arguments) + len(call.name) for call in self.calls)
        return self.usage.updated(Usage(output=-(-made // _CHARS_PER_TOKEN)))

    def _note(self, delta: Delta) -> None:
        match delta:
            case Finish(reason, stop_sequence):
                self.reason, self.stop_sequence = reason, stop_sequence
            case Usage():
                self.usage = self.usage.updated(delta)
            case Named(model):
                self.model = model
            case Signature(text):
                self.signature = text
            case Broken():
                self.broken = True
            case Ended():
                self.ended = True
            case _:
                pass
