"""What holds for every request, engine and configuration, over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anvil_ctl.serving import logs
from tests.unit.router import doubles
from tests.unit.router.doubles import ADMIN, TOKEN, Script

FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/responses")
# What an engine may do, with the check or the cause that it fails by.
WAYS = ("sound", "broken", "empty", "cut", "status", "event", "short", "large")


def engine(way: str, mark: str) -> Script:
    """An engine whose every word, header and error has the mark in it."""

    async def script(seen: doubles.Seen, answer: doubles.Answer) -> None:
        if way == "cut":
            answer.cut()
        elif way == "status":
            await answer.json({"error": {"message": mark}}, 500, f"x-mark: {mark}\r\n")
        elif seen.json.get("stream"):
            await doubles.streams(events(way, mark))(seen, answer)
        else:
            await answer.json(whole(way, mark))

    return script


def text(way: str, mark: str) -> str:
    if way == "broken":
        return f"{mark}\n```python\n{mark} = = 1\n```"
    if way == "large":
        return mark * 3000
    return "" if way == "empty" else f"{mark} is well."


def events(way: str, mark: str) -> list[bytes]:
    made = doubles.openai_events({"content": text(way, mark)}, finish=finish(way))
    if way == "event":
        return [*made[:2], b'data: {"error":{"message":"%s"}}\n\n' % mark.encode()]
    return made


def whole(way: str, mark: str) -> dict[str, object]:
    message = {"role": "assistant", "content": text(way, mark)}
    if way == "event":
        return {"error": {"message": mark}}
    choice = {"index": 0, "message": message, "finish_reason": finish(way)}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": mark, "choices": [choice],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}  # fmt: skip


def finish(way: str) -> str:
    return "length" if way == "short" else "stop"


def question(path: str, content: str, *, stream: bool, **more: object) -> dict[str, object]:
    if path == "/v1/responses":
        return {"input": content, "stream": stream, **more}
    cap = {"max_tokens": 4096} if path == "/v1/messages" else {}
    return {"messages": [{"role": "user", "content": content}], "stream": stream, **cap, **more}


@FEW
@given(
    ways=st.lists(st.sampled_from(WAYS), min_size=1, max_size=3),
    path=st.sampled_from(PATHS),
    stream=st.booleans(),
)
def test_the_client_gets_one_sound_answer_whole_or_one_error_and_nothing_of_any_other(
    tmp_path: Path, ways: list[str], path: str, stream: bool
) -> None:
    async def run() -> None:
        async with AsyncExitStack() as opened:
            marks = [f"MARK{number}" for number in range(len(ways))]
            engines = [
                await opened.enter_async_context(doubles.double(engine(way, mark)))
                for way, mark in zip(ways, marks, strict=True)
            ]
            names = "abc"[: len(ways)]
            tiers = [doubles.tier(n, e.url) for n, e in zip(names, engines, strict=True)]
            text = doubles.config(
                *tiers,
                presets=f"chat = {json.dumps(list(names))}",
                router_keys="exhaustion_status = 529\n[router.fallback]\nmax_buffer_bytes = 9000\n",
                verify="cascade",
            )
            running = await opened.enter_async_context(doubles.router(tmp_path / "r.toml", text))
            client = httpx.AsyncClient(base_url=running.url, headers={"x-api-key": TOKEN})
            await opened.enter_async_context(client)
            answer = await client.post(path, json=question(path, "hi", stream=stream, model="chat"))

        everything = answer.text + str(answer.headers)
        served = next((mark for way, mark in zip(ways, marks, strict=True) if way == "sound"), None)
        assert answer.status_code == (529 if served is None else 200)
        for mark in marks:
            assert (mark in everything) is (mark == served), (ways, everything)
        if served is None:
            assert answer.headers["content-type"] == "application/json"
            assert "error" in answer.json()

    asyncio.run(run())


SECRETS = {
    "client": "sk-client-000111222", "tier": "sk-tier-333444555", "admin": "adm-666777888",
    "prompt": "PROMPT-alpha", "system": "SYSTEM-beta", "tool": "TOOL-gamma", "said": "SAID-delta",
    "session": "SESSION-epsilon", "user": "USER-zeta", "engine": "ENGINE-eta", "name": "NAME-theta",
}  # fmt: skip


@FEW
@given(way=st.sampled_from(WAYS), path=st.sampled_from(PATHS), stream=st.booleans(),
       verify=st.sampled_from(["cascade", "off"]), model=st.sampled_from(["chat", "a", "planning", SECRETS["name"]]))  # fmt: skip
def test_no_secret_and_no_word_said_is_written_down_anywhere(  # noqa: PLR0917 - fixtures
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    way: str,
    path: str,
    stream: bool,
    verify: str,
    model: str,
) -> None:
    monkeypatch.setenv("TIER_KEY", SECRETS["tier"])
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    written: list[str] = []

    async def run() -> None:
        async with AsyncExitStack() as opened:
            script = engine(way, SECRETS["said"] if way == "sound" else SECRETS["engine"])
            double = await opened.enter_async_context(doubles.double(script))
            text = doubles.config(
                doubles.tier("a", double.url),
                presets='chat = ["a"]\nplanning = ["a"]',
                router_keys='state_path = "state"\nverify_raw = "post"\n[router.log]\naudit = true\n',
                verify=verify,
            )
            running = await opened.enter_async_context(doubles.router(tmp_path / "r.toml", text))
            client = httpx.AsyncClient(base_url=running.url, headers={"x-api-key": TOKEN})
            await opened.enter_async_context(client)
            body = question(
                path, SECRETS["prompt"], stream=stream, model=model, user=SECRETS["user"],
                metadata={"user_id": SECRETS["user"]}, tools=[],
            )  # fmt: skip
            if path == "/v1/messages":
                body |= {"system": SECRETS["system"]}
            headers = {"x-anvil-session": SECRETS["session"], "cookie": SECRETS["client"]}
            answer = await client.post(path, json=body, headers=headers)
            wrong = await client.post(path, json=body, headers={"x-api-key": SECRETS["client"]})
            broken = await client.post(path, content=f'{{"{SECRETS["prompt"]}": ')
            refused = [each.text for each in (answer, wrong, broken) if each.status_code != 200]
            written.extend(refused)
            for public in ("/v1/decisions", "/v1/status", "/metrics", "/v1/models"):
                written.append((await client.get(public)).text)
            asked = {**question("/v1/messages", SECRETS["prompt"], stream=False), "model": model}
            written.append((await client.post("/v1/route", json={**asked, "explain": True})).text)
            async with httpx.AsyncClient(
                base_url=running.admin, headers={"authorization": f"Bearer {ADMIN}"}
            ) as admin:
                written.append((await admin.get("/admin/status")).text)
                written.append((await admin.get("/admin/profile")).text)
                written.append((await admin.get("/admin/decisions")).text)
            live = running.router._state.live
            written.append(repr(vars(live)) + repr(live.config) + repr(list(live.tiers)))
        written.append((tmp_path / "state" / "decisions.jsonl").read_text())

    asyncio.run(run())
    formatter = logs.JsonLines()
    written.extend(formatter.format(record) for record in caplog.records)
    written.append(caplog.text)
    everything = "\n".join(written)

    found = {name for name, secret in SECRETS.items() if secret in everything}
    assert found == set()
    assert TOKEN not in everything
    assert "decision_id" in everything


@FEW
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "name"]), inner)
        ),
        max_leaves=10,
    )
)
def test_no_body_makes_deciding_fail(tmp_path: Path, value: object) -> None:
    async def run() -> None:
        text = doubles.config(doubles.tier("a", "http://127.0.0.1:9"), presets='chat = ["a"]')
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            httpx.AsyncClient(base_url=running.url, headers={"x-api-key": TOKEN}) as client,
        ):
            for body in bodies(value):
                answer = await client.post("/v1/route", json=body)
                assert answer.status_code in (200, 400, 413, 503), answer.text

    asyncio.run(run())


def bodies(value: object) -> list[Mapping[str, object]]:
    return [
        {"messages": value},
        {"messages": [{"role": "user", "content": value}], "tools": value, "signals": value},
        {"system": value, "thinking": value, "response_format": value, "voice": value},
    ]


@FEW
@given(way=st.sampled_from(WAYS))
def test_nothing_that_an_engine_says_changes_what_it_is_trusted_with(
    tmp_path: Path, way: str
) -> None:
    async def run() -> None:
        async with doubles.double(engine(way, "allow")) as double:
            text = doubles.config(doubles.tier("a", double.url), presets='chat = ["a"]',
                                  verify="cascade")  # fmt: skip
            async with (
                doubles.router(tmp_path / "r.toml", text) as running,
                httpx.AsyncClient(base_url=running.url, headers={"x-api-key": TOKEN}) as client,
            ):
                before = dict(running.router._state.live.profile)
                for path in PATHS:
                    await client.post(path, json=question(path, "hi", stream=True, model="chat"))

                assert dict(running.router._state.live.profile) == before

    asyncio.run(run())
