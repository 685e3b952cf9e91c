"""Changing modes with clients at work, and with things going wrong."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
import tomlkit

from tests.e2e.load import Load, anthropic_whole, openai_stream
from tests.e2e.stack import ANVIL_CTL, Stack, containers, docker


def test_switching_both_ways_under_load_fails_no_request(agentic: Stack) -> None:
    with Load(agentic, works=(openai_stream, anthropic_whole), pause_s=0.05) as load:
        there = agentic.run("switch", "flexibility")
        assert agentic.json("status")["mode"] == "flexibility"
        back = agentic.run("switch", "agentic")

    print(there.stdout, back.stdout, f"longest wait {load.longest_s():.2f} s")
    assert load.errors() == []
    assert load.longest_s() < 120
    for client in ("openai_stream", "anthropic_whole"):
        tiers = {each.tier for each in load.done if each.client == client}
        assert tiers == {"starter", "quick"}
    assert {"hold", "drain", "down", "up", "canary", "release", "total"} <= {
        line.split()[0] for line in there.stdout.splitlines() if line
    }


def test_a_stream_finishes_in_the_old_mode_and_a_late_request_is_answered_by_the_new(
    agentic: Stack, openai_client: openai.OpenAI
) -> None:
    stream = openai_client.chat.completions.with_raw_response.create(
        model="chat",
        max_tokens=150,
        stream=True,
        messages=[{"role": "user", "content": "Write a long story about the sea."}],
    )
    chunks = iter(stream.parse())
    next(chunks)
    switching = threading.Thread(target=agentic.run, args=("switch", "flexibility"))
    switching.start()
    wait_until_held(agentic)

    late: list[str] = []
    waiting = threading.Thread(
        target=lambda: late.append(
            openai_client.chat.completions.with_raw_response.create(
                model="chat", max_tokens=4, messages=[{"role": "user", "content": "Say hello."}]
            ).headers["x-anvil-mode"]
        )
    )
    waiting.start()
    reasons = [each.choices[0].finish_reason for each in chunks if each.choices]
    switching.join(timeout=120)
    waiting.join(timeout=120)

    assert stream.headers["x-anvil-mode"] == "agentic"
    assert reasons[-1] in ("stop", "length")
    assert late == ["flexibility"]


def test_the_outgoing_mode_leaves_no_container(flexibility: Stack) -> None:
    assert containers(flexibility.project, "label=dev.anvil.mode=agentic") == []


def test_an_engine_that_does_not_start_brings_the_old_mode_back(
    agentic: Stack, openai_client: openai.OpenAI
) -> None:
    with edited(agentic, "flexibility", extra_args=["--threads", "none"]):
        done = agentic.run("switch", "flexibility", expect=1)

    assert "canary" in done.stderr
    assert agentic.json("status")["mode"] == "agentic"
    answer = openai_client.chat.completions.create(
        model="chat", max_tokens=4, messages=[{"role": "user", "content": "Say hello."}]
    )
    assert answer.choices[0].message.content
    kept = agentic.home / "journal" / "logs" / f"{agentic.project}-flexibility-quick-1.log"
    assert "threads" in kept.read_text(encoding="utf-8")


def test_missing_weights_are_found_while_the_old_mode_serves(agentic: Stack) -> None:
    before = containers(agentic.project)
    with edited(agentic, "flexibility", model="gguf/absent.gguf"):
        done = agentic.run("switch", "flexibility", expect=3)

    assert "gguf/absent.gguf is not there" in done.stderr
    assert "next: " in done.stderr
    assert containers(agentic.project) == before


def test_a_dry_run_prints_the_plan_and_touches_nothing(agentic: Stack) -> None:
    before = containers(agentic.project)

    printed = agentic.run("switch", "flexibility", "--dry-run").stdout

    print(printed)
    assert re.match(r"plan [0-9a-f]{16}: switch, agentic -> flexibility\n", printed)
    assert printed == agentic.run("plan", "switch", "flexibility").stdout
    assert "refused" not in printed
    refused = agentic.run("plan", "up", "flexibility").stdout
    assert "refused now: mode agentic is live. next: anvil-ctl switch flexibility" in refused
    assert containers(agentic.project) == before


def volumes(project: str) -> list[str]:
    """The project's volumes, each with the moment of its creation."""
    names = docker("volume", "ls", "--quiet", "--filter", f"name={project}").split()
    return docker("volume", "inspect", *names, "--format", "{{.Name}} {{.CreatedAt}}").splitlines()


@pytest.mark.parametrize(
    "verb",
    [
        ("switch", "flexibility"),
        ("up", "--mode", "agentic"),
        ("down",),
        ("recover",),
        ("init", "--force", "--tokens"),
        ("pull", "starter"),
        ("models", "rm", "starter", "--needed"),
        ("models", "rm", "--orphans"),
        ("images", "build"),
        ("images", "prune"),
        ("config", "set", "router.drain_timeout_s", "7"),
        ("profile", "set", "starter", "chat", "deny"),
    ],
    ids=" ".join,
)
def test_a_dry_run_leaves_no_trace_in_dockers_events(agentic: Stack, verb: tuple[str, ...]) -> None:
    kept, definition = volumes(agentic.project), agentic.home / "anvil.toml"
    before = definition.read_text(encoding="utf-8")
    began = time.time()
    agentic.run(*verb, "--dry-run")

    label = f"label=dev.anvil.project={agentic.project}"
    window = ("--since", f"{began:.3f}", "--until", f"{time.time():.3f}")
    # A health check starts a process in a container by itself, every few seconds.
    seen = docker("events", *window, "--filter", label, "--format", "{{.Type}} {{.Action}}")
    assert [line for line in seen.splitlines() if " exec_" not in line] == []
    assert definition.read_text(encoding="utf-8") == before
    # Docker 20.10 tells of a "create" whenever a container mounts a volume that is there, and a look
    # into the weights does; so what is there is compared.
    assert volumes(agentic.project) == kept


