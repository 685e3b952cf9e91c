"""The multiplexer over real sockets, with engines that are real servers and pretended containers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from anvil_ctl.errors import ConfigError
from anvil_ctl.multiplexer.app import Multiplexer, envelope
from anvil_ctl.multiplexer.engines import Engines
from anvil_ctl.multiplexer.loop import Loop
from anvil_ctl.multiplexer.probe import HttpProbe
from anvil_ctl.multiplexer.registry import Registry
from anvil_ctl.serving.access import log_access
from anvil_ctl.serving.admin import Admin
from anvil_ctl.serving.auth import Auth
from anvil_ctl.serving.hold import Hold
from anvil_ctl.serving.http import Server
from anvil_ctl.upstream.client import Pool

from .fakes import FakeContainers, registry, row
from .servers import Clients, FakeEngine, Wire, answered

TOKEN = ("authorization", "Bearer sesame")
ADMIN = ("authorization", "Bearer admin")


class Rig:
    """Engines a and b behind a multiplexer, with its data port and its admin port."""

    def __init__(self, a: FakeEngine, b: FakeEngine, clients: Clients) -> None:
        self.a, self.b, self.clients = a, b, clients
        self.containers = FakeContainers("box-a", "box-b")
        self.probe = HttpProbe()
        self.registry: Registry | ConfigError = registry(row("a", url=a.url), row("b", url=b.url))
        self.loop = Loop(
            self.registry, self.containers, Engines(self.containers, self.probe, poll_s=0.001)
        )
        self.pool, self.hold = Pool(), Hold()
        self.multiplexer = Multiplexer(self.loop, self._load, pool=self.pool, hold=self.hold)
        app = self.multiplexer.app(Auth("sesame"))
        self.data = Server(app, envelope=envelope, finished=log_access)
        admin = Admin(self.multiplexer, self.hold, actions={"stop-all": self.multiplexer.stop_all})
        self.admin = Server(admin.app("admin"))
        self.port = self.admin_port = 0

    def _load(self) -> Registry:
        if isinstance(self.registry, ConfigError):
            raise self.registry
        return self.registry

    async def open(self) -> None:
        await self.loop.open()
        self.port = await self.data.listen("127.0.0.1", 0)
        self.admin_port = await self.admin.listen("127.0.0.1", 0)

    async def close(self) -> None:
        await self.data.stop(0)
        await self.admin.stop(0)
        await self.loop.aclose()
        await self.pool.close()
        await self.probe.close()

    async def post(self, path: str, body: object) -> Wire:
        return await self.clients.call(self.port, "POST", path, body, TOKEN)

    async def lease(self, model: str) -> Wire:
        return await self.post("/v1/lease", {"model": model})

    async def order(self, verb: str, body: object = None) -> dict[str, object]:
        wire = await self.clients.call(self.admin_port, "POST", f"/admin/{verb}", body or {}, ADMIN)
        assert wire.status == 200, await wire.body()
        said = await wire.json()
        await wire.close()
        return said

    async def health(self) -> dict[str, object]:
        wire = await self.clients.call(self.port, "GET", "/healthz")
        said = await wire.json()
        await wire.close()
        return said


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with FakeEngine("a") as a, FakeEngine("b") as b, Clients() as clients:
        rig = Rig(a, b, clients)
        await rig.open()
        yield rig
        await rig.close()


async def test_an_answer_is_relayed_with_status_type_and_body(rig: Rig) -> None:
    wire = await rig.post("/v1/chat/completions", {"model": "a", "messages": []})

    assert (wire.status, wire.headers["content-type"]) == (200, "application/json")
    assert await wire.json() == {"served_by": "a"}
    assert rig.containers.running() == {"box-a"}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/messages"])
async def test_each_endpoint_reaches_the_engine_under_its_own_path(rig: Rig, path: str) -> None:
    body = b'{"model": "a",  "x": [1, 2]}'

    await (await rig.post(path + "/", body)).body()

    assert (rig.a.requests[0].path, rig.a.requests[0].body) == (path, body)


async def test_the_clients_credential_stays_here(rig: Rig) -> None:
    await (await rig.post("/v1/completions", {"model": "a"})).body()

    sent = rig.a.requests[0].headers
    assert not {"authorization", "x-api-key"} & set(sent)


async def test_the_first_byte_is_forwarded_at_once(rig: Rig) -> None:
    """The engine holds the rest back until the client has read the first event."""
    wire = await rig.post("/v1/chat/completions", {"model": "a", "stream": True})

    assert wire.headers["content-type"] == "text/event-stream"
    assert await wire.piece() == b"data: first\n\n"
    rig.a.go.set()
    assert await wire.body() == b"data: second\n\n"


async def test_an_engines_error_passes_unchanged_without_its_headers(rig: Rig) -> None:
    wire = await rig.post("/v1/chat/completions", {"model": "a", "fail": True})

    assert wire.status == 422
    assert await wire.body() == b'{"engine": "says no"}'
    assert "x-engine-secret" not in wire.headers


async def test_a_client_that_leaves_stops_the_engine_and_gives_the_lease_back(rig: Rig) -> None:
    wire = await rig.post("/v1/chat/completions", {"model": "a", "stream": True})
    await wire.piece()

    await wire.close()
    await rig.a.cut.wait()

    other = await rig.post("/v1/chat/completions", {"model": "b"})
    assert await other.json() == {"served_by": "b"}


async def test_a_swap_lets_a_running_answer_end(rig: Rig) -> None:
    streaming = await rig.post("/v1/chat/completions", {"model": "a", "stream": True})
    await streaming.piece()
    waiting = await rig.clients.send(
        rig.port, "POST", "/v1/chat/completions", {"model": "b"}, TOKEN
    )
    lease = await rig.lease("b")
    assert (await lease.line())["state"] == "queued"

    rig.a.go.set()
    assert await streaming.body() == b"data: second\n\n"
    await answered(waiting)

    assert await waiting.json() == {"served_by": "b"}
    assert rig.containers.most == 1
    await lease.close()


async def test_an_answer_that_breaks_off_is_seen_as_broken(rig: Rig) -> None:
    wire = await rig.post("/v1/chat/completions", {"model": "a", "stream": True, "break": True})
    await wire.piece()
    rig.a.go.set()

    with pytest.raises((asyncio.IncompleteReadError, ValueError)):
        await wire.piece()


async def test_an_engine_that_is_gone_gives_503_before_anything_else(rig: Rig) -> None:
    await (await rig.post("/v1/completions", {"model": "a"})).body()
    await rig.a._server.stop(0)

    wire = await rig.post("/v1/completions", {"model": "a"})

    error = (await wire.json())["error"]
    assert isinstance(error, dict)
    assert (wire.status, error["code"], error["src"]) == (503, "backend_unavailable", "anvil")
    assert wire.headers["retry-after"] == "5"


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


@pytest.mark.parametrize("path", ["/v1/lease", "/v1/chat/completions"])
async def test_an_unknown_model_is_404_with_the_known_names(rig: Rig, path: str) -> None:
    wire = await rig.post(path, {"model": "c"})

    assert wire.status == 404
    assert await wire.json() == {
        "error": {
            "type": "model_not_found",
            "message": "model 'c' is not known; known models: a, b",
            "param": None,
            "code": "model_not_found",
            "src": "anvil",
        }
    }


@pytest.mark.parametrize(
    "body", [{"model": 7}, {"model": ["a"]}, {"model": None}, {}, [], "a", b"{", b""]
)
@pytest.mark.parametrize("path", ["/v1/lease", "/v1/chat/completions"])
async def test_a_body_without_a_model_name_is_400(rig: Rig, path: str, body: object) -> None:
    wire = await rig.post(path, body)

    assert wire.status == 400
    assert rig.containers.acts == []


async def test_a_chunked_request_is_411(rig: Rig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    head = b"POST /v1/lease HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sesame\r\n"
    writer.write(head + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n")

    assert (await reader.readline()).startswith(b"HTTP/1.1 411")
    writer.close()


async def test_errors_of_messages_have_anthropics_shape(rig: Rig) -> None:
    wire = await rig.post("/v1/messages", {"model": "c"})

    said = await wire.json()
    assert said["type"] == "error"


@pytest.mark.parametrize("path", ["/v1/lease", "/v1/models", "/v1/chat/completions"])
async def test_without_the_token_there_is_nothing(rig: Rig, path: str) -> None:
    method = "GET" if path == "/v1/models" else "POST"

    wire = await rig.clients.call(rig.port, method, path, {"model": "a"})

    assert wire.status == 401
    assert rig.containers.acts == []


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


async def until(true: Callable[[], bool]) -> None:
    """Let the loop run until something holds; the test's own timeout is the limit."""
    while not true():  # noqa: ASYNC110 - there is no event for the absence of something
        await asyncio.sleep(0)


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
