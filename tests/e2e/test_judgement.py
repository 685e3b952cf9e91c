"""The router's judgement on the real stack: verified tiers, gates, breakers, the profile."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import tomlkit

from tests.double import events
from tests.e2e.stack import ANVIL_CTL, Stack, free_ports

EXHAUSTED = 529
BROKEN = "LEAK\n```python\nx = = 1\n```"


@pytest.fixture(scope="module")
def judging(stack: Stack) -> Iterator[Stack]:
    """Agentic with its answers checked, and a preset that nobody is trusted with."""
    path = stack.home / "anvil.toml"
    before = path.read_text(encoding="utf-8")

    def judge(definition: dict[str, Any]) -> None:
        for mode in definition["modes"].values():
            mode["presets"]["planning"] = list(mode["presets"]["chat"])
        definition["modes"]["agentic"]["policy"] = {"verify": "cascade"}
        definition.setdefault("router", {})["exhaustion_status"] = EXHAUSTED

    change(stack, judge)
    stack.run("up", "--mode", "agentic")
    yield stack
    path.write_text(before, encoding="utf-8")
    stack.run("up", "--mode", "agentic")


def change(stack: Stack, edit: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite the definition."""
    path = stack.home / "anvil.toml"
    definition = tomlkit.parse(path.read_text(encoding="utf-8")).unwrap()
    edit(definition)
    path.write_text(tomlkit.dumps(definition), encoding="utf-8")


@contextlib.contextmanager
def asker(stack: Stack) -> Iterator[httpx.Client]:
    env = stack.connection()
    headers = {"authorization": f"Bearer {env['OPENAI_API_KEY']}"}
    with httpx.Client(base_url=env["OPENAI_BASE_URL"], headers=headers, timeout=60) as client:
        yield client


def ask(client: httpx.Client, model: str, text: str = "Say hello.", **more: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 8,
            "temperature": 0, **more}  # fmt: skip
    return client.post("chat/completions", json=body)


def newest(client: httpx.Client) -> dict[str, Any]:
    (record,) = client.get("decisions?limit=1").json()["data"]
    assert isinstance(record, dict)
    return record


def test_a_preset_is_answered_by_a_tier_whose_answer_was_checked(judging: Stack) -> None:
    with asker(judging) as client:
        for stream in (False, True):
            answer = ask(client, "chat", stream=stream)

            assert answer.status_code == 200
            assert answer.headers["x-anvil-verdict"] == "allow-with-verify"
            record = newest(client)
            assert (record["tier"], record["handling"]) == ("starter", "full")
            assert record["verify_ms"] >= 0
            print(record)


def test_what_nobody_is_trusted_with_gets_the_exhaustion_status(judging: Stack) -> None:
    with asker(judging) as client:
        refused = ask(client, "planning")
        record = newest(client)

    assert refused.status_code == EXHAUSTED
    assert record["dropped"] == {"starter": "denied"}
    shown = judging.run("route", "anything", "--model", "planning", expect=1).stdout
    assert "starter: the profile denies it this class" in shown
    assert f"nobody may answer: HTTP {EXHAUSTED}" in shown
    print(refused.text, record, shown, sep="\n")


def test_a_pinned_tier_is_refused_by_the_gate_and_told_so(judging: Stack) -> None:
    with asker(judging) as client:
        refused = ask(client, "starter", "Plan the migration of the database.")
        denied = newest(client)
        fine = ask(client, "starter")
        record = newest(client)

    assert refused.status_code == EXHAUSTED
    assert "The model starter is not trusted" in refused.text
    assert (denied["source"], denied["dropped"]) == ("pinned", {"starter": "denied"})
    assert fine.status_code == 200
    assert (record["source"], record["tier"]) == ("pinned", "starter")
    print(refused.text, denied, record, sep="\n")


def test_route_explains_without_asking_an_engine(judging: Stack) -> None:
    told = judging.json("route", "fix the typo", "--model", "gpt-4o")

    assert told["work_class"] == "bounded-edit"
    assert told["notes"]["keywords"] == ["fix"]
    assert told["candidates"][0]["tier"] == "starter"


def test_a_changed_flag_puts_what_was_allowed_in_doubt_and_profile_show_says_why(
    judging: Stack,
) -> None:
    judging.run("profile", "set", "starter", "planning", "allow")
    with asker(judging) as client:
        assert ask(client, "planning").headers["x-anvil-verdict"] == "allow"

    def slots(definition: dict[str, Any]) -> None:
        (tier,) = definition["modes"]["agentic"]["tiers"]
        tier["slots"] = 3

    change(judging, slots)
    judging.run("up", "--mode", "agentic")
    shown = judging.run("profile", "show").stdout
    rows = {row["work_class"]: row for row in judging.json("profile", "show", "starter")["rows"]}

    assert (rows["planning"]["stored_verdict"], rows["planning"]["stale"]) == ("allow", True)
    assert "starter planning: stale because params.command: " in shown
    assert rows["planning"]["why"][0].endswith(" 3")
    with asker(judging) as client:
        answer = ask(client, "planning")
        assert answer.headers["x-anvil-verdict"] == "allow-with-verify"
        assert newest(client)["handling"] == "full"
    print(shown)


# Another router on other ports, with an engine double before the real engine


