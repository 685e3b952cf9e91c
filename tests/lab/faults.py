"""What can go wrong in a switch, done to a real one under load, and what came of each."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.e2e.load import Load
from tests.e2e.stack import Stack, docker
from tests.lab.command import Event, Meddle, Ran, at, run
from tests.lab.site import (
    DAMAGED,
    EMPTY,
    SPARE,
    TRUNCATED,
    container,
    edited,
    in_volume,
    settled,
    state,
)

# Old mode answering again after a fault: its own start and this.
_ALLOWED_S = 15.0


@dataclass(frozen=True)
class Fault:
    """`tier` is what is wrong in the definition of the target; `meddle` what is done meanwhile.

    `ends` are the exit codes that are right: 0 done, 1 rolled back, 3 caught before anything
    stopped, 5 not restored, 130 stopped by its user.
    """

    name: str
    ends: int
    tier: Mapping[str, object] | None = None
    meddle: Callable[[Stack], Meddle] = lambda _stack: lambda _event, _process: None
    around: Callable[[Stack], contextlib.AbstractContextManager[None]] = lambda _stack: (
        contextlib.nullcontext()
    )
    options: tuple[str, ...] = ()
    program: tuple[str, ...] = ()
    # What the operator does where it could not be restored.
    mend: Callable[[Stack], None] | None = None
    # A client's stream runs for as long as it may, and whether it is cut as told.
    streams: bool = False
    cuts: bool = False
    # How often clients ask again by themselves, where the router itself is killed.
    retries: int = 0


@dataclass(frozen=True)
class Row:
    """One fault's outcome."""

    fault: Fault
    ran: Ran
    again_s: float | None
    lost: list[str]
    live: str
    clean: bool
    starts_s: float
    state: Mapping[str, object]

    @property
    def right(self) -> bool:
        in_time = self.again_s is not None and self.again_s <= self.starts_s + _ALLOWED_S
        lost = bool(self.lost) and not self.fault.cuts
        timed = in_time or self.ran.undo is None or self.fault.mend is not None
        return self.ran.code == self.fault.ends and self.clean and timed and not lost

    def __str__(self) -> str:
        how = {
            0: "completed",
            2: "caught before teardown",
            4: "caught before teardown",
            1: "rolled back",
            3: "caught before teardown",
            5: "not restored, mended by hand",
            130: "rolled back",
        }.get(self.ran.code, f"exit {self.ran.code}")
        if self.ran.code == 1 and self.ran.undo and "down" not in self.ran.phases:
            how = "given up before teardown"
        again = "-" if self.again_s is None else f"{self.again_s:.1f} s"
        verdict = "" if self.right else f"  WRONG: {self.state} {self.ran.words.strip()[-300:]}"
        return (
            f"{self.fault.name:<44}{how:<30}{again:>8}{len(self.lost):>5} lost  "
            f"{self.live:<12}{verdict}"
        )


def table(stack: Stack, words: str = "") -> str:
    """Every fault whose name has these words, one by one, each from a healthy agentic mode."""
    starts_s = _start_seconds(stack)
    lines = [f"the old mode's own start takes {starts_s:.1f} s"]
    wrong = 0
    chosen = [fault for fault in FAULTS if words in fault.name]
    for fault in chosen:
        row = happen(stack, fault, starts_s)
        wrong += not row.right
        print(row, flush=True)
        for each in row.lost[:2]:
            print(f"      {each[:160]}", flush=True)
    caught = sum(fault.ends in (2, 3, 4) for fault in chosen)
    return "\n".join(
        [*lines, f"{len(chosen)} faults, {caught} caught before teardown, {wrong} wrong"]
    )


def happen(stack: Stack, fault: Fault, starts_s: float) -> Row:
    """One switch with one fault, under load."""
    _agentic(stack)
    changed = edited(stack, "flexibility", **fault.tier) if fault.tier else contextlib.nullcontext()
    program = {"program": fault.program} if fault.program else {}
    with Load(stack, fault.retries) as load:
        load.wait_for_answer(time.monotonic())
        began = time.monotonic()
        with changed, fault.around(stack), load.long_stream() if fault.streams else _NOTHING:
            ran = run(
                stack,
                "switch",
                "flexibility",
                *fault.options,
                meddle=fault.meddle(stack),
                **program,
            )
        if fault.mend is not None:
            fault.mend(stack)
        moment = ran.undo or ran.ended
        again = load.wait_for_answer(moment)
    live = str(stack.json("status")["mode"])
    clean = settled(stack, live) and live == ("flexibility" if fault.ends == 0 else "agentic")
    return Row(fault, ran, again, load.errors(began), live, clean, starts_s, state(stack))


