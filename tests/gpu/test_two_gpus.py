"""The whole site of the reference machine, both modes, on a machine with two simulated GPUs."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping

import pytest

from anvil_ctl.config import Mode, Tier
from tests.e2e.stack import containers
from tests.gpu.conftest import FAST, HEAVY, TwoGpus
from tests.gpu.double import LAST_WORDS
from tests.lab.command import at, run
from tests.lab.site import settled

ABSENT = HEAVY[:-1] + "f"
CARDS = {"heavy": HEAVY, "fast": FAST}


def test_init_found_the_cards_and_gave_each_its_role(two_gpus: TwoGpus) -> None:
    """By memory, not by index; with more kept free where the desktop is."""
    machine = two_gpus.definition.config.machine
    roles = {name: (role.gpu_uuid, role.memory_mib) for name, role in machine.roles.items()}
    seen = two_gpus.stack.json("hardware")

    assert roles == {"heavy": (HEAVY, 97887), "fast": (FAST, 32607)}
    assert [role.reserve_mib for role in machine.roles.values()] == [2048, 4608]
    assert not machine.plan_only
    assert (seen["site"]["name"], seen["host"]["ram_mib"]) == ("fakoli-dark", machine.ram_mib)
    assert "left as it is" in two_gpus.stack.run("init").stdout


def test_images_are_complete_without_a_registry(two_gpus: TwoGpus) -> None:
    done = two_gpus.stack.run("images", "build")

    assert "vllm/vllm-openai" in done.stdout
    assert "lmsysorg/sglang" in done.stdout


def test_both_modes_pass_every_check_before_anything_runs(two_gpus: TwoGpus) -> None:
    for mode in two_gpus.definition.config.modes:
        two_gpus.stack.run("doctor", "--mode", mode)


def test_agentic_comes_up_with_each_engine_on_its_own_card(two_gpus: TwoGpus) -> None:
    done = two_gpus.stack.run("up", "--mode", "agentic")

    print(done.stdout)
    check_live(two_gpus, "agentic", heavy="heavy-local", fast="fast-local")


def test_flexibility_takes_the_same_cards_and_gives_them_back(two_gpus: TwoGpus) -> None:
    there = two_gpus.stack.run("switch", "flexibility")
    check_live(two_gpus, "flexibility", heavy="flex-gptoss-120b", fast="flex-qwen36-27b")
    back = two_gpus.stack.run("switch", "agentic")
    check_live(two_gpus, "agentic", heavy="heavy-local", fast="fast-local")

    print(there.stdout, back.stdout)


def test_a_card_that_is_not_there_is_found_while_the_old_mode_serves(two_gpus: TwoGpus) -> None:
    with edited(two_gpus, {FAST: ABSENT}):
        done = two_gpus.stack.run("switch", "flexibility", expect=3)

    assert "nothing was changed: role fast: no card " + ABSENT in done.stderr
    assert f"seen: NVIDIA GeForce RTX 5090, 32607 MiB, with a display ({FAST})" in done.stderr
    assert f"gpu_uuid {FAST}" in done.stderr
    check_live(two_gpus, "agentic", heavy="heavy-local", fast="fast-local")


def test_doctor_proves_with_deep_that_containers_get_their_cards(two_gpus: TwoGpus) -> None:
    found = two_gpus.stack.json("doctor", "--deep")
    said = defaultdict[str, list[tuple[str, str]]](list)
    for each in found["checks"]:
        said[each["id"]].append((each["status"], each["observed"]))

    assert found["ok"]
    assert said["D03"] == [("ok", f"a container gets {uuid}") for uuid in CARDS.values()]
    assert said["D10"][0][0] == said["D16"][0][0] == "ok"
    assert [each for each in said["D62"] if not each[1].endswith("and makes a token")] == []
    # No CUDA is simulated: what an engine could use is not known, and not taken for right.
    assert [each[0] for each in said["D15"]] == ["unknown"]
    assert "libcuda.so.1" in said["D15"][0][1]


def test_an_engine_that_dies_is_said_with_its_cause_and_the_old_mode_comes_back(
    two_gpus: TwoGpus,
) -> None:
    tier = 'id = "flex-qwen36-27b"\n'
    words = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
    with edited(two_gpus, {tier: f'{tier}env = {{{LAST_WORDS} = "{words}"}}\n'}):
        done = two_gpus.stack.run("switch", "flexibility", expect=1)

    print(done.stderr)
    # Docker may have started it again by the time that it is looked at, and forgotten its status.
    ends = ("exit status 1", "ended, and started again by Docker")
    known = f"the card has too little free memory ({words}) [D16]; "
    assert any(known + each in done.stderr for each in ends)
    assert "next: anvil-ctl doctor --only D16, then lower vram_mib" in done.stderr
    check_live(two_gpus, "agentic", heavy="heavy-local", fast="fast-local")


def test_a_card_that_gives_its_memory_back_slowly_is_waited_for(two_gpus: TwoGpus) -> None:
    released: list[str] = []

    with two_gpus.machine.holding() as held:

        def down() -> None:
            held(HEAVY, 90_000)
            threading.Timer(4, free).start()

        def free() -> None:
            held(HEAVY, 4)
            released.append(HEAVY)

        done = run(two_gpus.stack, "switch", "flexibility", meddle=at("down", "working", down))

    assert done.code == 0, done.words
    assert released
    assert done.phases["free"] > 1
    assert "role heavy: 90000 of 97887 MiB are in use" in done.said
    check_live(two_gpus, "flexibility", heavy="flex-gptoss-120b", fast="flex-qwen36-27b")


def test_an_engine_of_docker_that_is_restarted_costs_a_switch_and_nothing_else(
    two_gpus: TwoGpus,
) -> None:
    restart = at("up", "done", two_gpus.machine.restart)

    done = run(two_gpus.stack, "switch", "agentic", meddle=restart)

    # Whichever of the two is live then, it is so as a whole, and the other has no container.
    print(done.words)
    assert done.code in {0, 1}
    mode = "agentic" if done.code == 0 else "flexibility"
    assert settled(two_gpus.stack, mode, within_s=60)
    if done.code:
        two_gpus.stack.run("switch", "agentic")
    check_live(two_gpus, "agentic", heavy="heavy-local", fast="fast-local")


def test_two_engines_take_turns_on_one_card(two_gpus: TwoGpus) -> None:
    vllm, gguf = "flex-qwen36-27b", "flex-qwen36-gguf"
    swapping = {
        f'id = "{gguf}"\nenabled = false': f'id = "{gguf}"\nenabled = true',
        f'id = "{vllm}"\n': f'id = "{vllm}"\nswap = true\n',
    }
    with edited(two_gpus, swapping):
        # What the guard lets through has changed, and a switch keeps the control project.
        two_gpus.stack.run("up", "--mode", "agentic")
        two_gpus.stack.run("switch", "flexibility")
        for tier in (gguf, vllm):
            answer = two_gpus.stack.json("ask", "Which card are you on?", "--model", tier)
            found = two_gpus.stack.json("status")["tiers"]
            assert (answer["tier"], answer["text"].split()[-1]) == (tier, FAST)
            assert cards(two_gpus, "flexibility", tier) == {FAST}
            resident = [each["id"] for each in found if each["resident"]]
            assert resident == ["flex-gptoss-120b", tier]


def test_the_machines_own_engine_sees_nothing_of_it(two_gpus: TwoGpus) -> None:
    assert containers(two_gpus.stack.project) == []


def check_live(two_gpus: TwoGpus, mode: Mode, heavy: str, fast: str) -> None:
    """Every tier is ready on its role's card alone, and the heavy one answers the router."""
    found = two_gpus.stack.json("status")
    assert (found["mode"], found["healthy"]) == (mode, True)
    assert [(each["id"], each["state"]) for each in found["tiers"]] == [
        (heavy, "ready"),
        (fast, "ready"),
    ]
    held = {tier.role: cards(two_gpus, mode, tier.id) for tier in tiers(two_gpus, mode)}
    assert held == {role: {uuid} for role, uuid in CARDS.items()}
    answer = two_gpus.stack.json("ask", "Which card are you on?")
    assert answer["tier"] == heavy
    assert answer["mode"] == mode
    assert answer["text"].endswith(f" on {HEAVY}")
    assert two_gpus.stack.json("ask", "And you?", "--model", fast)["text"].endswith(f" on {FAST}")