class Double:
    """An engine that answers with one text, on one port, for as long as it lives.

    `probes` is how many had asked it by the time of its first answer, which takes `first_s`.
    """

    def __init__(self, text: str, port: int, first_s: float = 0) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.probes: int | None = None
        self._asked = 0
        self._answer = b"".join(events.openai_events({"content": text}))
        self._port = port
        self._first_s = first_s

    def __enter__(self) -> Double:
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler())
        self._server.daemon_threads = False  # so that closing it waits for what it answers
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                double._take()
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                self.wfile.write(double._answer)

            def log_message(self, *_args: object) -> None:
                """Nothing: the test prints what it counts."""

        return Handler

    def _take(self) -> None:
        self._asked += 1
        if self.probes is None:
            time.sleep(self._first_s)
            self.probes = self.probes or self._asked


@contextlib.contextmanager
def router(stack: Stack, folder: Path, double: str) -> Iterator[httpx.Client]:
    """A router of its own: the tier `first` is the double, `second` the stack's real engine."""
    port = free_ports(2)
    tier = {"dialect": "openai", "context_limit": 8192, "privacy": "local", "tool_support": True,
            "auth_env": "NO_KEY", "timeout": 60}  # fmt: skip
    engine = f"http://127.0.0.1:{stack.engine_port}"
    settings = {
        "server": {"auth_env": "ANVIL_ROUTER_TOKEN"},
        "router": {
            "mapping_version": "e2e",
            "state_path": "state",
            "presets": {"chat": ["first", "second"]},
            "fallback": {"circuit_cooldown": 1.0},
            "policy": {"stickiness": False},
            "tiers": [
                {**tier, "id": "first", "base_url": double, "model": "double"},
                {**tier, "id": "second", "base_url": engine, "model": "smollm2-135m"},
            ],
        },
    }
    file = folder / "router.toml"
    file.write_text(tomlkit.dumps(settings), encoding="utf-8")
    argv: list[str | Path] = [ANVIL_CTL, "router", "serve", "--config", file, "--port", str(port),
            "--admin-port", str(port + 1)]  # fmt: skip
    tokens = {"ANVIL_ROUTER_TOKEN": "own-token", "ANVIL_ADMIN_TOKEN": "own-admin"}
    log = (folder / "router.log").open("wb")
    process = subprocess.Popen(argv, env={**os.environ, **tokens}, stderr=log)
    headers = {"authorization": "Bearer own-token"}
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}/v1", headers=headers, timeout=60
        ) as client:
            until(lambda: answers(client))
            yield client
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def answers(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return client.get("models").status_code == 200
    return False


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that is seen to be so; the test fails if it never is."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_broken_answer_is_left_to_the_next_tier_and_no_byte_of_it_leaves(
    agentic: Stack, tmp_path: Path
) -> None:
    double = Double(BROKEN, free_ports(1))
    with double, router(agentic, tmp_path, double.url) as client:
        for stream in (False, True):
            answer = ask(client, "chat", stream=stream)

            assert answer.status_code == 200
            assert answer.headers["x-anvil-tiers-tried"] == "first,second"
            assert answer.headers["x-anvil-substitution"] == "fell-back"
            assert "LEAK" not in answer.text + str(answer.headers)
            record = newest(client)
            assert record["failed"] == [["first", "CodeParses"]]
            leaked = "LEAK" in answer.text
            print(f"the client got {len(answer.content)} bytes, LEAK among them: {leaked}", record)
    written = (tmp_path / "state" / "decisions.jsonl").read_text(encoding="utf-8")
    assert written.count('"failed":[["first","CodeParses"]]') == 2
    assert "LEAK" not in written + (tmp_path / "router.log").read_text(encoding="utf-8")


def test_an_engine_that_dies_under_traffic_is_left_alone_until_one_request_finds_it_back(
    agentic: Stack, tmp_path: Path
) -> None:
    port = free_ports(1)
    tiers: list[str] = []
    tried: list[str] = []
    failures: list[int] = []
    over = threading.Event()

    def traffic(client: httpx.Client) -> None:
        while not over.is_set():
            answer = ask(client, "chat", max_tokens=1)
            if answer.status_code == 200:
                tiers.append(answer.headers["x-anvil-tier"])
                tried.append(answer.headers["x-anvil-tiers-tried"])
            else:
                failures.append(answer.status_code)

    first = Double("All is well.", port)
    with router(agentic, tmp_path, first.url) as client:

        def circuit() -> str:
            (told,) = [t for t in client.get("status").json()["tiers"] if t["id"] == "first"]
            return str(told["circuit"])

        asking = [threading.Thread(target=traffic, args=(client,)) for _ in range(3)]
        with first:
            for each in asking:
                each.start()
            until(lambda: "first" in tiers)
        tiers.clear()
        until(lambda: circuit() == "open")
        until(lambda: "second" in tiers)
        with Double("Back again.", port, first_s=0.5) as back:
            tiers.clear()
            until(lambda: "first" in tiers)
            assert circuit() == "closed"
            over.set()
            for each in asking:
                each.join(60)

    for told, run in itertools.groupby(tried):
        print(f"{len(list(run)):4} answers, tried {told}")
    print(
        f"{failures} failed; asked of the engine that was back until its first answer: {back.probes}"
    )
    assert failures == []
    assert back.probes == 1
    assert tiers.index("first") > 0, "meanwhile the other tier serves"
