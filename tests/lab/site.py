"""The lab's own installation: both modes with engines that always run, so that all of it is met."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import tomlkit

from tests.e2e.stack import Stack, docker, new_stack, remove

IMAGE = "debian:trixie-slim"
SPARE = "gguf/spare.gguf"
TRUNCATED = "gguf/truncated.gguf"
DAMAGED = "gguf/damaged.gguf"
EMPTY = "gguf/empty.gguf"


@contextlib.contextmanager
def lab(folder: Path) -> Iterator[Stack]:
    """A stack that is live in agentic mode, and gone without a trace afterwards."""
    small = os.geteuid() == 0
    if small:  # a disk of its own, so that it can be filled
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=320m,mode=700", "tmpfs", str(folder)], check=True
        )
    stack = new_stack(folder)
    try:
        stack.run("init", "--site", "cpu", *stack.names)
        stack.run("images", "build")
        stack.run("pull", "starter")
        _more_weights(stack)
        _only_fixed(stack)
        stack.run("up", "--mode", "agentic")
        yield stack
    finally:
        remove(stack)
        if small:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def in_volume(stack: Stack, script: str) -> str:
    """What a shell's script prints that is run where the weights are."""
    mounted = ("--rm", "--network", "none", "--volume", f"{stack.volume}:/store")
    return docker("run", *mounted, "--workdir", "/store", IMAGE, "sh", "-ec", script)


def _more_weights(stack: Stack) -> None:
    """The starter under other names, pulled like it, and what became of some of them since."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ("--mount", f"type=volume,source={stack.volume},target=/store,readonly")
        holder = docker("create", *mount, IMAGE, "true").strip()
        try:
            starter = in_volume(stack, "echo gguf/SmolLM2*.gguf").strip()
            docker("cp", f"{holder}:/store/{starter}", f"{folder}/model.gguf")
        finally:
            docker("rm", holder)
        for name in (SPARE, TRUNCATED, DAMAGED):
            stack.run("pull", f"{folder}/model.gguf", "--to", name)
    in_volume(
        stack,
        f"truncate --size 40000000 {TRUNCATED}; : > {EMPTY}; "
        f"printf damaged | dd of={DAMAGED} conv=notrunc status=none",
    )


def _only_fixed(stack: Stack) -> None:
    """Flexibility with one engine that always runs, in the place of two that are swapped."""
    path = stack.home / "anvil.toml"
    found = tomlkit.parse(path.read_text(encoding="utf-8")).unwrap()
    mode = found["modes"]["flexibility"]
    mode["tiers"][0] |= {"swap": False, "window": 8192}
    mode["tiers"][1]["enabled"] = False
    mode["presets"]["long-context"] = ["quick"]
    path.write_text(tomlkit.dumps(found), encoding="utf-8")


@contextlib.contextmanager
def edited(stack: Stack, mode: str, **values: object) -> Iterator[None]:
    """anvil.toml with these values in a mode's first tier, put back afterwards."""
    path = stack.home / "anvil.toml"
    before = path.read_text(encoding="utf-8")
    found = tomlkit.parse(before).unwrap()
    found["modes"][mode]["tiers"][0].update(values)
    path.write_text(tomlkit.dumps(found), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(before, encoding="utf-8")


def container(stack: Stack, mode: str) -> str:
    """The name of the engine's container of a mode."""
    return f"{stack.project}-{mode}-{'starter' if mode == 'agentic' else 'quick'}-1"


def state(stack: Stack) -> dict[str, object]:
    """What `status` says, cut to what must be right after anything."""
    found = stack.json("status")
    return {each: found[each] for each in ("mode", "router_mode", "held", "healthy")}


def settled(stack: Stack, mode: str, within_s: float = 20) -> bool:
    """Whether a mode is live, as a whole, and nobody is held, or is so before long.

    Docker looks at the health of a container that was restarted only every few seconds.
    """
    right = {"mode": mode, "router_mode": mode, "held": False, "healthy": True}
    until = time.monotonic() + within_s
    while state(stack) != right:
        if time.monotonic() > until:
            return False
        time.sleep(1)
    return not (stack.home / "journal" / "switch.json").exists()
