"""Answers that were sent on as they came, and are checked once they are out."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from anvil_ctl.router import hindsight
from anvil_ctl.router.verify.chain import Outcome
from tests.unit.router import doubles
from tests.unit.router.checked import BROKEN, SOUND, ask, newest, says, stack

POST = 'verify_raw = "post"'
PATHS = ["/v1/chat/completions", "/v1/messages", "/v1/responses"]


def more(path: str) -> dict[str, Any]:
    return {"input": "hello"} if path == "/v1/responses" else {}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("text", "found"), [(BROKEN, "CodeParses"), (SOUND, "passed")])
async def test_the_client_has_the_answer_and_the_record_what_was_found(
    tmp_path: Path, path: str, stream: bool, text: str, found: str
) -> None:
    async with stack(tmp_path, says(text), keys=POST, verify="off") as (client, _running, _e):
        answer = await ask(client, path=path, stream=stream, **more(path))

        assert answer.status_code == 200
        assert ("LEAK" in answer.text) is (text == BROKEN)
        record = await noted(client, "post_check")
        assert (record["post_check"], record["handling"]) == (found, "raw")
        assert "failed" not in record
        metrics = (await client.get("/metrics")).text
    line = 'anvil_unsound_total{check="CodeParses",tier="a",work_class="chat"} 1.0'
    assert (line in metrics) is (text == BROKEN)
    assert 'anvil_verify_seconds_count{path="raw",tier="a"} 1.0' in metrics


async def test_the_client_and_the_tier_do_not_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slow(_view: object) -> Outcome:
        go_on.wait(10)
        return Outcome(None, 1.0)

    monkeypatch.setattr(hindsight, "verify", slow)
    async with stack(tmp_path, says(SOUND), keys=POST, verify="off") as (client, running, _e):
        began = time.monotonic()
        answer = await ask(client, stream=True)
        waited_ms = (time.monotonic() - began) * 1000
        assert answer.text.endswith("data: [DONE]\n\n")
        tiers = running.router.status()["tiers"]
        assert isinstance(tiers, list)
        assert tiers[0]["in_flight"] == 0
        assert (await client.get("/v1/decisions")).json()["data"] == []
        await asyncio.sleep(0.2)
        go_on.set()
        record = await noted(client, "post_check")

    # What the client waited is told, not what came after.
    assert isinstance(record["verify_ms"], float)
    assert isinstance(record["total_ms"], float)
    assert record["verify_ms"] >= 190
    assert record["total_ms"] <= waited_ms + 0.1


async def test_a_check_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(hindsight, "verify", lambda _view: go_on.wait(10))
    keys = f"{POST}\n[router.fallback]\nverifier_timeout = 0.05\n"
    async with stack(tmp_path, says(SOUND), keys=keys, verify="off") as (client, _r, _e):
        await ask(client, stream=True)
        record = await noted(client, "post_check")
        go_on.set()

    assert record["post_check"] == "verifier_timeout"


async def test_what_is_too_long_to_keep_is_sent_whole_and_not_looked_at(tmp_path: Path) -> None:
    keys = f"{POST}\n[router.fallback]\nmax_buffer_bytes = 5000\n"
    long = "x" * 9000
    async with stack(tmp_path, says(long), keys=keys, verify="off") as (client, _r, _e):
        answer = await ask(client, stream=True)
        record = await noted(client, "post_check")

    assert answer.text.count("x") >= 9000
    assert record["post_check"] == "too_large"


async def test_an_answer_that_broke_off_or_was_checked_before_is_not_looked_at_again(
    tmp_path: Path,
) -> None:
    events = doubles.openai_events({"content": "half"}, done=False)[:-2]
    async with stack(tmp_path, doubles.streams(events), keys=POST, verify="off") as (
        client,
        _r,
        _e,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(client, stream=True)
        record = await noted(client, "cut")
    assert "post_check" not in record

    async with stack(tmp_path, says(SOUND), keys=POST) as (client, _r, _e):
        await ask(client, stream=True)
        record = await noted(client, "handling")
    assert record["handling"] == "full"
    assert "post_check" not in record


async def test_without_the_setting_nothing_is_looked_at(tmp_path: Path) -> None:
    async with stack(tmp_path, says(BROKEN), verify="off") as (client, _r, _e):
        await ask(client, stream=True)
        record = await noted(client, "handling")

    assert record["handling"] == "raw"
    assert not {"post_check", "verify_ms"} & record.keys()


async def noted(client: httpx.AsyncClient, field: str) -> dict[str, object]:
    """The newest record, once there is one with that field."""
    async with asyncio.timeout(5):
        while True:
            if (await client.get("/v1/decisions")).json()["data"]:
                break
            await asyncio.sleep(0.01)
    record = await newest(client)
    assert field in record
    return record
