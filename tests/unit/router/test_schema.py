"""What the router's description allows and forbids, sent to a real router process by schemathesis."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from anvil_ctl.paths import PACKAGE
from tests.unit.router import doubles
from tests.unit.router.doubles import TOKEN
from tests.unit.router.one_engine import OPENAI_TEXT, OPENAI_WHOLE, by_stream

ROOT = PACKAGE.parent
schema = schemathesis.openapi.from_path(ROOT / "docs" / "reference" / "openapi.yaml")


def no_fault(ctx: Any, response: Any, case: Any) -> bool | None:
    """No 5xx but 503: that nobody may serve a class of work is an honest answer."""
    return None if response.status_code == 503 else not_a_server_error(ctx, response, case)


# The last one takes the events of a stream for values of its schema: it sees whole answers only.
CHECKS = [no_fault, content_type_conformance, response_schema_conformance]


@contextlib.contextmanager
def engine() -> Iterator[str]:
    """An engine's double on an event loop of its own: schemathesis calls and waits."""
    loop = asyncio.new_event_loop()
    ready, done = threading.Event(), asyncio.Event()
    url: list[str] = []

    async def serve() -> None:
        async with doubles.double(by_stream(OPENAI_TEXT, OPENAI_WHOLE)) as made:
            url.append(made.url)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(5)
    yield url[0]
    loop.call_soon_threadsafe(done.set)
    thread.join(5)
    loop.close()


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    file = tmp_path_factory.mktemp("schema") / "router.toml"
    with engine() as url:
        tier = doubles.tier("one", url, passthrough=["completions", "embeddings", "rerank"])
        server = '[server]\nauth_env = "ANVIL_ROUTER_TOKEN"\n'
        file.write_text(server + doubles.config(tier, presets='chat = ["one"]'))
        process = subprocess.Popen(
            [sys.executable, "-m", "anvil_ctl.router", "--config", file, "--port", "0"],
            env={**os.environ, "ANVIL_ROUTER_TOKEN": TOKEN},
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stderr is not None
        lines = iter(process.stderr.readline, b"")
        listens = next(line for line in lines if b"http://127.0.0.1:" in line)
        port = listens.split(b"127.0.0.1:")[1].split(b'"')[0]
        # The rest of its log is read, so that it never waits for somebody to do so.
        reading = threading.Thread(target=process.stderr.read)
        reading.start()
        yield f"http://127.0.0.1:{int(port)}"
        process.terminate()
        assert process.wait(10) == 0
        reading.join(5)
        process.stderr.close()


@schema.parametrize()
@settings(max_examples=5, suppress_health_check=list(HealthCheck))
def test_the_router_answers_as_it_is_described(case: schemathesis.Case[Any], router: str) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    response = case.call(base_url=router, headers=headers, timeout=10)
    streamed = "text/event-stream" in str(response.headers)
    checks = CHECKS[:2] if streamed else CHECKS
    case.validate_response(response, checks=checks)
