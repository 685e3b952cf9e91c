"""The admin verbs against real servers: patience with a restart, and proof by preset."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from anvil_ctl.lifecycle.admin import Admin, AdminError
from anvil_ctl.lifecycle.proof import prove

STATUS = {
    "mode": "flexibility",
    "presets": {"chat": ["a"], "long-context": ["b"]},
    "tiers": [{"id": "a", "swap_group": "gpu"}, {"id": "b", "swap_group": "gpu"}],
}
LOADED = {
    "roles": {"gpu": {"resident": "model-a"}},
    "models": [{"name": "model-a", "tier": "a"}, {"name": "model-b", "tier": "b"}],
}
ONE = {"choices": [{"message": {"content": "yes"}}]}
Said = Mapping[str, tuple[int, Mapping[str, object], Mapping[str, str]]]


@contextmanager
def router(said: Said, port: int = 0, asked: list[str] | None = None) -> Iterator[Admin]:
    class Process(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            verb = self.path.rsplit("/", 1)[1]
            model = json.loads(body).get("model", "") if body[:1] == b"{" else ""
            if asked is not None:
                asked.append(f"{verb} {model}".strip())
            free = f"{verb} {model} for nothing"
            named = free if self.headers.get("x-anvil-no-cloud") == "1" else f"{verb} {model}"
            key = next(each for each in (named, f"{verb} {model}", verb) if each in said)
            status, answer, headers = said[key]
            data = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", port), Process) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Admin("router", f"http://127.0.0.1:{running.server_port}", "token")
        finally:
            running.shutdown()
            thread.join()


def test_a_process_that_is_being_started_again_is_waited_for() -> None:
    port = free_port()
    begun = threading.Event()

    def hold() -> None:
        begun.set()
        Admin("router", f"http://127.0.0.1:{port}", "token").hold("switch", 30, 5.0)

    waiting = threading.Thread(target=hold)
    waiting.start()
    begun.wait()
    asked: list[str] = []
    with router({"hold": (200, {}, {})}, port, asked):
        waiting.join(timeout=20)
        assert not waiting.is_alive()

    assert asked == ["hold"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


PROVED: Said = {
    "status": (200, STATUS, {}),
    "route chat": (200, {"tier": "a"}, {}),
    "route long-context": (200, {"tier": "b"}, {}),
    "prove": (200, ONE, {"x-anvil-tier": "a"}),
}


def test_each_preset_that_what_is_loaded_can_answer_is_asked_for_a_token() -> None:
    asked: list[str] = []
    with router(PROVED, asked=asked) as admin:
        chat, long = prove(admin, LOADED, 10)

    assert (chat.preset, chat.tier, chat.asked) == ("chat", "a", True)
    assert (long.tier, long.asked) == ("b is loaded on demand", False)
    assert asked.count("prove chat") == 1
    assert "prove long-context" not in asked


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((503, {"error": {"message": "No model can serve."}}, {}), "503 No model can serve"),
        ((200, {"choices": []}, {}), "preset chat: one token was answered with"),
        (
            (200, ONE, {"x-anvil-fell-back": "true", "x-anvil-tiers-tried": "a,c"}),
            "preset chat: a failed; of a,c the last one answered",
        ),
    ],
)
def test_a_preset_that_does_not_reach_its_tier_is_no_proof(
    answer: tuple[int, Mapping[str, object], Mapping[str, str]], words: str
) -> None:
    with router({**PROVED, "prove": answer}) as admin, pytest.raises(AdminError, match=words):
        prove(admin, LOADED, 10)


def test_a_preset_that_nobody_may_answer_is_not_asked() -> None:
    nobody: Said = {**PROVED, "route chat": (200, {"tier": None}, {})}
    asked: list[str] = []
    with router(nobody, asked=asked) as admin:
        chat, _long = prove(admin, LOADED, 10)

    assert (chat.tier, chat.asked) == ("nobody may answer it here", False)
    assert "prove chat" not in asked


def test_a_preset_that_a_cloud_answers_is_proved_by_its_other_tiers_or_not_at_all() -> None:
    paid: Said = {
        **PROVED,
        "route chat": (200, {"tier": "sonnet"}, {}),
        "route chat for nothing": (200, {"tier": "a"}, {}),
        "route long-context": (200, {"tier": "sonnet"}, {}),
        "route long-context for nothing": (200, {"tier": None}, {}),
        "prove": (500, {"error": {"message": "That cost money."}}, {}),
        "prove chat for nothing": (200, ONE, {"x-anvil-tier": "a"}),
    }
    with router(paid) as admin:
        chat, long = prove(admin, LOADED, 10)

    assert (chat.tier, chat.asked) == ("a", True)
    assert (long.tier, long.asked) == ("sonnet answers it, which costs money", False)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, {"error": {"message": "No such key."}}, {}), "refused route: 401 No such key"),
        ((404, {}, {}), "refused route: 404"),
        ((500, {"error": {"message": "Internal error."}}, {}), "500 Internal error"),
        ((200, {"provider": "a"}, {}), "does not say who answers preset chat"),
    ],
)
def test_a_router_that_does_not_say_who_answers_a_preset_is_no_proof(
    answer: tuple[int, Mapping[str, object], Mapping[str, str]], words: str
) -> None:
    with router({**PROVED, "route chat": answer}) as admin, pytest.raises(AdminError, match=words):
        prove(admin, LOADED, 10)
