"""Requests and replies as plain records, shared by the server and everything above it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

Headers = Iterable[tuple[str, str]]
JSON = "application/json"


class Request(msgspec.Struct, frozen=True):
    """One request. `path` has neither query nor trailing slash; header names are lower-case.

    `headers` lacks Content-Length, which framing has dealt with, and may be shared by requests.
    While only the head has been read (`App.gate`), `body` is empty.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    http10: bool = False
    body: bytes = b""


class Reply(msgspec.Struct, frozen=True):
    """A whole answer, decided without touching the connection."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class Limits(msgspec.Struct, frozen=True):
    """Bounds of one server. Sizes are bytes, times are seconds."""

    max_body: int = 32 << 20
    max_head: int = 64 << 10
    max_headers: int = 128
    max_connections: int = 4096
    max_pipelined: int = 16
    idle_s: float = 120.0
    read_s: float = 30.0
    stalled_write_s: float = 120.0
    backlog: int = 1024


def split_target(target: str) -> tuple[str, str]:
    """Path and query of a request target; the path is never empty and has no trailing slash."""
    if not target.startswith("/") and "://" in target:
        target = "/" + target.split("://", 1)[1].partition("/")[2]
    path, _, query = target.partition("#")[0].partition("?")
    return path.rstrip("/") or "/", query
