"""The pooled client and the world around it: proxies, TLS, small packets, and who leaves."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from anvil_ctl.upstream.client import Pool
from anvil_ctl.upstream.endpoint import endpoint
from anvil_ctl.upstream.failure import UpstreamError
from tests.unit import sockets
from tests.unit.router.doubles import Answer, Seen, answers, double
from tests.unit.upstream.asking import LIMITS, ask

pytestmark = pytest.mark.both_loops


async def test_a_cancelled_request_closes_its_connection_at_once() -> None:
    async def wait(_seen: Seen, _answer: Answer) -> None:
        await asyncio.Event().wait()

    async with double(wait) as made:
        task = asyncio.create_task(ask(Pool(), made))
        await asyncio.wait_for(made.asked.wait(), 5)
        task.cancel()
        await asyncio.wait_for(made.gone.wait(), 0.5)
        await asyncio.gather(task, return_exceptions=True)


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with double(answers({})) as made:
        pool = Pool()
        assert await ask(pool, made) == b"{}"
        await pool.close()


@pytest.mark.parametrize("trusted", [True, False])
async def test_an_engine_behind_tls_is_checked_against_the_usual_variable(
    trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await reader.read()
        writer.close()

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(bundle)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    pool = Pool()
    there = endpoint(f"https://localhost:{port}", "/v1/x")
    try:
        if trusted:
            response = await pool.post(there, b"", LIMITS)
            assert await response.read(10) == b"{}"
            assert pool.idle(there.origin) == 1
        else:
            with pytest.raises(UpstreamError, match="tls"):
                await pool.post(there, b"", LIMITS)
    finally:
        await pool.close()
        server.close()


async def test_small_requests_are_not_held_back() -> None:
    async def wait(_seen: Seen, _answer: Answer) -> None:
        await asyncio.Event().wait()

    async with double(wait) as made:
        task = asyncio.create_task(ask(Pool(), made))
        await asyncio.wait_for(made.asked.wait(), 5)
        with sockets.our_end(lambda sock: sock.getpeername() == ("127.0.0.1", made.port)) as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
