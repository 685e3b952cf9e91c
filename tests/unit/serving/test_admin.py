"""The admin API over a socket."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

import httpx

from anvil_ctl.errors import ConfigError
from anvil_ctl.serving.admin import Admin
from anvil_ctl.serving.hold import Hold
from anvil_ctl.serving.http import Server


class Fake:
    """A Control whose next reload fails once."""

    def __init__(self) -> None:
        self.wrong = True

    def status(self) -> Mapping[str, object]:
        return {"mode": "agentic", "config_hash": "h"}

    async def reload(self) -> None:
        if self.wrong:
            self.wrong = False
            raise ConfigError("tier 'x' lacks model", hint="add it")


async def stop_all() -> Mapping[str, object]:
    return {"stopped": ["a"]}


@contextlib.asynccontextmanager
async def admin() -> AsyncIterator[httpx.AsyncClient]:
    server = Server(Admin(Fake(), Hold(), actions={"stop-all": stop_all}).app("adm"))
    port = await server.listen("127.0.0.1", 0)
    headers = {"authorization": "Bearer adm"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
        yield client
    await server.stop(0.2)


async def test_a_hold_shows_in_the_status_until_it_is_released() -> None:
    async with admin() as client:
        held = await client.post("/admin/hold", json={"reason": "switch", "max_s": 9})
        assert held.json()["held"] is True
        assert held.json()["hold_reason"] == "switch"
        assert (await client.post("/admin/release")).json()["held"] is False
        status = (await client.get("/admin/status")).json()
        assert status["mode"] == "agentic"
        assert (status["waiting"], status["in_flight"]) == (0, 0)


async def test_wrong_bodies_are_named() -> None:
    async with admin() as client:
        for body in ({}, {"max_s": "9"}, {"max_s": -1}, {"max_s": 0}):
            assert (await client.post("/admin/hold", json=body)).status_code == 400
        assert (await client.get("/admin/status")).json()["held"] is False


async def test_a_failed_reload_says_why() -> None:
    async with admin() as client:
        refused = await client.post("/admin/reload")
        assert refused.status_code == 400
        assert "lacks model; add it" in refused.json()["error"]["message"]
        assert (await client.post("/admin/reload")).status_code == 200


async def test_a_server_may_add_actions_of_its_own() -> None:
    async with admin() as client:
        assert (await client.post("/admin/stop-all")).json() == {"stopped": ["a"]}


async def test_nothing_is_answered_without_the_admin_token() -> None:
    async with admin() as client:
        refused = await client.get("/admin/status", headers={"authorization": "Bearer no"})
        assert refused.status_code == 401
