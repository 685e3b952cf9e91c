"""Where requests end, and which ones are refused for it."""

from __future__ import annotations

import pytest

from anvil_ctl.serving import framing
from anvil_ctl.serving.message import Limits

LIMITS = Limits(max_body=1000)

TABLE = [
    # head lines after "POST / HTTP/1.1", status, closes
    (["Content-Length: 5"], None, False),
    (["Content-Length: 0"], None, False),
    (["Content-Length: 1000"], None, False),
    (["Content-Length: 1001"], 413, True),
    (["Content-Length:5 "], None, False),
    ([], 411, True),
    (["Transfer-Encoding: chunked"], 411, True),
    (["Transfer-Encoding: gzip"], 411, True),
    (["Transfer-Encoding: identity"], 411, True),
    (["Transfer-Encoding: chunked", "Content-Length: 5"], 411, True),
    (["Content-Length: 5", "Transfer-Encoding: chunked"], 411, True),
    (["Content-Length: 5", "Content-Length: 5"], 400, True),
    (["Content-Length: 5", "Content-Length: 6"], 400, True),
    (["Content-Length: 5, 5"], 400, True),
    (["Content-Length: +5"], 400, True),
    (["Content-Length: -5"], 400, True),
    (["Content-Length: 1_0"], 400, True),
    (["Content-Length: 0x5"], 400, True),
    (["Content-Length: five"], 400, True),
    (["Content-Length:"], 400, True),
    (["Content-Length : 5"], 400, True),
    (["Content-Length: 5", " folded: yes"], 400, True),
    (["Content-Length: 5", "No colon"], 400, True),
    (["Content-Length: 5", "X: a\x00b"], 400, True),
    (["Content-Length: 05"], None, False),
    (["Content-Length: " + "9" * 18], 413, True),
    (["Content-Length: " + "9" * 5000], 413, True),
    (["Content-Length: \xb2"], 400, True),
    (["Content-Length:\t5\t"], None, False),
    (["Content-Length: 5,"], 400, True),
    (["Content-Length: 5\n", "X: y"], 400, True),
    (["X: y\nContent-Length: 5"], 400, True),
    (["X: y\rContent-Length: 5"], 400, True),
    (["Transfer-Encoding:", " chunked"], 400, True),
    (["Transfer-Encoding : chunked", "Content-Length: 5"], 400, True),
    (["Transfer-Encoding\x0b: chunked", "Content-Length: 5"], 400, True),
    (["Transfer-Encoding: \x0bchunked", "Content-Length: 5"], 400, True),
    (["Transfer-Encoding: xchunked", "Content-Length: 5"], 411, True),
    (["Transfer_Encoding: chunked", "Content-Length: 5"], None, False),
    ([" Content-Length: 5"], 400, True),
    ([": y", "Content-Length: 5"], 400, True),
    (["Host: b", "Content-Length: 5"], 400, True),
    (["Connection: upgrade", "Upgrade: h2c", "Content-Length: 5"], None, False),
    (["Content-Length: 5", "Connection: close"], None, True),
    (["Content-Length: 5", "Connection: close", "X: a\x7fb"], 400, True),
    (["Content-Length: 5", "Connection: Keep-Alive"], None, False),
    (["Content-Length: 5", *[f"x{n}: y" for n in range(200)]], 431, True),
]


def head(method: str, lines: list[str], version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} / HTTP/{version}", "Host: a", *lines, "", ""]).encode("latin-1")


@pytest.mark.parametrize(("lines", "status", "closes"), TABLE)
def test_a_post_is_framed_by_one_content_length_or_refused(
    lines: list[str], status: int | None, closes: bool
) -> None:
    framed = framing.read_head(head("POST", lines), LIMITS)

    assert (framed.fault.status if framed.fault else None) == status
    assert framed.close is closes


@pytest.mark.parametrize(
    "lines",
    [
        ["Transfer-Encoding: chunked"],
        ["Transfer-Encoding: gzip"],
        ["Content-Length: abc"],
        ["Content-Length: 5", "Content-Length: 5"],
        ["Content-Length: 5000"],
    ],
)
def test_a_get_is_answered_and_the_connection_closed_where_its_body_has_no_sure_end(
    lines: list[str],
) -> None:
    framed = framing.read_head(head("GET", lines), LIMITS)

    assert framed.fault is None
    assert framed.close
    assert framed.length == 0


def test_a_get_with_a_proper_body_is_kept_in_sync() -> None:
    framed = framing.read_head(head("GET", ["Content-Length: 7"]), LIMITS)

    assert (framed.length, framed.close) == (7, False)


@pytest.mark.parametrize(("lines", "closes"), [([], True), (["Connection: keep-alive"], False)])
def test_http_1_0_closes_unless_asked_not_to(lines: list[str], closes: bool) -> None:
    framed = framing.read_head(head("GET", lines, "1.0"), LIMITS)

    assert framed.request.http10
    assert framed.close is closes


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/v1/messages/", "/v1/messages", ""),
        ("/v1/messages?beta=true", "/v1/messages", "beta=true"),
        ("/v1/messages//?a", "/v1/messages", "a"),
        ("/", "/", ""),
        ("//", "/", ""),
        ("http://host/healthz", "/healthz", ""),
    ],
)
def test_a_path_has_no_query_and_no_trailing_slash(target: str, path: str, query: str) -> None:
    framed = framing.read_head(f"GET {target} HTTP/1.1\r\nhost: a\r\n\r\n".encode(), LIMITS)

    assert (framed.request.path, framed.request.query) == (path, query)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1 \r\nhost: a\r\n\r\n",
        b"GET / HTTP/1.1\nhost: a\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(raw: bytes) -> None:
    framed = framing.read_head(raw, LIMITS)

    assert framed.fault is not None
    assert framed.fault.status == 400
    assert framed.close


@pytest.mark.parametrize("version", ["0.9", "2.0"])
def test_other_versions_are_refused_as_such(version: str) -> None:
    framed = framing.read_head(head("GET", [], version), LIMITS)

    assert framed.fault is not None
    assert (framed.fault.status, framed.close) == (505, True)


def test_http_1_0_needs_no_host() -> None:
    framed = framing.read_head(b"GET / HTTP/1.0\r\n\r\n", LIMITS)

    assert framed.fault is None
