"""Definitions that tests start from, and a Renderer for them with fixed image tags."""

from __future__ import annotations

from pathlib import Path

from anvil_ctl import config, engines
from anvil_ctl.config import Config
from anvil_ctl.paths import bundle
from anvil_ctl.renderer import Renderer, environment
from anvil_ctl.site import templates

IMAGES = {
    "control": "anvil/control:test",
    "guard": "anvil/guard:test",
    "llamacpp-cpu": "anvil/llamacpp-cpu:test",
}


def cpu_text() -> str:
    """The definition that `init` writes for the site `cpu`."""
    template = bundle() / "templates" / "sites" / "cpu.toml.j2"
    return (
        environment()
        .from_string(template.read_text(encoding="utf-8"))
        .render(
            project="anvil",
            port=8000,
            engine_port=30000,
            models_volume="fakoli-models",
            starter="gguf/starter.gguf",
        )
    )


def cpu() -> Config:
    return parse(cpu_text())


def parse(text: str) -> Config:
    return config.parse(text, Path("anvil.toml"))


def renderer(definition: Config) -> Renderer:
    data = bundle()
    known = engines.load_all(data / "engines")
    return Renderer(definition, known, IMAGES, templates(data))
