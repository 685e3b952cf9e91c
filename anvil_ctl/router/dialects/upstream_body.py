"""The body that a tier gets for a call."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from anvil_ctl.router.dialects import prefix, to_anthropic, to_openai
from anvil_ctl.router.dialects.blocks import string
from anvil_ctl.router.dialects.call import JSON, BadRequestError, Call, Dialect
from anvil_ctl.router.dialects.chat import EFFORTS, forgotten

_PRIVATE = frozenset({"signals", "modality", "voice"})


def _keys(line: str) -> frozenset[str]:
    return frozenset(line.split())


_KNOWN = {
    Dialect.OPENAI: _keys(
        "model messages stream stream_options max_tokens max_completion_tokens temperature top_p "
        "stop n tools tool_choice parallel_tool_calls response_format seed logit_bias logprobs "
        "top_logprobs presence_penalty frequency_penalty reasoning_effort service_tier modalities "
        "audio prediction verbosity web_search_options functions function_call"
    ),
    Dialect.ANTHROPIC: _keys(
        "model messages system stream max_tokens temperature top_p top_k stop_sequences tools "
        "tool_choice thinking service_tier container context_management mcp_servers "
        "output_config output_format cache_control"
    ),
}
# What could identify a person or make a metered provider keep the conversation.
_SESSION = {
    Dialect.OPENAI: _keys("user metadata store safety_identifier prompt_cache_key"),
    Dialect.ANTHROPIC: _keys("metadata"),
}
_MAX_TOKENS = 4096
# OpenAI's two names for the bound of an answer: the newer first, which counts where both are said.
BOUNDS = ("max_completion_tokens", "max_tokens")


class Target(msgspec.Struct, frozen=True):
    """What of a tier decides the body. `model` None forwards the caller's."""

    dialect: Dialect
    model: str | None
    local: bool
    max_output_tokens: int | None = None
    extra_body: JSON | None = None
    extra_body_defaults: JSON | None = None
    # Whether an engine that speaks Anthropic's dialect takes a JSON schema for its answer.
    schemas: bool = False
    # Which of OpenAI's two names for the bound it takes; None: the one that the caller used.
    bound: str | None = None
    # Whether a cloud service gets what tells it of the person and the session.
    session_fields: bool = False


def build(call: Call, target: Target, *, stream: bool) -> bytes:
    """The body to send, asking for a stream or not. Raises BadRequestError where it can't be."""
    return msgspec.json.encode(assemble(call, target, stream=stream))


def assemble(call: Call, target: Target, *, stream: bool) -> JSON:
    """The same, still as an object."""
    body = _same(call, target) if call.spoken is target.dialect else _other(call, target)
    body["model"] = target.model or call.model
    body["stream"] = stream
    if stream and target.dialect is Dialect.OPENAI:
        options = body.get("stream_options")
        kept = options if isinstance(options, dict) else {}
        body["stream_options"] = {**kept, "include_usage": True}
    else:
        body.pop("stream_options", None)
    if target.bound is not None and target.dialect is Dialect.OPENAI:
        _rename_bound(body, target.bound)
    if target.extra_body_defaults:
        _merge(body, target.extra_body_defaults, hard=False)
    if target.extra_body:
        _merge(body, target.extra_body, hard=True)
    return body


def answers_by_tool(call: Call, target: Target) -> bool:
    """Whether the answer is the input of a tool that the body forces the engine to call."""
    other = call.spoken is not target.dialect and target.dialect is Dialect.ANTHROPIC
    return other and to_anthropic.asks_for_answer(call.raw, schemas=target.schemas)


def _same(call: Call, target: Target) -> JSON:
    if target.local:
        body = dict(call.raw)
        for key in _PRIVATE & body.keys():
            del body[key]
        if target.dialect is Dialect.ANTHROPIC:
            prefix.plain_anthropic(body)
        else:
            prefix.plain_openai(body)
        if call.asked is not None:
            body["messages"] = list(forgotten(body["messages"], thoughts=False))
            effort = string(body.get("reasoning_effort"))
            if effort:
                body["reasoning_effort"] = EFFORTS.get(effort, effort)
        return body
    known = _KNOWN[target.dialect]
    if target.session_fields:
        known |= _SESSION[target.dialect]
    body = {key: value for key, value in call.raw.items() if key in known}
    if call.asked is not None:
        body["messages"] = list(forgotten(body["messages"], thoughts=True))
    return body


def _other(call: Call, target: Target) -> JSON:
    if target.dialect is Dialect.OPENAI:
        return to_openai.translate(call.raw, local=target.local)
    if call.raw.get("n") not in (None, 1):
        raise BadRequestError("n: only one choice is supported")
    most = target.max_output_tokens or _MAX_TOKENS
    return to_anthropic.translate(
        call.raw, max_tokens=most, local=target.local, schemas=target.schemas
    )


def _rename_bound(body: JSON, name: str) -> None:
    said = [body.pop(key, None) for key in BOUNDS]
    found = next((value for value in said if value is not None), None)
    if found is not None:
        body[name] = found


def _merge(body: JSON, extra: Mapping[str, object], *, hard: bool) -> None:
    """Lay `extra` over (hard) or under (soft) the body, going one level into objects, so that a
    caller's key survives beside a pinned one."""
    for key, value in extra.items():
        if key in BOUNDS and any(body.get(name) is not None for name in BOUNDS):
            # Under two names it would be left to the engine which of them it heeds.
            if not hard:
                continue
            for name in BOUNDS:
                body.pop(name, None)
        present = body.get(key)
        if isinstance(value, dict) and isinstance(present, dict):
            body[key] = {**present, **value} if hard else {**value, **present}
        elif hard or key not in body:
            body[key] = value
