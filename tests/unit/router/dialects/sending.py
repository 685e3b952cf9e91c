"""A request as it is sent on to an engine of either dialect."""

from __future__ import annotations

import json

from anvil_ctl.router.dialects import call as calls
from anvil_ctl.router.dialects.answer import Stamp
from anvil_ctl.router.dialects.call import JSON, Dialect
from anvil_ctl.router.dialects.upstream_body import Target, build

OPENAI, ANTHROPIC = Dialect.OPENAI, Dialect.ANTHROPIC
USER: JSON = {"role": "user", "content": "x"}
STAMP = Stamp("id1", 5, "chat")


EVERYTHING: dict[Dialect, JSON] = {
    OPENAI: {
        "model": "chat", "stream": False, "max_completion_tokens": 9, "temperature": 1.5, "top_p": 0.9,
        "stop": "END", "n": 2, "seed": 3, "logit_bias": {"5": 1}, "logprobs": True, "top_logprobs": 2,
        "presence_penalty": 0.5, "frequency_penalty": 0.5, "reasoning_effort": "xhigh",
        "parallel_tool_calls": False, "service_tier": "auto", "user": "u", "metadata": {"a": "b"},
        "tool_choice": {"type": "function", "function": {"name": "f"}}, "an_engines_own": {"k": [1]},
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
        "tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": {}}}],
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "s"}]},
            {"role": "user", "name": "Ann", "content": [
                {"type": "text", "text": "see"}, {"type": "text", "text": "this"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}}]},
            {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"},
            {"role": "system", "content": "second"},
        ],
    },
    ANTHROPIC: {
        "model": "chat", "stream": False, "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "top_k": 3,
        "stop_sequences": ["END"], "metadata": {"user_id": "u"}, "service_tier": "auto",
        "thinking": {"type": "enabled", "budget_tokens": 1024}, "output_config": {"effort": "max"},
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "tools": [{"name": "f", "input_schema": {}, "cache_control": {"type": "ephemeral"}},
                  {"type": "web_search_20250305", "name": "web_search"}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "see", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                {"type": "document", "source": {"type": "text", "data": "d"}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "zz"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1.50}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": "r", "is_error": True}]},
        ],
    },
}  # fmt: skip


def sent(
    body: JSON, source: Dialect, target: Dialect, *, local: bool = True, **keys: object
) -> JSON:
    call = calls.parse(source, json.dumps(body).encode())
    made = Target(target, "m", local, **keys)  # type: ignore[arg-type]
    value = json.loads(build(call, made, stream=call.stream))
    assert isinstance(value, dict)
    return value
