"""What an upstream's status means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anvil_ctl.upstream.endpoint import endpoint, is_http_url
from anvil_ctl.upstream.failure import Action, classify, retry_after

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


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
    found = classify(status, {}, body)

    assert (found.reason, found.action) == (reason, action)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("99999999", 86400),
        ("9" * 5000, 86400),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("Sat, 28 Nov 2026 12:00:30 GMT", 30),
        # The two old forms of a date that HTTP still wants to be read.
        ("Saturday, 28-Nov-26 12:00:30 GMT", 30),
        ("Sat Nov 28 12:00:30 2026", 30),
        ("Sat, 28 Nov 2026 12:00:30 -0000", 30),
        ("Sat, 28 Nov 2026 14:00:30 +0200", 30),
        ("Sat, 28 Nov 2026 11:59:00 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400),
        ("Sat, 28 Nov 2026 25:61:00 GMT", None),
        ("Sat, 28 Nov 99999999999999999999 12:00:00 GMT", None),
        ("Sat,", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str, seconds: int | None) -> None:
    assert retry_after({"retry-after": value}, NOON) == seconds


def test_an_answer_that_says_when_to_come_back_is_understood_from_now_on() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)

    assert classify(503, {"retry-after": "7"}, b"").retry_after_s == 7
    assert classify(503, {"retry-after": soon}, b"").retry_after_s in {88, 89, 90}


@given(st.text(max_size=40) | st.from_regex(r"\A[A-Z][a-z]{2}, [0-9 :A-Za-z+-]{0,30}\Z"))
def test_no_retry_after_is_more_than_the_upstreams_word(value: str) -> None:
    seconds = retry_after({"retry-after": value})

    assert seconds is None or 0 <= seconds <= 86400


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
