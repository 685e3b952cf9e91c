"""Definitions that tests start from, and a Renderer for them with fixed image tags."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from anvil_ctl import config, engines, rulebook
from anvil_ctl.config import Config
from anvil_ctl.config.model import Platform
from anvil_ctl.init import Choices, Gpu, write_definition
from anvil_ctl.paths import Home, bundle
from anvil_ctl.renderer import Renderer
from anvil_ctl.site import templates

IMAGES = {
    "control": "anvil/control:test",
    "guard": "anvil/guard:test",
    "llamacpp-cpu": "anvil/llamacpp-cpu:test",
    "ktransformers-cuda": "anvil/ktransformers-cuda:test",
    "ds4-cuda": "anvil/ds4-cuda:test",
}
HEAVY = "GPU-00000000-0000-4000-8000-00000000000a"
FAST = "GPU-00000000-0000-4000-8000-00000000000b"


def site_text(site: str, chosen: Choices) -> str:
    """The definition that `init` writes for a site."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        write_definition(home, bundle() / "templates", site, "gguf/starter.gguf", chosen)
        return home.config.read_text(encoding="utf-8")


def cpu_text() -> str:
    return site_text("cpu", Choices())


def fakoli_dark_text(platform: Platform = "wsl2") -> str:
    gpus = {"heavy": Gpu(HEAVY), "fast": Gpu(FAST)}
    return site_text("fakoli-dark", Choices(platform=platform, gpus=gpus))


def single_gpu_text() -> str:
    gpus = {"gpu": Gpu(HEAVY, 32607, "12.0")}
    return site_text("single-gpu", Choices(platform="linux", gpus=gpus))


def texts() -> dict[str, str]:
    """Every site, as the golden files name it."""
    return {
        "cpu": cpu_text(),
        "fakoli-dark-wsl2": fakoli_dark_text("wsl2"),
        "fakoli-dark-linux": fakoli_dark_text("linux"),
        "single-gpu": single_gpu_text(),
    }


def cpu() -> Config:
    return parse(cpu_text())


def parse(text: str) -> Config:
    return config.parse(text, Path("anvil.toml"))


def renderer(definition: Config) -> Renderer:
    data = bundle()
    known = engines.load_all(data / "engines")
    return Renderer(definition, known, IMAGES, templates(data), rulebook.load(data / "engines"))


def recorded(name: str, text: str) -> None:
    """Compare with golden/NAME.txt; UPDATE_GOLDEN=1 writes it anew."""
    path = Path(__file__).parent / "golden" / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")

    assert text == path.read_text(encoding="utf-8")
