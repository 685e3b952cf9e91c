"""The reference machine, simulated: two GPUs, the site fakoli-dark, engine doubles."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from anvil_ctl import images, site
from anvil_ctl.config import Tier
from anvil_ctl.docker import Docker
from anvil_ctl.events import silent
from anvil_ctl.hardware import Card
from anvil_ctl.history import History
from anvil_ctl.paths import PACKAGE, Home, bundle
from anvil_ctl.weights.manifest import Kept, Manifest, location
from tests.e2e.stack import Stack, new_stack
from tests.gpu.machine import Machine, MachineError, machine

HEAVY = "GPU-5f4c763a-0000-4000-8000-00000000000a"
FAST = "GPU-5f4c763a-0000-4000-8000-00000000000b"
# The smaller one is first, and has the desktop.
CARDS = (
    Card(0, FAST, "NVIDIA GeForce RTX 5090", 32607, 1900, "12.0", display=True, driver="580.95"),
    Card(1, HEAVY, "NVIDIA RTX PRO 6000", 97887, 4, "12.0", display=False, driver="580.95"),
)
SMI = """#!/bin/sh
echo "GPU 0: simulated (UUID: $NVIDIA_VISIBLE_DEVICES)"
"""
DOUBLE = Path(__file__).with_name("double.py")
# What the program imports, laid where Python finds it under the same name.
ENGINE = Path(__file__).parents[1] / "double"
# Where each engine's image has its program.
PROGRAMS = ("/usr/local/bin/sglang", "/usr/local/bin/vllm", "/app/llama-server")


@dataclass(frozen=True, slots=True)
class TwoGpus:
    """The installation and the machine that it is on."""

    machine: Machine
    stack: Stack
    definition: site.Site


@pytest.fixture(scope="session")
def two_gpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoGpus]:
    """The site is initialised, its images and weights are there, and nothing runs yet."""
    folder = tmp_path_factory.mktemp("two-gpus")
    try:
        with machine(CARDS) as found:
            control = _control_images(folder)
            found.load([images.BASE, *control.values()])
            stack = replace(new_stack(folder), enter=found.enter, extra=found.environ)
            stack.run(
                "init",
                *("--project", stack.project),
                *("--port", str(stack.port)),
                *("--engine-port", str(stack.engine_port)),
                *("--volume", stack.volume),
            )
            definition = site.load(Home(stack.home))
            _double(found, folder / "double", control["control"], definition)
            _weights(found, stack.volume, definition)
            yield TwoGpus(found, stack, definition)
    except MachineError as error:
        pytest.fail(
            f"the machine with two GPUs cannot be simulated here: {error}\n"
            "to leave these tests out, say so: make test TWO_GPUS=no",
            pytrace=False,
        )


def _control_images(folder: Path) -> Mapping[str, str]:
    """Our own images, built by the machine's own engine unless they are there."""
    catalog, history = images.catalog(bundle(), PACKAGE), History(folder / "durations.json")
    return {
        name: images.build(Docker(), catalog[name], silent, history)
        for name in ("control", "guard")
    }


def _double(found: Machine, context: Path, python: str, definition: site.Site) -> None:
    """Every engine's image on that machine is the double, with Python from the control image."""
    context.mkdir()
    shutil.copyfile(DOUBLE, context / "double.py")
    (context / "double.py").chmod(0o755)
    shutil.copytree(ENGINE, context / "tests" / "double", ignore=shutil.ignore_patterns("*.pyc"))
    for flags in (bundle() / "engines").glob("*/flags.txt"):
        (context / "engines" / flags.parent.name).mkdir(parents=True)
        shutil.copyfile(flags, context / "engines" / flags.parent.name / "flags.txt")
    copies = "".join(f"COPY double.py {program}\n" for program in PROGRAMS)
    finds = "ENV PYTHONPATH=/opt/double\nCOPY tests /opt/double/tests/\n"
    # What NVIDIA's runtime puts into a container, as far as it is asked for here.
    (context / "nvidia-smi").write_text(SMI, encoding="utf-8")
    (context / "nvidia-smi").chmod(0o755)
    copies += "COPY nvidia-smi /usr/bin/\n"
    text = f"FROM {python}\nUSER 0:0\nCOPY engines /engines/\n{finds}{copies}"
    (context / "Dockerfile").write_text(text, encoding="utf-8")
    tags = sorted({definition.renderer.image(tier) for tier in _tiers(definition)})
    found.docker("build", "--quiet", *(f"--tag={tag}" for tag in tags), str(context))


def _weights(found: Machine, volume: str, definition: site.Site) -> None:
    """Something where the checks and the engines look for each model, and its manifest."""
    text = "{}\n"
    made = {}
    for path in {tier.weights for tier in _tiers(definition)}:
        one = path.endswith(".gguf")
        name = Path(path).name if one else "model.safetensors"
        made[path if one else f"{path}/{name}"] = text
        kept = Kept(name, len(text), hashlib.sha256(text.encode()).hexdigest())
        known = Manifest(path, "the test", "1", (kept,))
        made[location(path)] = json.dumps(known.as_dict())
    mounted = ("--rm", "--network", "none", "--volume", f"{volume}:/store")
    write = 'while [ $# -gt 0 ]; do mkdir -p "${1%/*}" && printf %s "$2" > "$1"; shift 2; done'
    said = [word for path, each in made.items() for word in (f"/store/{path}", each)]
    found.docker("volume", "create", volume)
    found.docker("run", *mounted, images.BASE, "sh", "-c", write, "sh", *said)


def _tiers(definition: site.Site) -> list[Tier]:
    """Every tier of the site: those that are off can be turned on."""
    return [tier for mode in definition.config.modes.values() for tier in mode.tiers]
