"""Error bodies in the shapes that OpenAI's and Anthropic's clients parse."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from anvil_ctl.serving.message import Reply

# (path, status, kind, message) -> body: each server decides which dialect a path speaks.
Envelope = Callable[[str, int, str, str], bytes]

ANTHROPIC_KINDS = {
    "not_found": "not_found_error",
    "method_not_allowed": "invalid_request_error",
    "invalid_request": "invalid_request_error",
    "payload_too_large": "request_too_large",
    "server_busy": "overloaded_error",
    "service_unavailable": "overloaded_error",
    "internal_error": "api_error",
    "timeout": "timeout_error",
}


def openai_error(kind: str, message: str) -> bytes:
    """OpenAI's envelope. `src` tells this program's own refusals from an engine's."""
    error = {"type": kind, "message": message, "param": None, "code": kind, "src": "anvil"}
    return msgspec.json.encode({"error": error})


def anthropic_error(kind: str, message: str) -> bytes:
    """Anthropic's envelope, in its own vocabulary of error types."""
    error = {"type": ANTHROPIC_KINDS.get(kind, kind), "message": message}
    return msgspec.json.encode({"type": "error", "error": error, "src": "anvil"})


def openai_envelope(_path: str, _status: int, kind: str, message: str) -> bytes:
    """The Envelope of a server that speaks OpenAI's dialect on every path."""
    return openai_error(kind, message)


def refusal(
    envelope: Envelope,
    path: str,
    status: int,
    kind: str,
    message: str,
    *headers: tuple[str, str],
) -> Reply:
    """An error as a whole answer."""
    return Reply(status, envelope(path, status, kind, message), headers=headers)
