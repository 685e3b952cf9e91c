"""What an upstream's status means."""

from __future__ import annotations

import pytest

from anvil_ctl.upstream.endpoint import endpoint, is_http_url
from anvil_ctl.upstream.failure import Action, classify


@pytest.mark.parametrize(
    ("status", "body", "action"),
    [
        (400, b"bad field", Action.STOP),
        (422, b"", Action.STOP),
        (400, b'{"code":"context_length_exceeded"}', Action.LARGER),
        (400, b"the request exceeds the available context size", Action.LARGER),
        (400, b"prompt is too long: 9 tokens > 8 maximum", Action.LARGER),
        (413, b"This model's maximum context length is 8", Action.LARGER),
        (404, b"context length", Action.NEXT),
        (401, b"", Action.NEXT),
        (429, b"", Action.NEXT),
        (503, b"", Action.NEXT),
    ],
)
def test_each_status_has_its_consequence(status: int, body: bytes, action: Action) -> None:
    assert classify(status, {}, body).action is action


@pytest.mark.parametrize(("value", "seconds"), [("7", 7), ("", None), ("soon", None), ("-1", None)])
def test_retry_after_is_read_where_it_is_a_number(value: str, seconds: int | None) -> None:
    assert classify(503, {"retry-after": value}, b"").retry_after_s == seconds


@pytest.mark.parametrize(
    ("base", "line"),
    [
        ("http://h:1", b"POST /v1/messages HTTP/1.1\r\n"),
        ("http://h:1/", b"POST /v1/messages HTTP/1.1\r\n"),
        ("http://h:1/v1/", b"POST /v1/messages HTTP/1.1\r\n"),
        ("http://h:1/api/v1", b"POST /api/v1/messages HTTP/1.1\r\n"),
    ],
)
def test_the_path_has_one_v1(base: str, line: bytes) -> None:
    assert endpoint(base, "/v1/messages").head.startswith(line)


@pytest.mark.parametrize(
    "url",
    ["ftp://h", "h:80", "http://", "http://h:x", "http://h/a b", "http://h:99999", "javascript:1"],
)
def test_other_urls_are_no_endpoints(url: str) -> None:
    assert not is_http_url(url)
