"""Proving an engine, against small real servers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from anvil_ctl.doctor.survey import EngineSeen
from anvil_ctl.lifecycle.engines import Endpoint, EngineError, LastWords, canary, look, wait_ready
from anvil_ctl.paths import bundle
from anvil_ctl.signatures import load

Answer = tuple[int, object]


@contextmanager
def server(answers: Callable[[str, str], Answer]) -> Iterator[Endpoint]:
    class Engine(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(*answers("GET", self.path))

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self._say(*answers("POST", self.path))

        def _say(self, status: int, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Engine) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Endpoint("starter", f"http://127.0.0.1:{running.server_port}", "model", "openai")
        finally:
            running.shutdown()
            thread.join()


def ready(endpoint: Endpoint, timeout_s: float = 5, words: LastWords | None = None) -> None:
    wait_ready(
        endpoint,
        "/health",
        "/v1/models",
        timeout_s,
        runs=lambda: words is None,
        last_words=lambda: words or LastWords("running: loading layer 3"),
    )


def test_an_engine_that_loads_is_waited_for() -> None:
    states = iter([503, 503, 200])

    def answers(_method: str, path: str) -> Answer:
        return (next(states), {}) if path == "/health" else (200, {"data": [{"id": "model"}]})

    with server(answers) as endpoint:
        ready(endpoint)

    assert next(states, None) is None


def test_an_engine_that_serves_another_model_is_refused() -> None:
    with (
        server(lambda _method, _path: (200, {"data": [{"id": "other"}]})) as endpoint,
        pytest.raises(EngineError, match="serves other, not model"),
    ):
        ready(endpoint)


def test_an_engine_that_dies_ends_the_wait_with_its_last_words() -> None:
    with (
        server(lambda _method, _path: (503, {})) as endpoint,
        pytest.raises(EngineError, match="stopped while it loaded: out of memory"),
    ):
        ready(endpoint, timeout_s=60, words=LastWords("out of memory"))


def test_a_death_that_is_known_is_said_with_its_cause_and_its_fix() -> None:
    log = "INFO loading\nvllm: error: unrecognized arguments: --swap-space 4\n"
    words = LastWords("exit status 2", load(bundle() / "engines").classify("vllm", log, 2))

    with server(lambda _method, _path: (503, {})) as endpoint, pytest.raises(EngineError) as raised:
        ready(endpoint, timeout_s=60, words=words)

    assert "a flag that it is given (vllm: error: unrecognized" in raised.value.message
    assert "[K25]; exit status 2" in raised.value.message
    assert raised.value.hint.startswith("take the flag out of extra_args")


def test_an_engine_says_now_what_it_serves_and_how_much_it_takes() -> None:
    def answers(_method: str, path: str) -> Answer:
        return 200, {"data": [{"id": "model", "max_model_len": 4096}]} if "models" in path else {}

    with server(answers) as endpoint:
        assert look(endpoint, "/health", "/v1/models") == EngineSeen(200, ("model",), 4096)


def test_an_engine_that_loads_or_is_not_there_says_no_names() -> None:
    with server(lambda _method, _path: (503, {})) as endpoint:
        assert look(endpoint, "/health", "/v1/models") == EngineSeen(503)

    assert look(endpoint, "/health", "/v1/models") == EngineSeen(None)


def test_the_wait_is_bounded() -> None:
    with (
        server(lambda _method, _path: (503, {})) as endpoint,
        pytest.raises(EngineError, match="not ready after 0 s: running: loading layer 3"),
    ):
        ready(endpoint, timeout_s=0.1)


def test_one_real_token_is_proof() -> None:
    with server(lambda _method, _path: (200, {"choices": [{"message": {}}]})) as endpoint:
        canary(endpoint, timeout_s=5)


@pytest.mark.parametrize("answer", [(500, {"error": "cuda"}), (200, {"choices": []}), (200, [])])
def test_what_is_no_answer_is_no_proof(answer: Answer) -> None:
    with (
        server(lambda _method, _path: answer) as endpoint,
        pytest.raises(EngineError, match="one token was answered with"),
    ):
        canary(endpoint, timeout_s=5)


def test_an_engine_that_is_not_there_is_an_error_with_a_hint() -> None:
    with server(lambda _method, _path: (200, {})) as endpoint:
        gone = endpoint

    with pytest.raises(EngineError) as raised:
        canary(gone, timeout_s=1)

    assert raised.value.hint == "anvil-ctl logs starter"
