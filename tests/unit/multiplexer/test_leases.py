"""Leases over sockets: granted, waited for, given back, and those who leave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from .rig import TOKEN, Rig, until


async def test_a_lease_is_granted_at_once_for_the_resident(rig: Rig) -> None:
    await (await rig.post("/v1/completions", {"model": "a"})).body()

    lease = await rig.lease("a")

    assert lease.headers["content-type"] == "application/x-ndjson"
    line = await lease.line()
    assert (line["state"], line["model"], line["url"]) == ("granted", "a", rig.a.url)
    await lease.close()


async def test_a_lease_lives_exactly_as_long_as_its_connection(rig: Rig) -> None:
    first = await rig.lease("a")
    while (await first.line())["state"] != "granted":
        pass
    second = await rig.lease("b")
    assert await second.line() == {"state": "queued", "position": 1, "estimate_s": 3.0}
    health = await rig.health()
    assert (health["inflight"], health["queued"]) == ({"a": 1, "b": 0}, {"a": 0, "b": 1})

    await first.close()

    line = await second.line()
    while line["state"] != "granted":
        line = await second.line()
    assert line["url"] == rig.b.url
    await second.close()


async def test_who_says_that_somebody_sits_there_waits_as_such(rig: Rig) -> None:
    rig.a.health = 503
    urgent = ("x-anvil-urgency", "interactive")

    await rig.clients.send(rig.port, "POST", "/v1/lease", {"model": "a"}, TOKEN, urgent)
    await rig.clients.send(rig.port, "POST", "/v1/completions", {"model": "a"}, TOKEN)
    await until(lambda: len(rig.loop.scheduler.roles["cpu"].waiters) == 2)

    waiting = rig.loop.scheduler.roles["cpu"].waiters
    assert sorted(waiter.interactive for waiter in waiting) == [False, True]


async def test_a_waiter_that_leaves_causes_no_swap(rig: Rig) -> None:
    first = await rig.lease("a")
    while (await first.line())["state"] != "granted":
        pass
    second = await rig.lease("b")
    await second.line()

    await second.close()
    await until(lambda: rig.loop.scheduler.roles["cpu"].waiters == [])
    await first.close()
    await until(lambda: rig.loop._tickets == {})

    assert rig.containers.acts == ["start box-a"]


async def test_a_refused_lease_says_why_and_ends(rig: Rig) -> None:
    rig.containers.boxes["box-b"].exits_while_loading = 3

    lease = await rig.lease("b")
    line = await lease.line()
    while line["state"] == "queued":
        line = await lease.line()

    assert line == {
        "state": "refused",
        "status": 503,
        "code": "backend_unavailable",
        "message": "box-b exited with code 3 while it loaded b; its last words: "
        "anvil-ctl logs tier-b",
        "retry_after_s": 5,
    }
    assert await lease.piece() == b""


async def test_a_severed_lease_ends_its_connection(rig: Rig) -> None:
    lease = await rig.lease("a")
    while (await lease.line())["state"] != "granted":
        pass

    rig.containers.crash("box-a")

    assert await lease.piece() == b""


Use = Callable[[Rig], Awaitable[None]]


async def in_prefill(rig: Rig) -> None:
    rig.a.health = 503
    wire = await rig.clients.send(rig.port, "POST", "/v1/chat/completions", {"model": "a"}, TOKEN)
    await until(lambda: rig.loop.scheduler.roles["cpu"].waiters != [])
    await wire.close()
    await until(lambda: rig.loop.scheduler.roles["cpu"].waiters == [])
    rig.a.health = 200


async def in_a_hold(rig: Rig) -> None:
    rig.hold.hold("test", 30)
    wire = await rig.clients.send(rig.port, "POST", "/v1/lease", {"model": "a"}, TOKEN)
    await until(lambda: rig.hold.waiting == 1)
    await wire.close()
    await until(lambda: rig.hold.waiting == 0)
    rig.hold.release()


async def in_the_queue(rig: Rig) -> None:
    lease = await rig.lease("a")
    while (await lease.line())["state"] != "granted":
        pass
    queued = await rig.lease("b")
    await queued.line()
    await queued.close()
    await lease.close()


@pytest.mark.parametrize("leaving", [in_prefill, in_a_hold, in_the_queue])
async def test_a_client_that_leaves_at_any_moment_leaves_nothing_behind(
    rig: Rig, leaving: Use
) -> None:
    await leaving(rig)

    await until(lambda: rig.loop._tickets == {} and rig.hold.in_flight == 0)
    role = rig.loop.scheduler.roles["cpu"]
    assert (role.waiters, role.leases) == ([], {})
