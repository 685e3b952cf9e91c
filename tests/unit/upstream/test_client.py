"""The pooled client and the world around it: proxies, TLS, small packets, and who leaves."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from anvil_ctl.upstream.client import Pool
from anvil_ctl.upstream.endpoint import Endpoint, endpoint
from anvil_ctl.upstream.failure import UpstreamError
from anvil_ctl.upstream.trust import trusting
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


@contextlib.asynccontextmanager
async def behind_tls(authority: trustme.CA) -> AsyncIterator[Endpoint]:
    """A service whose certificate is of this authority."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await reader.read()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield endpoint(f"https://localhost:{server.sockets[0].getsockname()[1]}", "/v1/x")
    finally:
        server.close()


@pytest.mark.parametrize("trusted", [True, False])
async def test_an_engine_behind_tls_is_checked_against_the_usual_variable(
    trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, bundle = trustme.CA(), tmp_path / "ca.pem"
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(bundle)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    pool = Pool()
    async with behind_tls(authority) as there:
        if trusted:
            response = await pool.post(there, b"", LIMITS)
            assert await response.read(10) == b"{}"
            assert pool.idle(there.origin) == 1
        else:
            with pytest.raises(UpstreamError, match="tls"):
                await pool.post(there, b"", LIMITS)
        await pool.close()


async def test_a_file_of_authorities_is_trusted_besides_the_usual_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, own = trustme.CA(), trustme.CA()
    usual.cert_pem.write_to_path(tmp_path / "usual.pem")
    own.cert_pem.write_to_path(tmp_path / "own.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "usual.pem"))
    pool = Pool(tls=trusting(tmp_path / "own.pem"))
    for authority in (usual, own):
        async with behind_tls(authority) as there:
            assert await (await pool.post(there, b"", LIMITS)).read(10) == b"{}"
    async with behind_tls(trustme.CA()) as there:
        with pytest.raises(UpstreamError, match="tls"):
            await pool.post(there, b"", LIMITS)
    await pool.close()


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://api.example.com", b"api.example.com"),
        ("https://api.example.com:443/v1", b"api.example.com"),
        ("http://starter:8080", b"starter:8080"),
        ("http://[::1]", b"[::1]"),
        ("https://api.example.com:80", b"api.example.com:80"),
    ],
)
def test_a_service_is_called_by_its_bare_name_on_its_usual_port(url: str, host: bytes) -> None:
    assert b"\r\nhost: " + host + b"\r\n" in endpoint(url, "/v1/x").head


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
