"""What an upstream's status means."""

from __future__ import annotations

import pytest

from anvil_ctl.upstream.endpoint import endpoint, is_http_url
from anvil_ctl.upstream.failure import Action, classify


@pytest.mark.parametrize(
    ("status", "body", "reason", "action"),
    [
        (400, b"bad field", "client_fault", Action.STOP),
        (413, b"", "client_fault", Action.STOP),
        (422, b"", "client_fault", Action.STOP),
        (400, b'{"code":"context_length_exceeded"}', "context_exceeded", Action.LARGER),
        (400, b"exceeds the available context size", "context_exceeded", Action.LARGER),
        (400, b"prompt is too long: 9 tokens > 8 maximum", "context_exceeded", Action.LARGER),
        (400, b"is longer than the model's context length", "context_exceeded", Action.LARGER),
        (413, b"This model's maximum context length is 8", "context_exceeded", Action.LARGER),
        (404, b"context length", "unknown_model", Action.NEXT),
        (401, b"", "refused_credential", Action.NEXT),
        (403, b"", "refused_credential", Action.NEXT),
        (408, b"", "status_408", Action.NEXT),
        (409, b"", "status_409", Action.NEXT),
        (425, b"", "status_425", Action.NEXT),
        (429, b"", "status_429", Action.NEXT),
        (500, b"", "status_500", Action.NEXT),
        (503, b"", "status_503", Action.NEXT),
        (599, b"", "status_599", Action.NEXT),
    ],
)
def test_each_status_has_its_consequence(
    status: int, body: bytes, reason: str, action: Action
) -> None:
    failure = classify(status, {}, body)

    assert (failure.reason, failure.action) == (reason, action)


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
