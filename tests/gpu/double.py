#!/usr/bin/python3
"""The engine double as a program: an engine's command line in front of tests/double.

It is installed under the name of each engine's program and started with the engine's real command
line. What the engine would refuse, it refuses: an unknown flag, weights that are not there, a
container without its GPU. Runs on the standard library alone.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from tests.double.engine import Engine, Play, Turn
from tests.double.server import double

LOAD_S = 1.0
LAST_WORDS = "DOUBLE_LAST_WORDS"
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
    """Why the engine dies while it loads, if it does; a test can give it the words to die with."""
    if LAST_WORDS in environ:
        return environ[LAST_WORDS]
    if not Path(model).exists():
        return f"OSError: {model} is not a local folder"
    held = environ.get("NVIDIA_VISIBLE_DEVICES")
    if not held or environ.get("CUDA_VISIBLE_DEVICES") != held:
        return "RuntimeError: No CUDA GPUs are available"
    return None


def says_where(name: str, gpu: str) -> Play:
    """An engine whose only answer is what it is, and on which card."""
    return lambda _body: Turn(f"{name} on {gpu}")


async def serve(engine: Engine, port: int) -> None:
    """Load, then answer until the container is stopped."""
    async with double(engine, "0.0.0.0", port):
        await asyncio.sleep(LOAD_S)
        engine.loaded = True
        await asyncio.Event().wait()


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
    play = says_where(name, os.environ["NVIDIA_VISIBLE_DEVICES"])
    asyncio.run(serve(Engine(name, play, loaded=False), port))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
