"""Definitions that tests start from, and a Renderer for them with fixed image tags."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from anvil_ctl import config, engines, rulebook
from anvil_ctl.config import Config
from anvil_ctl.config.model import Platform
from anvil_ctl.init import Choices, Gpu, Proposal, Texts, read_sites, render_site
from anvil_ctl.paths import bundle
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


def site_text(site: str, gpus: Mapping[str, Gpu], platform: Platform = "linux") -> str:
    """The definition that `init` writes for a site on a machine with these cards."""
    found = read_sites(bundle() / "templates")[site]
    proposed = Proposal(found, "", gpus, platform, None, plan_only=False)
    return whole(render_site(proposed, Choices(), "gguf/starter.gguf"))


def whole(texts: Texts) -> str:
    """A definition in one text, where modes have files of their own."""
    text = texts.main
    for name, own in texts.modes.items():
        section = f"modes.{name.removesuffix('.toml')}"
        reference = f'[{section}]\nfile = "{name}"\n'
        assert text.count(reference) == 1
        nested = own.replace("\n[presets]", f"\n[{section}.presets]")
        nested = nested.replace("\n[[tiers]]", f"\n[[{section}.tiers]]")
        text = text.replace(reference, f"[{section}]\n{nested}")
    return text


def cpu_text() -> str:
    return site_text("cpu", {})


def two_cards() -> dict[str, Gpu]:
    """Those of the reference machine, under other names."""
    return {"heavy": Gpu(HEAVY, 97887, "12.0", False), "fast": Gpu(FAST, 32607, "12.0", True)}


def fakoli_dark_text(platform: Platform = "wsl2") -> str:
    return site_text("fakoli-dark", two_cards(), platform)


def single_gpu_text() -> str:
    return site_text("single-gpu", {"gpu": Gpu(HEAVY, 32607, "12.0")})


def two_gpus_text() -> str:
    return site_text(
        "two-gpus", {"heavy": Gpu(HEAVY, 49140, "8.9"), "fast": Gpu(FAST, 24564, "8.9")}
    )


def texts() -> dict[str, str]:
    """Every site, as the golden files name it."""
    return {
        "cpu": cpu_text(),
        "fakoli-dark-wsl2": fakoli_dark_text("wsl2"),
        "fakoli-dark-linux": fakoli_dark_text("linux"),
        "single-gpu": single_gpu_text(),
        "two-gpus": two_gpus_text(),
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
