"""The multiplexer while the mode changes: held, drained, told of other models."""

from __future__ import annotations

from anvil_ctl.errors import ConfigError

from .fakes import registry, row
from .rig import ADMIN, TOKEN, Rig, until
from .servers import answered


async def test_a_held_multiplexer_lets_requests_wait_and_serves_them_after(rig: Rig) -> None:
    await rig.order("hold", {"reason": "switching", "max_s": 30})
    waiting = await rig.clients.send(rig.port, "POST", "/v1/completions", {"model": "a"}, TOKEN)
    await until(lambda: rig.hold.waiting == 1)
    assert await rig.order("drain", {"timeout_s": 5}) == {"drained": True, "in_flight": 0}
    assert rig.containers.acts == []

    await rig.order("release")
    await answered(waiting)

    assert await waiting.json() == {"served_by": "a"}


async def test_a_lease_counts_as_in_flight(rig: Rig) -> None:
    lease = await rig.lease("a")
    await lease.line()

    said = await rig.order("drain", {"timeout_s": 0})

    assert said == {"drained": False, "in_flight": 1}
    await lease.close()


async def test_a_mode_switch_stops_the_old_models_and_serves_the_new_ones(rig: Rig) -> None:
    await (await rig.post("/v1/completions", {"model": "a"})).body()
    await rig.order("hold", {"reason": "switching", "max_s": 30})
    waiting = await rig.clients.send(rig.port, "POST", "/v1/completions", {"model": "b"}, TOKEN)

    assert await rig.order("stop-all") == {"stopped": ["a"], "failed": {}}
    assert rig.containers.running() == set()
    rig.registry = registry(row("b", url=rig.b.url), mode="other")
    status = await rig.order("reload")
    assert (status["mode"], status["config_hash"]) == ("other", "digest-of-b")
    await rig.order("release")
    await answered(waiting)

    assert await waiting.json() == {"served_by": "b"}
    assert (await rig.post("/v1/completions", {"model": "a"})).status == 404


async def test_a_wrong_registry_leaves_the_old_one_in_place(rig: Rig) -> None:
    rig.registry = ConfigError("row 1, key url: wrong", hint="render")

    wire = await rig.clients.call(rig.admin_port, "POST", "/admin/reload", {}, ADMIN)

    assert wire.status == 400
    assert b"row 1, key url" in await wire.body()
    assert (await rig.post("/v1/completions", {"model": "a"})).status == 200
