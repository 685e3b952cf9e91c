"""What the multiplexer says of itself: models, health, metrics, status, log lines."""

from __future__ import annotations

import logging

import pytest

from .rig import ADMIN, TOKEN, Rig, until


async def test_the_models_are_listed_without_loading_any(rig: Rig) -> None:
    wire = await rig.clients.call(rig.port, "GET", "/v1/models", None, TOKEN)

    rows = (await wire.json())["data"]
    assert isinstance(rows, list)
    assert [each["id"] for each in rows] == ["a", "b"]
    assert rig.containers.acts == []


async def test_health_answers_in_the_middle_of_a_load(rig: Rig) -> None:
    rig.a.health = 503
    lease = await rig.lease("a")
    await lease.line()

    health = await rig.health()

    assert (health["resident"], health["swapping"], health["swap_target"]) == (None, True, "a")
    roles = health["roles"]
    assert isinstance(roles, dict)
    assert roles["cpu"]["state"] == "loading"
    assert roles["cpu"]["load"]["estimate_s"] == 3.0
    rig.a.health = 200
    while (await lease.line())["state"] != "granted":
        pass
    await lease.close()


async def test_health_has_the_last_swap_with_its_phases(rig: Rig) -> None:
    for name in "ab":
        await (await rig.post("/v1/completions", {"model": name})).body()

    health = await rig.health()

    swap = health["last_swap"]
    assert isinstance(swap, dict)
    assert (swap["from"], swap["to"], swap["result"], swap["severed"]) == ("a", "b", "ok", 0)
    assert {"drain_s", "stop_s", "load_s", "at"} < set(swap)
    assert (health["resident"], health["registry"]) == ("b", ["a", "b"])
    counters = health["counters"]
    assert isinstance(counters, dict)
    assert counters["swaps"] == 1


async def test_prometheus_reads_state_queue_and_counters(rig: Rig) -> None:
    for name in "ab":
        await (await rig.post("/v1/completions", {"model": name})).body()

    wire = await rig.clients.call(rig.port, "GET", "/metrics")
    text = (await wire.body()).decode()

    assert wire.headers["content-type"].startswith("text/plain")
    for line in (
        "anvil_multiplexer_swaps_total 1.0",
        'anvil_multiplexer_role_state{role="cpu",state="ready"} 1.0',
        'anvil_multiplexer_resident{model="b",role="cpu"} 1.0',
        'anvil_multiplexer_queued{model="a",role="cpu"} 0.0',
        'anvil_multiplexer_last_swap_seconds{phase="load",role="cpu"}',
        'anvil_multiplexer_load_seconds{how="start",model="a"}',
    ):
        assert line in text


async def test_health_says_what_is_let_alone_and_for_how_long(rig: Rig) -> None:
    rig.containers.boxes["box-b"].exits_while_loading = 3
    await (await rig.post("/v1/completions", {"model": "a"})).body()
    await (await rig.post("/v1/completions", {"model": "b"})).body()
    await until(lambda: rig.loop.scheduler.roles["cpu"].resident == "a")

    said = await rig.health()

    roles = said["roles"]
    assert isinstance(roles, dict)
    assert roles["cpu"]["makes_way_in_s"] is None
    assert "exited with code 3" in roles["cpu"]["let_alone"]["b"]["cause"]
    assert 0 < roles["cpu"]["let_alone"]["b"]["for_s"] <= 2.0
    assert (roles["cpu"]["asleep"], said["parking"]) == ([], {})


async def test_health_says_when_the_resident_makes_way(rig: Rig) -> None:
    await (await rig.post("/v1/completions", {"model": "a"})).body()
    rig.loop.scheduler.measured["b"].loaded(50.0)
    busy, queued = await rig.lease("a"), await rig.lease("b")
    await queued.line()

    roles = (await rig.health())["roles"]

    assert isinstance(roles, dict)
    assert 40 < roles["cpu"]["makes_way_in_s"] <= 50
    await queued.close()
    await busy.close()


async def test_the_admin_status_names_role_state_and_queue(rig: Rig) -> None:
    await (await rig.post("/v1/completions", {"model": "a"})).body()

    wire = await rig.clients.call(rig.admin_port, "GET", "/admin/status", None, ADMIN)
    said = await wire.json()

    assert said["mode"] == "flexibility"
    assert said["config_hash"] == "digest-of-a-b"
    roles = said["roles"]
    assert isinstance(roles, dict)
    assert (roles["cpu"]["resident"], roles["cpu"]["state"]) == ("a", "ready")
    assert roles["cpu"]["in_flight"] == {"a": 0, "b": 0}


async def test_one_request_leaves_one_line_in_the_log(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "anvil.access")

    await (await rig.post("/v1/completions", {"model": "a"})).body()
    await until(lambda: bool(caplog.records))

    (record,) = [each for each in caplog.records if each.name == "anvil.access"]
    fields = record.__dict__["fields"]
    assert (fields["model"], fields["status"]) == ("a", 200)
    assert "waited_ms" in fields
