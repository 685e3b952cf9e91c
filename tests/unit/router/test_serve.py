"""The router as a process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.unit.router import doubles
from tests.unit.router.asking import ASK, CHAT, TEXT, Client, hang
from tests.unit.router.doubles import TOKEN

HOME = Path(__file__).parents[3]


def text(url: str = "http://127.0.0.1:9") -> str:
    server = '[server]\nauth_env = "ANVIL_ROUTER_TOKEN"\n'
    return server + doubles.config(doubles.tier("a", url), presets='chat = ["a"]')


async def start(file: Path, *arguments: str, **environ: str) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "anvil_ctl.router", "--config", str(file), *arguments]
    return await asyncio.create_subprocess_exec(
        *command, stderr=subprocess.PIPE, env={**os.environ, **environ}, cwd=HOME
    )


async def test_it_serves_until_sigterm_and_exits_0(tmp_path: Path) -> None:
    file = tmp_path / "router.toml"
    file.write_text(text())
    tokens = {"ANVIL_ROUTER_TOKEN": TOKEN, "ANVIL_ADMIN_TOKEN": "adm"}
    process = await start(file, "--port", "0", "--admin-port", "0", **tokens)
    assert process.stderr is not None
    lines = [await asyncio.wait_for(process.stderr.readline(), 10) for _ in range(2)]
    port = int(lines[0].split(b"127.0.0.1:")[1].split(b'"')[0])
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.get("/healthz")).json()["status"] == "ok"

        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 5) == 0
    rest = await process.stderr.read()
    assert TOKEN.encode() not in b"".join(lines) + rest


@pytest.mark.parametrize(
    ("broken", "environ", "says"),
    [
        (lambda t: t, {}, b"ANVIL_ROUTER_TOKEN is unset"),
        (lambda t: t.replace("openai", "gemini"), {"ANVIL_ROUTER_TOKEN": "x"}, b"dialect"),
        (
            lambda t: t,
            {"ANVIL_ROUTER_TOKEN": "x", "ANVIL_MAX_CONCURRENCY": "many"},
            b"ANVIL_MAX_CONCURRENCY",
        ),
    ],
)
async def test_a_wrong_set_up_is_one_message_and_exit_2(
    tmp_path: Path, broken: doubles.Edit, environ: dict[str, str], says: bytes
) -> None:
    file = tmp_path / "router.toml"
    file.write_text(broken(text()))
    process = await start(file, **environ)
    _out, err = await asyncio.wait_for(process.communicate(), 10)

    assert process.returncode == 2
    assert says in err
    assert b"Traceback" not in err


async def test_certificates_that_are_not_there_stop_no_router(tmp_path: Path) -> None:
    file = tmp_path / "router.toml"
    file.write_text(text().replace("[router]\n", '[router]\nca_file = "own.pem"\n'))
    process = await start(file, "--port", "0", ANVIL_ROUTER_TOKEN="x")
    assert process.stderr is not None
    lines = b""
    while b'"listening' not in lines and b"http://" not in lines:
        lines += await asyncio.wait_for(process.stderr.readline(), 10)

    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 5) == 0
    assert f"ca_file {tmp_path / 'own.pem'} is not used: No such file".encode() in lines


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    file = tmp_path / "router.toml"
    file.write_text(text())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await start(file, "--port", str(port), ANVIL_ROUTER_TOKEN="x")
        _out, err = await asyncio.wait_for(process.communicate(), 10)

    assert process.returncode == 1
    assert b"port is taken" in err
    assert b"Traceback" not in err


async def test_it_needs_only_what_the_control_image_has() -> None:
    code = (
        "import sys, anvil_ctl.router.__main__\n"
        "heavy = {'typer', 'pydantic', 'httpx', 'jinja2', 'rich', 'aiohttp', 'aiodocker'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=subprocess.PIPE, cwd=HOME
    )
    out, _err = await process.communicate()

    assert out.strip() == b"[]"


async def test_a_request_leaves_one_line_and_nothing_of_its_prompt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with (
        doubles.double(doubles.streams(TEXT)) as engine,
        doubles.router(tmp_path / "r.toml", text(engine.url)) as running,
        httpx.AsyncClient(base_url=running.url, headers={"x-api-key": TOKEN}) as client,
    ):
        await client.post(CHAT, json={**ASK, "messages": [{"role": "user", "content": "PSST"}]})
        await client.get("/healthz")

    lines = [record for record in caplog.records if record.name == "anvil.access"]
    assert len(lines) == 1
    fields = lines[0].__dict__["fields"]
    assert fields["tier"] == "a"
    assert fields["status"] == 200
    assert (fields["input_tokens"], fields["output_tokens"]) == (7, 3)
    assert "PSST" not in repr([record.__dict__ for record in caplog.records])


async def test_the_line_of_a_request_just_answered_is_written_before_the_process_ends(
    tmp_path: Path,
) -> None:
    file = tmp_path / "router.toml"
    file.write_text(text())
    process = await start(file, "--port", "0", ANVIL_ROUTER_TOKEN=TOKEN, ANVIL_ADMIN_TOKEN="")
    assert process.stderr is not None
    await asyncio.wait_for(process.stderr.readline(), 10)
    listening = await asyncio.wait_for(process.stderr.readline(), 10)
    port = int(listening.split(b"127.0.0.1:")[1].split(b'"')[0])
    async with httpx.AsyncClient(headers={"x-api-key": TOKEN}) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/v1/models")
        assert answer.status_code == 200
        process.send_signal(signal.SIGTERM)
        rest = await asyncio.wait_for(process.stderr.read(), 10)

    assert await process.wait() == 0
    assert b'"path":"/v1/models","status":200' in rest


async def test_the_second_signal_cuts_what_the_first_one_waits_for(tmp_path: Path) -> None:
    async with doubles.double(hang) as engine:
        file = tmp_path / "router.toml"
        file.write_text(text(engine.url))
        process = await start(file, "--port", "0", ANVIL_ROUTER_TOKEN=TOKEN, ANVIL_ADMIN_TOKEN="")
        assert process.stderr is not None
        await asyncio.wait_for(process.stderr.readline(), 10)
        listening = await asyncio.wait_for(process.stderr.readline(), 10)
        port = int(listening.split(b"127.0.0.1:")[1].split(b'"')[0])
        client = await Client.post(port, CHAT, ASK)
        await asyncio.wait_for(engine.asked.wait(), 5)

        process.send_signal(signal.SIGINT)
        assert b"stopping" in await asyncio.wait_for(process.stderr.readline(), 5)
        assert not engine.gone.is_set()
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 5) == 0
        await asyncio.wait_for(engine.gone.wait(), 1)
        await client.leave()
