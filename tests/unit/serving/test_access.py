"""The access lines that are written together."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime

from anvil_ctl.serving.access import AccessLines
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.message import Request

ASK = Request("POST", "/v1/chat/completions", "", {"authorization": "Bearer secret"}, body=b"PSST")


class NoWire:
    """A connection that nothing is sent on."""

    writable = True

    def send(self, data: bytes) -> None:
        raise AssertionError(data)

    def resumed(self) -> asyncio.Future[None]:
        raise AssertionError

    def completed(self, exchange: Exchange, *, keep: bool) -> None:
        raise AssertionError(exchange, keep)


def answered(request: Request, request_id: str) -> Exchange:
    exchange = Exchange(NoWire(), request, request_id, close=False, started_at=0.0)
    exchange.status = 200
    exchange.fields["tier"] = "a"
    return exchange


def test_each_request_has_its_line_however_few_writes_there_are() -> None:
    written: list[bytes] = []
    lines = AccessLines(written.append)
    lines([answered(ASK, f"id-{number}") for number in range(300)])

    assert len(written) == 1
    records = [json.loads(line) for line in b"".join(written).splitlines()]
    assert [record["request_id"] for record in records] == [f"id-{n}" for n in range(300)]
    assert records[0]["logger"] == "anvil.access"
    assert records[0]["status"] == 200
    assert records[0]["tier"] == "a"
    assert records[0]["time"].endswith("Z")
    assert b"PSST" not in b"".join(written)
    assert b"secret" not in b"".join(written)


def test_a_line_has_the_time_of_the_requests_end_and_not_of_its_writing() -> None:
    written: list[bytes] = []
    lines = AccessLines(written.append)
    exchange = answered(ASK, "one")
    exchange.ended_at = time.monotonic() - 3600
    lines([exchange])

    told = datetime.fromisoformat(json.loads(written[0])["time"])
    assert abs(told.timestamp() - (time.time() - 3600)) < 1


def test_probes_leave_no_line_and_a_broken_log_ends_nothing() -> None:
    def broken(_data: bytes) -> None:
        raise BrokenPipeError

    lines = AccessLines(broken)
    probe = Request("GET", "/healthz", "", {})
    lines([answered(probe, "probe"), answered(ASK, "one")])