@contextlib.contextmanager
def edited(two_gpus: TwoGpus, words: Mapping[str, str]) -> Iterator[None]:
    """anvil.toml with these words in the place of others, put back afterwards."""
    path = two_gpus.stack.home / "anvil.toml"
    before = text = path.read_text(encoding="utf-8")
    for old, new in words.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(before, encoding="utf-8")


def tiers(two_gpus: TwoGpus, mode: Mode) -> list[Tier]:
    return two_gpus.definition.config.modes[mode].enabled


def cards(two_gpus: TwoGpus, mode: Mode, tier: str) -> set[str]:
    """Every card that a container is given, by the engine's word and by its first process's."""
    name = f"{two_gpus.definition.config.project_of(mode)}-{tier}-1"
    inspected = json.loads(two_gpus.machine.docker("inspect", name))[0]
    requests = inspected["HostConfig"]["DeviceRequests"]
    assert [each["Driver"] for each in requests] == ["nvidia"]
    said = [uuid for each in requests for uuid in each["DeviceIDs"]]
    inside = two_gpus.machine.docker("exec", name, "cat", "/proc/1/environ").split("\0")
    own = dict(line.partition("=")[::2] for line in inside if line)
    configured = dict(line.partition("=")[::2] for line in inspected["Config"]["Env"])
    named = [own["NVIDIA_VISIBLE_DEVICES"], own["CUDA_VISIBLE_DEVICES"]]
    return {*said, *named, configured["CUDA_VISIBLE_DEVICES"]}


@pytest.mark.parametrize(
    ("gpu", "arguments", "status", "words"),
    [
        (HEAVY, ["serve", "/etc", "--swap-space", "4"], 2, "unrecognized arguments: --swap-space"),
        (HEAVY, ["serve", "/models/absent"], 1, "/models/absent is not a local folder"),
        (None, ["serve", "/etc"], 1, "No CUDA GPUs are available"),
        (ABSENT, ["serve", "/etc"], 125, "unknown device"),
    ],
)
def test_an_engine_double_refuses_what_the_engine_would(
    two_gpus: TwoGpus, gpu: str | None, arguments: list[str], status: int, words: str
) -> None:
    image = two_gpus.definition.needed_images()["vllm-cuda"]
    card = ["--gpus", f"device={gpu}", "--env", f"CUDA_VISIBLE_DEVICES={gpu}"] if gpu else []

    with pytest.raises(AssertionError) as refused:
        two_gpus.machine.docker("run", "--rm", *card, "--entrypoint", "vllm", image, *arguments)

    assert words in str(refused.value)
    assert re.search(rf": {status}\n", str(refused.value))
