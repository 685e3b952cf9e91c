"""What one decision's record says: in which mode, how it ended, what it cost."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import httpx
import pytest

from tests.unit.router import doubles
from tests.unit.router.asking import HI, admin
from tests.unit.router.checked import BROKEN, SOUND, ask, newest, says, stack
from tests.unit.router.doubles import TOKEN

PRICED: dict[str, object] = {"cost_input_per_mtok": 1e6, "cost_output_per_mtok": 1e6}


async def test_the_mode_the_mapping_and_the_served_model_are_in_it(tmp_path: Path) -> None:
    async with stack(tmp_path, says(SOUND)) as (client, _running, _engines):
        answer = await ask(client)
        record = await newest(client)

    assert answer.status_code == 200
    assert (record["mode"], record["mapping_version"]) == ("agentic", "1")
    assert (record["tier"], record["served_model"]) == ("a", "a-model")
    assert record["outcome"] == "served"
    assert "exhaustion" not in record


async def test_a_router_without_a_mode_writes_none(tmp_path: Path) -> None:
    async with doubles.double(says(SOUND)) as engine:
        text = doubles.config(doubles.tier("a", engine.url), presets='chat = ["a"]')
        text = text.replace('mode = "agentic"\n', "")
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            httpx.AsyncClient(base_url=running.url, headers=headers) as client,
        ):
            await ask(client)
            record = await newest(client)

    assert "mode" not in record


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_nobody_gets_is_paid_for_too(tmp_path: Path, stream: bool) -> None:
    """Each engine counts 7 tokens in and 3 out, at a dollar each."""
    scripts = (says(BROKEN), says(SOUND))
    async with stack(tmp_path, *scripts, more=PRICED) as (client, _running, _engines):
        await ask(client, stream=stream)
        record = await newest(client)
        metrics = (await client.get("/metrics")).text

    assert (record["input_tokens"], record["output_tokens"]) == (7, 3)
    assert record["rejected"] == [
        {
            "tier": "a",
            "check": "CodeParses",
            "input_tokens": 7,
            "output_tokens": 3,
            "cost_usd": 10.0,
        }
    ]
    assert record["cost_usd"] == 20.0
    for tier in "ab":
        assert f'anvil_cost_usd_total{{tier="{tier}"}} 10.0' in metrics
        assert f'anvil_tokens_total{{direction="output",tier="{tier}"}} 3.0' in metrics
    assert 'anvil_unsound_total{check="CodeParses",tier="a",work_class="chat"} 1.0' in metrics


async def test_where_every_answer_is_rejected_their_cost_is_told(tmp_path: Path) -> None:
    async with stack(tmp_path, says(BROKEN), more=PRICED) as (client, _running, _engines):
        assert (await ask(client)).status_code == 503
        record = await newest(client)
        metrics = (await client.get("/metrics")).text

    assert (record["cost_usd"], record["outcome"], record["exhaustion"]) == (
        10.0,
        "unserved",
        "exhausted",
    )
    assert 'anvil_cost_usd_total{tier="a"} 10.0' in metrics


@pytest.mark.parametrize("verify", ["cascade", "off"])
async def test_what_no_engine_counted_is_estimated_and_said_to_be(
    tmp_path: Path, verify: str
) -> None:
    silent = doubles.answers({
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 8},
                     "finish_reason": "stop"}],
    })  # fmt: skip
    async with stack(tmp_path, silent, verify=verify) as (client, _running, _engines):
        await ask(client)
        record = await newest(client)
        metrics = (await client.get("/metrics")).text

    assert record["usage_source"] == "estimated"
    assert isinstance(record["input_tokens"], int)
    assert record["input_tokens"] > 0
    # What is sent on as it comes is not read, so nobody knows how much of it there was.
    assert record["output_tokens"] == (10 if verify == "cascade" else None)
    # The metric is what engines counted.
    assert "anvil_tokens_total{" not in metrics


@pytest.mark.parametrize(
    ("text", "model", "kind"),
    [("word " * 9000, "chat", "over_context"), ("hi", "planning", "unbound")],
)
async def test_who_nobody_may_serve_is_recorded_with_the_kind_of_refusal(
    tmp_path: Path, text: str, model: str, kind: str
) -> None:
    async with stack(tmp_path, says(SOUND)) as (client, _running, _engines):
        await ask(client, model, text)
        record = await newest(client)

    assert record["exhaustion"] == kind
    assert record["outcome"] == ("client_fault" if kind == "over_context" else "unserved")


@pytest.mark.parametrize("key", ["", "sk-\u2013from-a-document"])
async def test_the_operator_is_told_which_of_two_things_to_mend(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """A credential that can't be used, or tiers that are set up and fail: never one for the other."""
    monkeypatch.setenv("CLOUD_KEY", key)
    caplog.set_level(logging.WARNING)
    async with doubles.double(doubles.answers({}, 500)) as engine:
        cloud = doubles.tier("paid", engine.url, privacy="cloud", auth_env="CLOUD_KEY")
        text = doubles.config(
            doubles.tier("a", engine.url),
            cloud,
            presets='chat = ["a"]\nreview = ["paid"]',
            router_keys='metered_cloud = ["review"]\n',
        )
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            httpx.AsyncClient(base_url=running.url, headers=headers) as client,
        ):
            skipped = "cannot be put in a header" if key else "is unset or empty"
            assert f"tier paid is skipped: CLOUD_KEY {skipped}" in caplog.text
            assert not key or key not in caplog.text
            caplog.clear()
            for model in ("chat", "review"):
                said = {"model": model, "messages": HI}
                refused = await client.post("/v1/chat/completions", content=json.dumps(said))
                assert refused.status_code == 503
    told = [r.getMessage() for r in caplog.records if r.name.endswith("decided")]

    assert len(told) == 2
    assert "see GET /v1/decisions" in told[0]
    assert "credential" not in told[0]
    assert told[1].endswith("without their credential (auth_env) are: paid")


@pytest.mark.parametrize("keys", ["", 'state_path = "state"\n[router.log]\nmax_bytes = 1500\n'])
async def test_the_administrator_gets_the_whole_log_oldest_first(tmp_path: Path, keys: str) -> None:
    """From the disk where it is written there, over its rotations, with what was just added."""
    async with (
        stack(tmp_path, says(SOUND), keys=keys) as (client, running, _engines),
        admin(running) as asker,
    ):
        ids = [(await ask(client)).headers["x-anvil-decision-id"] for _ in range(4)]
        log = await asker.get("/admin/decisions")
        again = await asker.get("/admin/decisions")

    assert log.status_code == 200
    assert [json.loads(line)["decision_id"] for line in log.text.splitlines()] == ids
    assert again.content == log.content
    assert ((tmp_path / "state" / "decisions.jsonl").exists()) is bool(keys)