def test_an_answer_that_outlives_the_drain_is_not_cut_unless_that_is_said(
    agentic: Stack, openai_client: openai.OpenAI
) -> None:
    def long_stream() -> Iterator[str | None]:
        for chunk in openai_client.chat.completions.create(
            model="chat",
            max_tokens=2000,
            stream=True,
            messages=[{"role": "user", "content": "Count to ten thousand."}],
            extra_body={"ignore_eos": True},
        ):
            if chunk.choices:
                yield chunk.choices[0].finish_reason

    kept = long_stream()
    next(kept)
    refused = agentic.run("switch", "flexibility", "--drain-timeout", "0.2", expect=1)
    assert "1 requests still run after 0 s" in refused.stderr
    assert "--force-drain" in refused.stderr
    assert agentic.json("status")["held"] is False
    assert list(kept)[-1] == "length"

    cut = long_stream()
    next(cut)
    forced = agentic.run("switch", "flexibility", "--drain-timeout", "0.2", "--force-drain")
    assert "1 running answers were cut" in forced.stderr
    with pytest.raises((openai.APIError, httpx.HTTPError)):
        list(cut)


def test_hooks_are_run_around_a_switch(agentic: Stack) -> None:
    folder = agentic.home / "hooks"
    folder.mkdir()
    for name in ("pre-switch", "post-switch"):
        (folder / name).write_text(f'#!/bin/sh\necho "{name}: $ANVIL_FROM to $ANVIL_TO"\n')
        (folder / name).chmod(0o755)
    try:
        done = agentic.run("switch", "flexibility")
        (folder / "pre-switch").write_text("#!/bin/sh\nexit 7\n")
        refused = agentic.run("switch", "agentic", expect=1)
    finally:
        shutil.rmtree(folder)

    assert "pre-switch: agentic to flexibility" in done.stdout
    assert "post-switch: agentic to flexibility" in done.stdout
    assert "hook pre-switch" in refused.stderr
    assert agentic.json("status")["mode"] == "flexibility"


def test_a_switch_leaves_a_record_of_what_it_proved(flexibility: Stack) -> None:
    done = flexibility.run("switch", "agentic")

    path = Path(done.stdout.rsplit("proved: ", 1)[1].strip())
    said = json.loads(path.read_text(encoding="utf-8"))
    assert (said["to"], said["from"]) == ("agentic", ["flexibility"])
    assert {each["preset"] for each in said["presets"] if each["asked"]} == {"chat", "long-context"}
    assert all(image_id.startswith("sha256:") for image_id in said["images"].values())


def test_a_plan_that_was_printed_is_what_is_carried_out_or_nothing_is(agentic: Stack) -> None:
    printed = agentic.json("plan", "switch", "flexibility")
    with edited(agentic, "flexibility", window=1024):
        done = agentic.run("switch", "flexibility", "--plan", printed["hash"], expect=3)
    assert "what it is made from has changed" in done.stderr
    assert agentic.json("status")["mode"] == "agentic"

    there = agentic.run("switch", "flexibility", "--plan", printed["hash"])

    assert f"plan {printed['hash']}" in there.stdout
    down = agentic.json("plan", "down")
    assert [each["act"]["op"] for each in down["steps"]][-1] == "stop"


def test_a_killed_switch_is_finished_by_recover(agentic: Stack) -> None:
    with subprocess.Popen(
        [ANVIL_CTL, "switch", "flexibility"], env=agentic.environ(), stderr=subprocess.DEVNULL
    ) as process:
        wait_until_held(agentic)
        process.send_signal(signal.SIGKILL)

    refused = agentic.run("switch", "flexibility", expect=4)
    assert "anvil-ctl recover" in refused.stderr
    agentic.run("recover")
    assert agentic.run("recover").stdout == "no command was cut off: nothing to recover\n"
    found = agentic.json("status")
    assert (found["mode"], found["router_mode"], found["held"]) == (
        "flexibility",
        "flexibility",
        False,
    )


def wait_until_held(stack: Stack) -> None:
    """Until the router holds requests: asked of itself, again and again, for a bounded time."""
    for _ in range(200):
        if stack.json("status")["held"]:
            return
    raise AssertionError("the router never held requests")


@contextlib.contextmanager
def edited(stack: Stack, mode: str, **values: object) -> Iterator[None]:
    """anvil.toml with these values in every tier of a mode, put back afterwards."""
    path = stack.home / "anvil.toml"
    before = path.read_text(encoding="utf-8")
    definition = tomlkit.parse(before).unwrap()
    for tier in definition["modes"][mode]["tiers"]:
        tier.update(values)
    path.write_text(tomlkit.dumps(definition), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(before, encoding="utf-8")
