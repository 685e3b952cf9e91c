"""Candidates tried in order, and what is told where none answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.router import doubles
from tests.unit.router.asking import ASK, CHAT, FINE, TEXT, WHOLE, a_then_b, cut, routed
from tests.unit.router.doubles import Answer, Seen


async def empty_stream(_seen: Seen, answer: Answer) -> None:
    await answer.start()
    await answer.end()


async def role_then_cut(_seen: Seen, answer: Answer) -> None:
    await answer.start()
    await answer.chunk(TEXT[0])
    await answer.end()


FAILURES = [
    pytest.param(doubles.answers({}, 500), id="500"),
    pytest.param(doubles.answers({}, 429), id="429"),
    pytest.param(doubles.answers({}, 404), id="404"),
    pytest.param(doubles.answers({}, 401), id="401"),
    pytest.param(doubles.answers({}, 302, "location: http://127.0.0.1:1/\r\n"), id="redirect"),
    pytest.param(doubles.answers({"id": 1}), id="malformed"),
    pytest.param(cut, id="reset"),
    pytest.param(empty_stream, id="empty-stream"),
    pytest.param(role_then_cut, id="ends-before-content"),
    pytest.param(doubles.streams([b'data: {"error":{"message":"x"}}\n\n']), id="error-event"),
]


@pytest.mark.parametrize("fails", FAILURES)
async def test_a_failure_before_the_first_event_is_answered_by_the_next_tier(
    tmp_path: Path, fails: doubles.Script
) -> None:
    async with (
        doubles.double(fails) as first,
        doubles.double(FINE) as second,
        routed(tmp_path, a_then_b(first.url, second.url)) as client,
    ):
        answer = await client.post(CHAT, json=ASK)

        assert answer.status_code == 200
        assert "[DONE]" in answer.text
        assert answer.headers["x-anvil-tier"] == "b"
        assert answer.headers["x-anvil-fell-back"] == "true"
        assert answer.headers["x-anvil-tiers-tried"] == "a,b"


async def test_a_refused_connection_is_answered_by_the_next_tier(tmp_path: Path) -> None:
    async with (
        doubles.double(FINE) as second,
        routed(tmp_path, a_then_b("http://127.0.0.1:9", second.url)) as client,
    ):
        assert (await client.post(CHAT, json=ASK)).headers["x-anvil-tier"] == "b"


async def test_a_pinned_tier_has_no_substitute(tmp_path: Path) -> None:
    async with (
        doubles.double(cut) as first,
        doubles.double(FINE) as second,
        routed(tmp_path, a_then_b(first.url, second.url)) as client,
    ):
        answer = await client.post(CHAT, json={**ASK, "model": "A"})

        assert answer.status_code == 503
        assert second.seen == []
        assert "x-anvil-tier" not in answer.headers


async def test_a_client_fault_is_the_clients_answer(tmp_path: Path) -> None:
    fault = doubles.answers({"error": {"message": "secret host"}}, 400)
    async with (
        doubles.double(fault) as first,
        doubles.double(FINE) as second,
        routed(tmp_path, a_then_b(first.url, second.url)) as client,
    ):
        answer = await client.post(CHAT, json=ASK)

        assert answer.status_code == 400
        assert "secret" not in answer.text
        assert second.seen == []


async def test_what_one_dialect_cannot_say_goes_to_a_tier_of_the_other_or_is_400(
    tmp_path: Path,
) -> None:
    async with doubles.double(FINE) as first, doubles.double(FINE) as second:
        text = doubles.config(
            doubles.tier("a", first.url, "anthropic"),
            doubles.tier("b", second.url),
            presets='chat = ["a", "b"]',
        )
        tool = {"type": "function", "function": {"name": "f"}}
        body = {**ASK, "response_format": {"type": "json_object"}, "tools": [tool]}
        async with routed(tmp_path, text) as client:
            answer = await client.post(CHAT, json=body)
            assert answer.headers["x-anvil-tier"] == "b"
            assert first.seen == []

            refused = await client.post(CHAT, json={**body, "model": "a"})
            assert refused.status_code == 400
            assert "response_format" in refused.json()["error"]["message"]


async def test_a_request_too_long_for_one_tier_goes_to_a_larger_one_or_is_413(
    tmp_path: Path,
) -> None:
    full = doubles.answers({"error": {"message": "exceeds the available context size"}}, 400)
    async with doubles.double(full) as small, doubles.double(FINE) as large:
        text = doubles.config(
            doubles.tier("a", small.url),
            doubles.tier("same", small.url),
            doubles.tier("b", large.url, context_limit=100_000),
            presets='chat = ["a", "same", "b"]\nsmall = ["a", "same"]',
        )
        async with routed(tmp_path, text) as client:
            answer = await client.post(CHAT, json=ASK)
            assert answer.headers["x-anvil-tiers-tried"] == "a,b"

            refused = await client.post(CHAT, json={**ASK, "model": "small"})
            assert refused.status_code == 413


async def test_retry_after_is_told_to_the_client(tmp_path: Path) -> None:
    busy = doubles.answers({}, 429, "retry-after: 17\r\n")
    async with doubles.double(busy) as engine:
        text = doubles.config(doubles.tier("a", engine.url), presets='chat = ["a"]')
        async with routed(tmp_path, text) as client:
            answer = await client.post(CHAT, json=ASK)

            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "17"


async def test_connections_to_an_engine_are_kept_and_reused(tmp_path: Path) -> None:
    async with doubles.double(doubles.answers(WHOLE)) as engine:
        text = doubles.config(doubles.tier("a", engine.url), presets='chat = ["a"]')
        async with routed(tmp_path, text) as client:
            for _ in range(5):
                answer = await client.post(CHAT, json={**ASK, "stream": False})
                assert answer.status_code == 200

            assert engine.connections == 1


async def test_a_refused_credential_is_said_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with doubles.double(doubles.answers({}, 403)) as engine:
        text = doubles.config(doubles.tier("a", engine.url), presets='chat = ["a"]')
        async with routed(tmp_path, text) as client:
            assert (await client.post(CHAT, json=ASK)).status_code == 503

    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["tier a does not accept the credential in TIER_KEY"]
