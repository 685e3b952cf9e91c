"""An answer as the checks see it, and what a check says of it."""

from __future__ import annotations

from functools import cached_property

import msgspec

from anvil_ctl.router.dialects.answer import Answer, ToolCall
from anvil_ctl.router.dialects.blocks import objects
from anvil_ctl.router.dialects.call import JSON, Call, Dialect
from anvil_ctl.router.verify.fences import Fence, scan

# Longer texts are not searched for code and diffs.
LONGEST = 256 << 10


class Result(msgspec.Struct, frozen=True):
    """What one check says. `reason` quotes nothing of the answer."""

    name: str
    passed: bool = True
    score: float = 1.0
    reason: str = ""


class Asked(msgspec.Struct, frozen=True):
    """What the request promises about its answer.

    `cap`: the caller's own limit of tokens. `tools`: required properties by tool name; None where
    some tool's name can't be told. `json`: the whole text must be JSON, of `schema` if there is
    one. `patch`: the caller wants a diff that can be applied.
    """

    cap: int | None = None
    tools: dict[str, tuple[str, ...]] | None = None
    json: bool = False
    schema: JSON | None = None
    patch: bool = False


class View:
    """One answer, with what was asked. The text is scanned for fences once, by who comes first."""

    def __init__(
        self,
        text: str,
        *,
        finish: str | None = None,
        calls: tuple[ToolCall, ...] = (),
        output_tokens: int | None = None,
        asked: Asked | None = None,
    ) -> None:
        self.text = text
        self.finish = finish
        self.calls = calls
        self.output_tokens = output_tokens
        self.asked = asked or Asked()

    @cached_property
    def fences(self) -> tuple[Fence, ...]:
        """The fenced blocks of the text."""
        return scan(self.text) if len(self.text) <= LONGEST else ()


def view(answer: Answer, asked: Asked) -> View:
    """The view of an answer that is whole."""
    return View(
        answer.text,
        finish=answer.reason,
        calls=tuple(answer.calls),
        output_tokens=answer.usage.output,
        asked=asked,
    )


_PATCH_WORDS = ("git apply", "unified diff", "applicable patch", "patch -p")


def asked(call: Call, ask: str) -> Asked:
    """What a request promises; `ask` is what the person wrote last."""
    raw = call.raw
    cap = raw.get("max_completion_tokens") if call.spoken is Dialect.OPENAI else None
    if cap is None:
        cap = raw.get("max_tokens")
    shape = raw.get("response_format")
    if not isinstance(shape, dict):
        config = raw.get("output_config")
        shape = config.get("format") if isinstance(config, dict) else raw.get("output_format")
    kind = shape.get("type") if isinstance(shape, dict) else None
    lowered = ask[-2000:].lower()
    return Asked(
        cap=cap if isinstance(cap, int) else None,
        tools=_tools(raw.get("tools")),
        json=kind in ("json_object", "json_schema"),
        schema=_schema(shape) if isinstance(shape, dict) and kind == "json_schema" else None,
        patch=any(words in lowered for words in _PATCH_WORDS),
    )


def _tools(tools: object) -> dict[str, tuple[str, ...]] | None:
    """The properties that each declared tool requires. None: not every tool is understood."""
    declared: dict[str, tuple[str, ...]] = {}
    for tool in objects(tools):
        inner = tool.get("function")
        shape = inner if isinstance(inner, dict) else tool
        name = shape.get("name")
        if not isinstance(name, str):
            return None
        schema = shape.get("parameters", shape.get("input_schema"))
        required = schema.get("required") if isinstance(schema, dict) else None
        names = required if isinstance(required, list) else []
        declared[name] = tuple(each for each in names if isinstance(each, str))
    return declared or None


def _schema(shape: JSON) -> JSON | None:
    """OpenAI wraps the schema once more than Anthropic does."""
    inner = shape.get("json_schema")
    found = (inner if isinstance(inner, dict) else shape).get("schema")
    return found if isinstance(found, dict) else None
