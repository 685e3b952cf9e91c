"""The checks of an answer's shape: is it there, is it whole, are its calls and its format right."""

from __future__ import annotations

import re

from msgspec import UNSET

from anvil_ctl.router.dialects.answer import ToolCall
from anvil_ctl.router.verify import schema
from anvil_ctl.router.verify.strict import is_json, value_of
from anvil_ctl.router.verify.view import Result, View

_CUT = frozenset({"length", "max_tokens", "model_length", "model_context_window_exceeded"})
_REFUSAL = re.compile(
    r"\s*+(?:i(?: can(?:no|')t (?:help|assist) with|(?:'m| am) (?:not able|unable) to"
    r"| (?:won't|will not) be able to|'m sorry, but i can(?:no|')t)|as an ai language model)"
)
_REFUSAL_SCORE = 0.2


def non_empty_content(view: View) -> Result:
    """Fails on an answer with neither text nor tool calls; reasoning alone is no answer."""
    if view.calls or view.text.strip():
        return Result("NonEmptyContent")
    return Result("NonEmptyContent", False, 0.0, "no text and no tool call")


def not_truncated(view: View) -> Result:
    """Fails on an answer that was cut where the caller did not ask for that.

    A caller's own limit is obeyed, not broken, by stopping at it; stopping well before it is the
    tier's own limit.
    """
    name = "NotTruncated"
    if (view.finish or "").strip().lower() not in _CUT:
        return Result(name)
    cap, made = view.asked.cap, view.output_tokens
    if cap is None:
        return Result(name, False, 0.0, "cut, and the caller set no limit")
    if made is not None and made < cap - max(8, cap * 0.02):
        return Result(name, False, 0.0, "cut before the caller's limit")
    return Result(name)


def tool_calls_valid(view: View) -> Result:
    """Fails on arguments that are no JSON, on tools that nobody declared, on missing properties."""
    name = "ToolCallJSONValid"
    if not view.calls:
        return Result(name)
    wrong = [why for call in view.calls if (why := _wrong(call, view.asked.tools))]
    score = round(1 - len(wrong) / len(view.calls), 4)
    return Result(name, not wrong, score, wrong[0] if wrong else "")


def _wrong(call: ToolCall, declared: dict[str, tuple[str, ...]] | None) -> str:
    if declared is not None and call.name not in declared:
        return "a tool that was not declared"
    required = declared[call.name] if declared is not None else ()
    if not call.arguments.strip():
        return "required arguments are missing" if required else ""
    if not is_json(call.arguments):
        return "arguments that are no JSON"
    if required:
        arguments = value_of(call.arguments)
        known = arguments is not UNSET
        if known and not (isinstance(arguments, dict) and arguments.keys() >= set(required)):
            return "required arguments are missing"
    return ""


def format_well_formed(view: View) -> Result:
    """Fails if JSON was promised and the text, or the one block that it is, isn't that."""
    name = "FormatWellFormed"
    if not view.asked.json or view.calls:
        return Result(name)
    text = view.text.strip()
    fences = view.fences
    if len(fences) == 1 and fences[0].closed:
        whole = view.text[: fences[0].start].strip() + view.text[fences[0].end :].strip()
        text = text if whole else fences[0].body.strip()
    if not is_json(text):
        return Result(name, False, 0.0, "JSON was asked for, and this is none")
    value = value_of(text) if view.asked.schema is not None else UNSET
    if value is not UNSET and not schema.fits(value, view.asked.schema or {}):
        return Result(name, False, 0.0, "JSON that the schema does not allow")
    return Result(name)


def refusal_marker(view: View) -> Result:
    """Never fails; a text that opens with a refusal scores low."""
    opening = view.text.lstrip()[:80].replace("\u2019", "'").lower()
    if _REFUSAL.match(opening):
        return Result("RefusalMarker", True, _REFUSAL_SCORE, "opens as a refusal")
    return Result("RefusalMarker")
