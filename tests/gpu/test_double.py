"""What the engine double says over HTTP, without a container around it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.gpu.double import Engine


@pytest.fixture
def engine() -> Iterator[Engine]:
    """One that still loads."""
    found = Engine(0, "small", "GPU-1")
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def test_it_is_unavailable_until_it_has_loaded(engine: Engine) -> None:
    url = f"http://127.0.0.1:{engine.server_port}"
    assert httpx.get(f"{url}/health").status_code == 503

    engine.loaded.set()

    assert httpx.get(f"{url}/health").status_code == 200
    assert [each["id"] for each in httpx.get(f"{url}/v1/models").json()["data"]] == ["small"]


def test_it_streams_the_answer_that_it_also_gives_whole(engine: Engine) -> None:
    engine.loaded.set()
    url = f"http://127.0.0.1:{engine.server_port}/v1"
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        whole = client.chat.completions.create(
            model="small", messages=[{"role": "user", "content": "Hello."}]
        )
        stream = client.chat.completions.create(
            model="small", messages=[{"role": "user", "content": "Hello."}], stream=True
        )
        choices = [each.choices[0] for each in stream]

    assert whole.choices[0].message.content == "small on GPU-1"
    assert "".join(each.delta.content or "" for each in choices).strip() == "small on GPU-1"
    assert choices[-1].finish_reason == "stop"
