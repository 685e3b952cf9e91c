"""What engines are asked when a request's tokens are to be counted, and what they answer."""

from __future__ import annotations

import msgspec

from anvil_ctl.router.dialects.call import JSON, Call, Dialect
from anvil_ctl.router.dialects.upstream_body import Target, assemble

# Counting endpoints refuse what has no part in the prompt.
_MESSAGES = ("model", "messages", "system", "tools", "tool_choice", "thinking")
_CHAT = ("model", "messages", "tools", "chat_template_kwargs", "reasoning_effort")


class _InputTokens(msgspec.Struct):
    input_tokens: int


class _Count(msgspec.Struct):
    count: int


class _Prompt(msgspec.Struct):
    prompt: str


class _Tokens(msgspec.Struct):
    tokens: list[object]


def messages(call: Call, target: Target) -> bytes:
    """For /v1/messages/count_tokens."""
    own = msgspec.structs.replace(target, dialect=Dialect.ANTHROPIC)
    return _only(assemble(call, own, stream=False), _MESSAGES)


def chat(call: Call, target: Target) -> bytes:
    """For vLLM's /tokenize and llama.cpp's /apply-template: the chat that would be sent."""
    return _only(assemble(call, target, stream=False), _CHAT, add_generation_prompt=True)


def text(prompt: bytes) -> bytes:
    """For llama.cpp's /tokenize: what its /apply-template answered, read as a prompt is."""
    content = msgspec.json.decode(prompt, type=_Prompt).prompt
    return msgspec.json.encode({"content": content, "add_special": True, "parse_special": True})


def input_tokens(body: bytes) -> int:
    """The answer of /v1/messages/count_tokens."""
    return msgspec.json.decode(body, type=_InputTokens).input_tokens


def count(body: bytes) -> int:
    """The answer of vLLM's /tokenize."""
    return msgspec.json.decode(body, type=_Count).count


def tokens(body: bytes) -> int:
    """The answer of llama.cpp's /tokenize."""
    return len(msgspec.json.decode(body, type=_Tokens).tokens)


def _only(body: JSON, keys: tuple[str, ...], **more: object) -> bytes:
    return msgspec.json.encode({**{key: body[key] for key in keys if key in body}, **more})
