"""Finish reasons of one dialect in the words of the other."""

from __future__ import annotations

_OPENAI = {
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
_ANTHROPIC = {
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
    "tool_use": "tool_use",
    "function_call": "tool_use",
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "model_length": "max_tokens",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause_turn": "pause_turn",
}


def for_openai(reason: str | None, *, tools: bool) -> str:
    """OpenAI's word. Local engines often say "stop" after tool calls; agent loops key on it."""
    word = _OPENAI.get((reason or "").lower(), "stop")
    return "tool_calls" if tools and word == "stop" else word


def for_anthropic(reason: str | None, *, tools: bool) -> str:
    """Anthropic's word, likewise."""
    word = _ANTHROPIC.get((reason or "").lower(), "end_turn")
    return "tool_use" if tools and word == "end_turn" else word
