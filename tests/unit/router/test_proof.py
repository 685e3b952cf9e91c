"""What an administrator asks of a configuration before anybody else meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.router import doubles
from tests.unit.router.asking import CHAT, FINE, HI, Client, admin, body, settled


async def test_a_preset_answers_the_administrator_while_everybody_else_waits(
    tmp_path: Path,
) -> None:
    async with doubles.double(doubles.answers(WHOLE)) as engine:
        text = doubles.config(doubles.tier("a", engine.url), presets='chat = ["a"]')
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            admin(running) as boss,
        ):
            running.hold.hold("switch", 30)
            client = await Client.post(running.port, CHAT, body(CHAT, stream=False))
            await settled(running, held=1)
            said = await boss.post("/admin/prove", json={"model": "chat", "messages": HI})
            unknown = await boss.post("/admin/prove", json={"model": "chat"})

            assert (said.status_code, said.headers["x-anvil-tier"]) == (200, "a")
            assert (unknown.status_code, unknown.json()["error"]["src"]) == (400, "anvil")
            assert len(engine.seen) == 1
            await client.leave()


WHOLE = {
    "id": "1",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1},
}


async def test_a_configuration_is_read_and_not_used(tmp_path: Path) -> None:
    async with doubles.double(FINE) as engine:
        text = doubles.config(doubles.tier("a", engine.url), presets='chat = ["a"]')
        other = doubles.config(doubles.tier("b", engine.url), presets='chat = ["b"]')
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            admin(running) as boss,
        ):
            good = await boss.post("/admin/check", content=other)
            bad = await boss.post("/admin/check", content=other.replace("[router]", "[wrong]"))

            assert (good.json()["tiers"], good.json()["presets"]) == (["b"], ["chat"])
            assert (bad.status_code, bad.json()["error"]["type"]) == (400, "invalid_request")
            status = (await boss.get("/admin/status")).json()
            assert [each["id"] for each in status["tiers"]] == ["a"]


async def test_who_would_be_asked_first_is_told_and_nobody_is_an_answer_too(tmp_path: Path) -> None:
    async with doubles.double(FINE) as engine:
        bound = doubles.tier("a", engine.url)
        unbound = doubles.tier("b", engine.url, auth_env="NO_SUCH_KEY", privacy="cloud")
        text = doubles.config(bound, unbound, presets='chat = ["a"]\nplanning = ["b"]')
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            admin(running) as boss,
        ):
            first = await boss.post("/admin/route", json={"model": "chat"})
            nobody = await boss.post("/admin/route", json={"model": "planning"})
            broken = await boss.post("/admin/route", json={"model": 7})

            assert (first.status_code, first.json()) == (200, {"tier": "a"})
            assert (nobody.status_code, nobody.json()) == (200, {"tier": None})
            assert (broken.status_code, broken.json()["error"]["src"]) == (400, "anvil")
            assert not engine.seen


async def test_a_proof_for_nothing_never_reaches_a_cloud_even_where_all_else_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SONNET_KEY", "k")
    async with doubles.double(FINE) as cloud:
        broken = doubles.tier("a", "http://127.0.0.1:9")
        paid = doubles.tier("sonnet", cloud.url, auth_env="SONNET_KEY", privacy="cloud")
        keys = 'metered_cloud = ["chat"]\n'
        text = doubles.config(broken, paid, presets='chat = ["a", "sonnet"]', router_keys=keys)
        free = {"x-anvil-no-cloud": "1"}
        ask = {"model": "chat", "messages": HI}
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            admin(running) as boss,
        ):
            first = await boss.post("/admin/route", json={"model": "chat"}, headers=free)
            proved = await boss.post("/admin/prove", json=ask, headers=free)

            assert first.json() == {"tier": "a"}
            assert proved.status_code == 503
            assert not cloud.seen
            assert (await boss.post("/admin/prove", json=ask)).headers["x-anvil-tier"] == "sonnet"
