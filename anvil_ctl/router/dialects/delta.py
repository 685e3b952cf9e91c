"""What a model's answer consists of, in either dialect, in the order in which it arrives."""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class Text(msgspec.Struct, frozen=True):
    """A piece of visible text."""

    text: str


class Thinking(msgspec.Struct, frozen=True):
    """A piece of the model's reasoning."""

    text: str


class Signature(msgspec.Struct, frozen=True):
    """The seal of a reasoning block; means something to the engine that made it only."""

    text: str


class ToolStart(msgspec.Struct, frozen=True):
    """A tool call begins. `slot` tells apart the calls of one answer."""

    slot: int
    id: str
    name: str


class ToolArguments(msgspec.Struct, frozen=True):
    """A fragment of the JSON text of a call's arguments."""

    slot: int
    text: str


class Finish(msgspec.Struct, frozen=True):
    """Why the model stopped, in the upstream's own word."""

    reason: str
    stop_sequence: str | None = None


class Usage(msgspec.Struct, frozen=True):
    """Token counts; None where the upstream didn't say."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None

    def updated(self, later: Usage) -> Usage:
        """These counts, with what `later` knows in their place."""
        return Usage(
            self.input if later.input is None else later.input,
            self.output if later.output is None else later.output,
            self.cached if later.cached is None else later.cached,
            self.reasoning if later.reasoning is None else later.reasoning,
        )


class Named(msgspec.Struct, frozen=True):
    """The name under which the upstream answers."""

    model: str


class Broken(msgspec.Struct, frozen=True):
    """The upstream reports an error inside its stream."""


class Ended(msgspec.Struct, frozen=True):
    """The stream's own terminator."""


Delta: TypeAlias = (
    Text
    | Thinking
    | Signature
    | ToolStart
    | ToolArguments
    | Finish
    | Usage
    | Named
    | Broken
    | Ended
)

# What shows that the engine answers: from here on its answer is the one that the client gets.
CONTENT = (Text, Thinking, ToolStart, ToolArguments, Finish, Ended)
