"""An engine that nobody has: a folder, and no Python, from its file to `images ls`."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from anvil_ctl import engines, images, rulebook
from anvil_ctl.errors import ConfigError
from anvil_ctl.inventory import Origin, resolve, rows
from anvil_ctl.paths import PACKAGE, Home, bundle
from anvil_ctl.renderer import Renderer
from anvil_ctl.site import Site, templates
from tests.unit.definitions import IMAGES, fakoli_dark_text, parse, recorded

ENGINE = """
name = "sixth"
version = "1.0"
dialects = ["openai"]
port = 9000
health_path = "/health"
models_path = "/v1/models"
stop_grace_s = 7
healthcheck = ["CMD", "true"]
args = [
    ["--model", "{{ model_path }}"],
    ["--share", "{{ memory_fraction }}"],
    ["--draft", "{{ tier.speculative.num_draft_tokens if tier.speculative else '' }}"],
]

[images.cuda]
official = "example.org/sixth:1.0"
entrypoint = ["/sixth"]
device = "nvidia"
caches = ["/cache", "/kernels"]
shm_size = "1gb"
ipc = "host"
cap_add = ["SYS_NICE"]
ulimits = {memlock = -1}
read_only = false

[images.cuda.environment]
ARCH = "{{ role.compute_capability }}"
PINNED = "{{ '1' if machine.platform == 'wsl2' else '' }}"

[images.cpu]
entrypoint = ["/sixth"]
device = "cpu"
"""
RULES = """
[[rules]]
id = "sixth-1"
verdict = "deny"
when = [{field = "flag.--draft", present = true}]
message = "drafting loops"
why = "It was seen."
remedy = "take speculative out"
source = "sixth issue 1"
review_by = 2027-01-01
"""
DIGEST = "sha256:" + "6" * 64


@dataclass
class World:
    """A bundle with the engine in it, and the definition that uses it for agentic's heavy tier."""

    data: Path
    text: str

    def renderer(self) -> Renderer:
        folder = self.data / "engines"
        known, book = engines.load_all(folder), rulebook.load(folder)
        return Renderer(parse(self.text), known, IMAGES, templates(self.data), book)

    def refused(self, before: str, after: str) -> ConfigError:
        assert before in self.text
        changed = World(self.data, self.text.replace(before, after, 1))
        with pytest.raises(ConfigError) as raised:
            changed.renderer().mode("agentic")
        return raised.value


@pytest.fixture
def world(tmp_path: Path) -> World:
    for part in ("engines", "templates", "compose"):
        shutil.copytree(bundle() / part, tmp_path / part)
    folder = tmp_path / "engines" / "sixth"
    folder.mkdir()
    for name, content in (
        ("engine.toml", ENGINE),
        ("flags.txt", "--model\n--share\n--draft\n"),
        ("rules.toml", RULES),
        ("Dockerfile.cpu", "FROM debian:trixie-slim\n"),
    ):
        (folder / name).write_text(content, encoding="utf-8")
    foreign = r"parsers = .*\n|speculative = .*\n|extra_args = \[[^]]*\]\n|kv_cache_dtype = .*\n"
    heavy, fast = re.split(r"(?=# The founding files had 32768)", fakoli_dark_text("linux"))
    heavy = re.sub(foreign, "", heavy.replace('engine = "sglang"', 'engine = "sixth"'))
    return World(tmp_path, heavy.replace("tool_support = true\n", "") + fast)


def test_it_renders_as_recorded(world: World) -> None:
    files = world.renderer().mode("agentic")

    recorded("sixth-engine", "\n----------\n".join([files.compose, files.router, files.registry]))


def test_a_flag_that_its_list_lacks_is_refused(world: World) -> None:
    error = world.refused("slots = 16\n", 'slots = 16\nextra_args = ["--fast"]\n')

    assert error.message == "tier heavy-local: sixth 1.0 has no flag --fast [rule K25]"


def test_its_own_rule_decides(world: World) -> None:
    drafts = 'slots = 16\nspeculative = {algorithm = "x", num_draft_tokens = 4}\n'
    error = world.refused("slots = 16\n", drafts)

    assert error.message == "tier heavy-local: drafting loops [rule sixth-1]"
    assert error.hint == "take speculative out"


def test_its_memory_is_in_the_ledger(world: World) -> None:
    error = world.refused("vram_mib = 94208", "vram_mib = 97000")

    assert "role heavy: 97000 MiB and a reserve of 2048 are 99048 of 97887" in error.message


def test_its_images_are_listed_locked_and_built_like_any_other(world: World) -> None:
    found, catalog = world.renderer(), images.catalog(world.data, PACKAGE)
    tags = {name: image.tag for name, image in catalog.items()}
    renderer = Renderer(found.config, found.engines, tags, found.templates, found.rulebook)
    site = Site(Home(world.data / "home"), found.config, {}, renderer, catalog)

    class Registry:
        def digest(self, _reference: str) -> str:
            return DIGEST

    listed = {each.name: each for each in rows(site, lambda _reference: None)}

    assert listed["sixth-cuda"].reference == "example.org/sixth:1.0"
    assert listed["sixth-cuda"].used_by == ("agentic/heavy-local",)
    assert (listed["sixth-cpu"].origin, listed["sixth-cpu"].used_by) == (Origin.BUILT, ())
    assert resolve(site, Registry(), every=False)["example.org/sixth:1.0"] == DIGEST
