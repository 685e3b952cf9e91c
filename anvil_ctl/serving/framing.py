"""Where a request ends, or why it is refused: decided from its head alone.

llhttp (through httptools) is the judge of syntax. Where it refuses a head, the head is read a
second time, just far enough to say which rule was broken, so that an unauthenticated caller still
gets 401 and not a hint about the parser.
"""

from __future__ import annotations

import functools
import re
from http import HTTPStatus

import httptools
import msgspec

from anvil_ctl.serving.message import Limits, Request, split_target

_START = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_LONGEST_LENGTH = 18
BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


@functools.lru_cache(maxsize=512)
def _lower(name: bytes) -> str:
    """A header's name as it is looked up. Clients send the same few again and again."""
    return name.decode("latin-1").lower()


class Fault(msgspec.Struct, frozen=True):
    """A framing rule that was broken. The connection is always closed after its answer."""

    status: int
    kind: str
    message: str


class Framed(msgspec.Struct, frozen=True):
    """A head that was read: the request so far, its body's length, and what is wrong with it.

    `close` means that the connection can't be kept in sync after the answer, `unread` that a body
    follows which nobody reads.
    """

    request: Request
    length: int = 0
    close: bool = False
    unread: bool = False
    fault: Fault | None = None


class _Head:
    """Collects what httptools reports of one head."""

    __slots__ = ("fields", "target")

    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))


_BAD = Fault(HTTPStatus.BAD_REQUEST, "invalid_request", "The request is not valid HTTP/1.1.")
_BAD_VERSION = Fault(
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
    "invalid_request",
    "Only HTTP/1.1 and 1.0 are spoken here.",
)
_BAD_HOST = Fault(
    HTTPStatus.BAD_REQUEST, "invalid_request", "The request needs one Host header, and no more."
)
_NO_CHUNKED = Fault(
    HTTPStatus.LENGTH_REQUIRED,
    "invalid_request",
    "Transfer-Encoding is not accepted; send a Content-Length.",
)
_NO_LENGTH = Fault(
    HTTPStatus.LENGTH_REQUIRED, "invalid_request", "The request needs a Content-Length."
)
_BAD_LENGTH = Fault(
    HTTPStatus.BAD_REQUEST, "invalid_request", "The Content-Length header is not one number."
)
_TOO_LARGE = Fault(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "payload_too_large", "The request body is too large."
)
LONG_TARGET = Fault(
    HTTPStatus.REQUEST_URI_TOO_LONG, "invalid_request", "The request line is too long."
)
LONG_HEAD = Fault(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "invalid_request", "Too many request headers."
)
NOBODY = Request("GET", "/", "", {})


def read_head(raw: bytes, limits: Limits) -> Framed:
    """Judge one complete head (up to and with its empty line)."""
    head = _Head()
    parser = httptools.HttpRequestParser(head)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # nothing here upgrades: the request is answered as if it had not asked
    except httptools.HttpParserError:
        return _read_refused(raw, limits)
    method = parser.get_method().decode("ascii")
    version = parser.get_http_version()
    if version not in ("1.1", "1.0"):
        return Framed(NOBODY, close=True, fault=_BAD_VERSION)
    return _judge(method, head.target, version == "1.0", head.fields, limits)


def too_long(partial: bytes, limits: Limits) -> Framed:
    """The verdict on a head that outgrew its bound before it ended."""
    in_target = b"\r\n" not in partial[: limits.max_head]
    fault = LONG_TARGET if in_target else LONG_HEAD
    return Framed(NOBODY, close=True, fault=fault)


def _read_refused(raw: bytes, limits: Limits) -> Framed:
    """Say which rule the refused head broke; only its lengths may excuse it."""
    lines = raw[:-4].split(b"\r\n")
    start = _START.fullmatch(lines[0])
    matches = [_FIELD.fullmatch(line) for line in lines[1:]]
    fields = [(found[1], found[2]) for found in matches if found]
    if start is None:
        return Framed(NOBODY, close=True, fault=_BAD)
    framed = _judge(start[1].decode("ascii"), start[2], start[3] == b"0", fields, limits)
    known = framed.fault or framed.unread
    fault = framed.fault if known and len(fields) == len(matches) else _BAD
    return Framed(framed.request, close=True, fault=fault)


def _judge(
    method: str, target: bytes, http10: bool, fields: list[tuple[bytes, bytes]], limits: Limits
) -> Framed:
    headers: dict[str, str] = {}
    lengths: list[str] = []
    for name, value in fields:
        key = _lower(name)
        text = value.decode("latin-1")
        if key == "content-length":
            lengths.append(text.strip())
            continue
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    path, query = split_target(target.decode("latin-1"))
    request = Request(method, path, query, headers, http10)
    if len(fields) > limits.max_headers:
        return Framed(request, close=True, fault=LONG_HEAD)
    if len(target) >= limits.max_head:
        return Framed(request, close=True, fault=LONG_TARGET)
    host = headers.get("host")
    if "," in host if host is not None else not http10:
        # Two of them, or none: whoever stands in front may have taken it for another host's.
        return Framed(request, close=True, fault=_BAD_HOST)
    return _lengths(request, lengths, limits)


def _lengths(request: Request, lengths: list[str], limits: Limits) -> Framed:
    fault: Fault | None = None
    length = 0
    if "transfer-encoding" in request.headers:
        fault = _NO_CHUNKED
    elif len(lengths) > 1 or (lengths and not _DIGITS.fullmatch(lengths[0])):
        fault = _BAD_LENGTH
    elif lengths:
        # So many digits are a size, and too large a one, and nothing to make a number of.
        length = int(lengths[0]) if len(lengths[0]) <= _LONGEST_LENGTH else limits.max_body + 1
        fault = _TOO_LARGE if length > limits.max_body else None
    elif request.method not in BODILESS:
        fault = _NO_LENGTH
    if fault is None:
        return Framed(request, length, _wants_close(request))
    if request.method in BODILESS:
        # Its answer needs no body, so it is given; what follows on the connection is not read.
        return Framed(request, close=True, unread=True)
    return Framed(request, close=True, fault=fault)


def _wants_close(request: Request) -> bool:
    connection = request.headers.get("connection")
    if connection is None:
        return request.http10
    options = connection.lower()
    return "close" in options or (request.http10 and "keep-alive" not in options)
