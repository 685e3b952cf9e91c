"""Requests through the multiplexer: relayed, refused, and in whose words."""

from __future__ import annotations

import asyncio

import pytest

from .rig import TOKEN, Rig
from .servers import answered


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