def _agentic(stack: Stack) -> None:
    if stack.json("status")["mode"] != "agentic":
        stack.run("switch", "agentic")


def _start_seconds(stack: Stack) -> float:
    """The old mode's own start, from nothing, by docker alone."""
    _agentic(stack)
    name = container(stack, "agentic")
    began = time.monotonic()
    docker("restart", name)
    while '"healthy"' not in docker("inspect", "--format", "{{json .State.Health.Status}}", name):
        time.sleep(0.1)
    return time.monotonic() - began


def _kill_engine(stack: Stack) -> object:
    return docker("kill", container(stack, "flexibility"))


def _pause_engine(stack: Stack) -> object:
    return docker("pause", container(stack, "flexibility"))


def _each(step: str, state: str, act: Callable[[Stack], object]) -> Callable[[Stack], Meddle]:
    return lambda stack: at(step, state, lambda: act(stack))


@contextlib.contextmanager
def _unpaused(stack: Stack) -> Iterator[None]:
    try:
        yield
    finally:
        for mode in ("agentic", "flexibility"):
            subprocess.run(
                ["docker", "unpause", container(stack, mode)], capture_output=True, check=False
            )


def _signals(step: str, number: signal.Signals) -> Callable[[Stack], Meddle]:
    """Send the command a signal when a step begins, once."""

    def make(_stack: Stack) -> Meddle:
        sent: list[bool] = []

        def meddle(event: Event, process: subprocess.Popen[str]) -> None:
            begins = str(event["step"]).startswith(f"{step}.") and event["state"] == "working"
            if begins and not sent:
                sent.append(True)
                process.send_signal(number)

        return meddle

    return make


class _Thief:
    """Takes the target engine's port as soon as the gates have seen it free."""

    def __init__(self) -> None:
        self.taken: socket.socket | None = None

    def steal(self, stack: Stack) -> None:
        self.taken = socket.socket()
        self.taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.taken.bind(("127.0.0.1", stack.engine_port + 2))
        self.taken.listen()

    @contextlib.contextmanager
    def held_before(self, stack: Stack) -> Iterator[None]:
        self.steal(stack)
        with self.released(stack):
            yield

    @contextlib.contextmanager
    def released(self, _stack: Stack) -> Iterator[None]:
        try:
            yield
        finally:
            if self.taken is not None:
                self.taken.close()


@contextlib.contextmanager
def _hook(stack: Stack, name: str, script: str) -> Iterator[None]:
    folder = stack.home / "hooks"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)
    try:
        yield
    finally:
        (folder / name).unlink()


@contextlib.contextmanager
def _cut_off_journal(stack: Stack) -> Iterator[None]:
    path = stack.home / "journal" / "switch.json"
    path.write_text(json.dumps({"source": ["agentic"], "target": "flexibility"}), encoding="utf-8")
    try:
        yield
    finally:
        path.unlink()


@contextlib.contextmanager
def _full_disk(stack: Stack) -> Iterator[None]:
    """The installation's folder lies on a disk of its own, and `fill` leaves nothing of it."""
    yield
    (stack.home / "filler").unlink(missing_ok=True)


def _fill(stack: Stack) -> None:
    assert os.path.ismount(stack.home.parent), "only a small disk of the lab's own is filled"
    with contextlib.suppress(OSError), (stack.home / "filler").open("wb") as file:
        while True:
            file.write(b"\0" * 65536)
            file.flush()


def _remove_spare(stack: Stack) -> None:
    in_volume(stack, f"rm {SPARE}")


@contextlib.contextmanager
def _old_mode_on_spare(stack: Stack) -> Iterator[None]:
    """The old mode's weights are a file of their own, which goes while the new mode comes up."""
    with edited(stack, "agentic", model=SPARE):
        stack.run("up", "--mode", "agentic")
        yield


