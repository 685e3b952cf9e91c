#!/usr/bin/python3
"""An engine double: an engine's command line and its HTTP surface, without a model or a GPU.

It is installed under the name of each engine's program and started with the engine's real command
line. What the engine would refuse, it refuses: an unknown flag, weights that are not there, a
container without its GPU. Runs on the standard library alone.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LOAD_S = 1.0
ENGINES = {"sglang": "sglang", "vllm": "vllm", "llama-server": "llamacpp"}
_MODEL = ("--model-path", "--model")
_NAME = ("--served-model-name", "--alias")


def unknown(arguments: list[str], flags: set[str]) -> list[str]:
    """The flags among the arguments that the engine does not have."""
    given = [each.split("=", 1)[0] for each in arguments if each.startswith("--")]
    return [each for each in given if each not in flags]


def refusal(program: str, arguments: list[str], flags: set[str]) -> tuple[str, int] | None:
    """The engine's last words about its command line and its exit status, if it refuses it."""
    wrong = unknown(arguments, flags)
    if not wrong:
        return None
    if program == "llama-server":
        return f"error: invalid argument: {wrong[0]}", 1
    return f"{program}: error: unrecognized arguments: {' '.join(wrong)}", 2


def value(arguments: list[str], names: tuple[str, ...]) -> str | None:
    """What follows the first of these flags."""
    for flag, following in itertools.pairwise(arguments):
        if flag in names:
            return following
    return None


def trouble(model: str, environ: dict[str, str]) -> str | None:
    """Why the engine dies while it loads, if it does."""
    if not Path(model).exists():
        return f"OSError: {model} is not a local folder"
    held = environ.get("NVIDIA_VISIBLE_DEVICES")
    if not held or environ.get("CUDA_VISIBLE_DEVICES") != held:
        return "RuntimeError: No CUDA GPUs are available"
    return None


class Engine(ThreadingHTTPServer):
    """Serves one name. Everything is 503 until it has loaded."""

    daemon_threads = True

    def __init__(self, port: int, name: str, gpu: str) -> None:
        super().__init__(("0.0.0.0", port), Exchange)
        self.name, self.gpu = name, gpu
        self.loaded = threading.Event()


class Exchange(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Engine

    def do_GET(self) -> None:
        if not self.server.loaded.is_set():
            self._reply(503, {"error": {"message": "Loading model"}})
        elif self.path in ("/health", "/ready"):
            self._reply(200, {"status": "ok"})
        elif self.path == "/v1/models":
            self._reply(200, {"object": "list", "data": [{"id": self.server.name}]})
        else:
            self._reply(404, {"error": {"message": "Not Found"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.server.loaded.is_set():
            self._reply(503, {"error": {"message": "Loading model"}})
        elif self.path != "/v1/chat/completions" or body.get("model") != self.server.name:
            self._reply(404, {"error": {"message": f"The model {body.get('model')} is not here."}})
        elif body.get("stream"):
            self._stream()
        else:
            message = {"role": "assistant", "content": self._text()}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._reply(200, self._completion("chat.completion", choice))

    def _text(self) -> str:
        return f"{self.server.name} on {self.server.gpu}"

    def _completion(self, kind: str, choice: dict[str, object]) -> dict[str, object]:
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        known = {"id": "double-1", "created": int(time.time()), "model": self.server.name}
        return {**known, "object": kind, "choices": [choice], "usage": usage}

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for word in self._text().split(" "):
            delta = {"role": "assistant", "content": f"{word} "}
            self._event({"index": 0, "delta": delta, "finish_reason": None})
        self._event({"index": 0, "delta": {}, "finish_reason": "stop"})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, choice: dict[str, object]) -> None:
        said = json.dumps(self._completion("chat.completion.chunk", choice))
        self._chunk(f"data: {said}\n\n".encode())

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _reply(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main(argv: list[str]) -> int:
    program, arguments = Path(argv[0]).name, argv[1:]
    if program != "llama-server":
        assert arguments[:1] == ["serve"], arguments
        arguments = arguments[1:]
    listed = Path("/engines") / ENGINES[program] / "flags.txt"
    refused = refusal(program, arguments, set(listed.read_text(encoding="utf-8").split("\n")))
    if refused:
        print(refused[0], file=sys.stderr)
        return refused[1]
    # vLLM takes its model without a flag.
    model = value(arguments, _MODEL) or arguments[0]
    dies = trouble(model, dict(os.environ))
    if dies:
        print(dies, file=sys.stderr)
        return 1
    name = value(arguments, _NAME) or model
    port = int(value(arguments, ("--port",)) or 0)
    engine = Engine(port, name, os.environ["NVIDIA_VISIBLE_DEVICES"])
    threading.Timer(LOAD_S, engine.loaded.set).start()
    engine.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
