"""Errors of the router's own, in the dialect of the path that they answer."""

from __future__ import annotations

from anvil_ctl.serving.envelope import anthropic_error, openai_error, refusal
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.message import Request


def envelope(path: str, _status: int, kind: str, message: str) -> bytes:
    """An error body in the dialect of the path that it answers."""
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return anthropic_error(kind, message)
    return openai_error(kind, message)


def refuse(
    request: Request,
    exchange: Exchange,
    status: int,
    kind: str,
    message: str,
    *headers: tuple[str, str],
    retry_after_s: int | None = None,
) -> None:
    """Answer with an error."""
    if retry_after_s is not None:
        headers = (*headers, ("retry-after", str(retry_after_s)))
    exchange.send(refusal(envelope, request.path, status, kind, message, *headers))
