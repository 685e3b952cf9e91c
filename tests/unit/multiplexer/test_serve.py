"""The process as it is started in its container, with no Docker behind it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest

from anvil_ctl.errors import ConfigError
from anvil_ctl.multiplexer.serve import DEFAULT_DOCKER, main

from .servers import Clients

ROW = {"name": "a", "tier": "t", "role": "cpu", "container": "nobox", "url": "http://127.0.0.1:9"}


def registry(folder: Path, *rows: object) -> Path:
    file = folder / "registry.json"
    file.write_text(json.dumps({"version": 1, "mode": "agentic", "models": rows}))
    return file


async def started(
    tmp_path: Path, *arguments: str, **env: str
) -> tuple[asyncio.subprocess.Process, str]:
    """The process and what it logged until both ports listen, or until it ended."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "anvil_ctl.multiplexer", *arguments),
        *("--port", "0", "--admin-port", "0", "--docker", f"unix://{tmp_path}/none.sock"),
        env={**os.environ, **env},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    said = ""
    while "admin listens" not in said and (line := await process.stderr.readline()):
        said += line.decode()
    return process, said


def ports(said: str) -> list[int]:
    return [int(port) for port in re.findall(r"listens on http://127\.0\.0\.1:(\d+)", said)]


async def test_it_serves_without_docker_and_ends_with_0_on_sigterm(tmp_path: Path) -> None:
    file = registry(tmp_path, ROW)

    process, said = await started(
        tmp_path, "--registry", str(file), ANVIL_ROUTER_TOKEN="t", ANVIL_ADMIN_TOKEN="adm"
    )
    port, admin = ports(said)
    async with Clients() as clients:
        health = await clients.call(port, "GET", "/healthz")
        assert (health.status, (await health.json())["registry"]) == (200, ["a"])
        key = ("x-api-key", "t")
        answer = await clients.call(port, "POST", "/v1/completions", {"model": "a"}, key)
        assert answer.status == 503
        assert "backend_unavailable" in (await answer.body()).decode()
        bearer = ("authorization", "Bearer adm")
        status = await clients.call(admin, "GET", "/admin/status", None, bearer)
        assert (await status.json())["mode"] == "agentic"
    process.terminate()

    _out, rest = await process.communicate()
    assert process.returncode == 0, said + rest.decode()


async def test_a_wrong_registry_is_one_line_and_exit_2(tmp_path: Path) -> None:
    file = registry(tmp_path, {"name": "a"})

    process, said = await started(tmp_path, "--registry", str(file), ANVIL_ADMIN_TOKEN="adm")
    await process.wait()

    assert process.returncode == 2
    assert "row 1 (a), key tier" in said
    assert "Traceback" not in said


def test_other_machines_are_not_served_without_a_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=r"ANVIL_ROUTER_TOKEN is unset, and 0\.0\.0\.0 is"):
        main(registry(tmp_path), "0.0.0.0", 0, "127.0.0.1", 0, DEFAULT_DOCKER)
