"""Signs of life before anybody has answered, for clients that would rather have those than a
status."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from anvil_ctl.serving.hold import Bounds
from tests.unit.router import doubles
from tests.unit.router.asking import CHAT, ENDS, MESSAGES, RESPONSES, Client, body
from tests.unit.router.checked import BROKEN, SOUND, newest, says, stack

EARLY = "early_commit_pings = true"
SIGNS = {CHAT: b": waiting\n\n", MESSAGES: b"event: ping\n", RESPONSES: b": waiting\n\n"}
ERRORS = {
    CHAT: b'data: {"error":{"type":"service_unavailable"',
    MESSAGES: b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"',
    RESPONSES: b"event: response.failed\n",
}


QUICK = Bounds(silence_s=0.02)


def slow(go_on: asyncio.Event, then: doubles.Script) -> doubles.Script:
    async def script(seen: doubles.Seen, answer: doubles.Answer) -> None:
        await go_on.wait()
        await then(seen, answer)

    return script


@pytest.mark.parametrize("verify", ["cascade", "off"])
@pytest.mark.parametrize("path", SIGNS)
async def test_a_streams_client_is_kept_alive_and_then_has_the_one_sound_answer(
    tmp_path: Path, path: str, verify: str
) -> None:
    go_on = asyncio.Event()
    scripts = (says(BROKEN if verify == "cascade" else ""), slow(go_on, says(SOUND)))
    presets = 'chat = ["a", "b"]' if verify == "cascade" else 'chat = ["b"]'
    async with stack(tmp_path, *scripts, keys=EARLY, verify=verify, presets=presets) as (
        asker,
        running,
        _engines,
    ):
        running.hold.bounds = QUICK
        client = await Client.post(running.port, path, body(path))
        begun = await client.until(SIGNS[path])
        go_on.set()
        rest = await client.until(b"0\r\n\r\n")
        await client.leave()
        record = await newest(asker)

    assert begun.startswith(b"HTTP/1.1 200 OK")
    assert b"text/event-stream" in begun
    assert ENDS[path] in rest
    assert b"All is" in rest
    assert b"HTTP/1.1" not in rest
    assert b"LEAK" not in begun + rest
    assert (record["tier"], record["status"]) == ("b", 200)


@pytest.mark.parametrize("path", SIGNS)
async def test_where_nobody_serves_after_a_sign_the_stream_ends_with_its_own_error(
    tmp_path: Path, path: str
) -> None:
    go_on = asyncio.Event()
    async with stack(tmp_path, slow(go_on, says(BROKEN)), keys=EARLY) as (asker, running, _e):
        running.hold.bounds = QUICK
        client = await Client.post(running.port, path, body(path))
        begun = await client.until(SIGNS[path])
        go_on.set()
        rest = await client.until(b"0\r\n\r\n")
        await client.leave()
        record = await newest(asker)

    assert ERRORS[path] in rest
    assert ENDS[path] not in rest
    assert b"LEAK" not in begun + rest
    assert (record["status"], record["outcome"], record["exhaustion"]) == (
        503,
        "unserved",
        "exhausted",
    )


async def test_an_answer_before_the_first_sign_keeps_its_headers_and_its_status(
    tmp_path: Path,
) -> None:
    keys = f"{EARLY}\nexhaustion_status = 529"
    async with stack(tmp_path, says(BROKEN), says(SOUND), keys=keys) as (client, _r, _e):
        served = await client.post(CHAT, json=body(CHAT))
        refused = await client.post(CHAT, json={**body(CHAT), "model": "a"})

    assert served.headers["x-anvil-tier"] == "b"
    assert refused.status_code == 529


@pytest.mark.parametrize(("keys", "stream"), [("", True), (EARLY, False)])
async def test_without_the_setting_or_a_stream_nothing_is_promised_before_the_answer(
    tmp_path: Path, keys: str, stream: bool
) -> None:
    go_on = asyncio.Event()
    async with stack(tmp_path, slow(go_on, says(BROKEN)), keys=keys) as (client, running, _e):
        running.hold.bounds = QUICK
        asking = asyncio.create_task(client.post(CHAT, json=body(CHAT, stream=stream)))
        await asyncio.sleep(10 * QUICK.silence_s)
        assert not asking.done()
        go_on.set()
        answer = await asking

    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/json"