def _put_spare_back(stack: Stack) -> None:
    in_volume(stack, f"cp gguf/SmolLM2*.gguf {SPARE}")
    stack.run("up", "--mode", "agentic")


def _router_restarts(stack: Stack) -> object:
    return docker("restart", "--time", "0", f"{stack.project}-router-1")


def _ignores(stack: Stack) -> object:
    """A paused engine hears no SIGTERM."""
    return docker("pause", container(stack, "agentic"))


def _unplug(stack: Stack) -> object:
    """Take the router off the network that the engines are on."""
    return docker("network", "disconnect", "--force", stack.project, f"{stack.project}-router-1")


_NOTHING = contextlib.nullcontext()
_THIEF, _EARLY_THIEF = _Thief(), _Thief()
_WRONG_NAME = {"env": {"LLAMA_ARG_ALIAS": "another"}}
_CLOCK = (sys.executable, "-m", "tests.lab.victim", "clock")

FAULTS: tuple[Fault, ...] = (
    Fault("an image that its role cannot run", 2, {"image": "cuda"}),
    Fault("weights missing", 3, {"model": "gguf/absent.gguf"}),
    Fault("weights empty", 3, {"model": EMPTY}),
    Fault("weights truncated", 3, {"model": TRUNCATED}),
    Fault("port held by another program", 3, around=_EARLY_THIEF.held_before),
    Fault("another command was cut off", 4, around=_cut_off_journal),
    Fault("a hook before the switch fails", 1, around=lambda s: _hook(s, "pre-switch", "exit 1")),
    Fault("a hook after the switch fails", 0, around=lambda s: _hook(s, "post-switch", "exit 1")),
    Fault("weights damaged, of the right size", 1, {"model": DAMAGED}),
    Fault("no memory for its cache at load", 1, {"window": 8_000_000}),
    Fault("a wrong argument", 1, {"extra_args": ["--threads", "none"]}),
    Fault("ready with the wrong model", 1, _WRONG_NAME),
    Fault(
        "hangs before it is ready",
        1,
        {"start_timeout_s": 5},
        _each("up", "done", _pause_engine),
        _unpaused,
    ),
    Fault("dies while it loads", 1, None, _each("up", "done", _kill_engine)),
    Fault("dies after it was ready", 1, None, _each("ready", "done", _kill_engine)),
    Fault("dies in the canary", 1, None, _each("canary", "working", _kill_engine)),
    Fault("dies in the proof", 1, None, _each("prove", "working", _kill_engine)),
    Fault(
        "port stolen after the gates",
        1,
        None,
        _each("down", "working", _THIEF.steal),
        _THIEF.released,
    ),
    Fault("disk full", 1, None, _each("install", "working", _fill), _full_disk),
    Fault(
        "router restarted (its clients ask again)",
        0,
        None,
        _each("up", "working", _router_restarts),
        retries=4,
    ),
    Fault("the old engine ignores SIGTERM", 0, None, _each("down", "working", _ignores), _unpaused),
    # Its published port goes with it: until the way back has made it anew, nobody can be kept.
    Fault("the router loses its network", 1, None, _each("up", "working", _unplug), cuts=True),
    Fault("an answer outlives the drain", 1, options=("--drain-timeout", "1"), streams=True),
    Fault(
        "the same with --force-drain",
        0,
        options=("--drain-timeout", "1", "--force-drain"),
        streams=True,
        cuts=True,
    ),
    Fault("clock jumps back a day", 0, program=_CLOCK),
    Fault("Ctrl-C at the drain", 130, None, _signals("drain", signal.SIGINT)),
    Fault("Ctrl-C while the engine loads", 130, None, _signals("ready", signal.SIGINT)),
    Fault("SIGTERM at the proof", 130, None, _signals("prove", signal.SIGTERM)),
    Fault("terminal lost while the engine starts", 130, None, _signals("up", signal.SIGHUP)),
    Fault(
        "rollback target broken",
        5,
        _WRONG_NAME,
        _each("down", "done", _remove_spare),
        _old_mode_on_spare,
        mend=_put_spare_back,
    ),
)
