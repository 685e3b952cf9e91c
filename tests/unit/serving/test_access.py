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


async def test_each_request_has_its_line_however_few_writes_there_are() -> None:
    written: list[bytes] = []
    lines = AccessLines(written.append)
    for number in range(300):
        lines(answered(ASK, f"id-{number}"))
    lines.flush()
    lines.flush()

    assert len(written) == 5
    records = [json.loads(line) for line in b"".join(written).splitlines()]
    assert [record["request_id"] for record in records] == [f"id-{n}" for n in range(300)]
    assert records[0]["logger"] == "anvil.access"
    assert records[0]["status"] == 200
    assert records[0]["tier"] == "a"
    assert records[0]["time"].endswith("Z")
    assert b"PSST" not in b"".join(written)
    assert b"secret" not in b"".join(written)


async def test_a_line_has_the_time_of_the_requests_end_and_not_of_its_writing() -> None:
    written: list[bytes] = []
    lines = AccessLines(written.append)
    exchange = answered(ASK, "one")
    exchange.ended_at = time.monotonic() - 3600
    lines(exchange)
    lines.flush()

    told = datetime.fromisoformat(json.loads(written[0])["time"])
    assert abs(told.timestamp() - (time.time() - 3600)) < 1


async def test_a_line_is_written_soon_without_being_asked_for() -> None:
    written: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    AccessLines(written.set_result)(answered(ASK, "one"))

    assert b'"request_id":"one"' in await asyncio.wait_for(written, 5)


async def test_probes_leave_no_line_and_a_broken_log_ends_nothing() -> None:
    def broken(_data: bytes) -> None:
        raise BrokenPipeError

    lines = AccessLines(broken)
    probe = Request("GET", "/healthz", "", {})
    lines(answered(probe, "probe"))
    lines.flush()
    lines(answered(ASK, "one"))
    lines.flush()
