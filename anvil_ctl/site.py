"""What is known of this installation before Docker is asked: definition, secrets, renderer."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from anvil_ctl import clouds, config, engines, imagelock, images, rulebook
from anvil_ctl.config.model import Config, Mode
from anvil_ctl.docker import Socket
from anvil_ctl.errors import ConfigError
from anvil_ctl.history import History, write_atomically
from anvil_ctl.paths import PACKAGE, Home, bundle
from anvil_ctl.renderer import ControlFiles, ModeFiles, Renderer
from anvil_ctl.store.remembered import Remembered
from anvil_ctl.upstream.endpoint import fits_header

CONTROL_IMAGES = ("control", "guard")
# What works on the weights: nothing runs in it but what `pull` and `models` start.
STORE_IMAGE = "store"
ADMIN_TOKEN = "ANVIL_ADMIN_TOKEN"  # noqa: S105 - the name, never the value


@dataclass(frozen=True, slots=True)
class Site:
    """One definition with what is needed to act on it."""

    home: Home
    config: Config
    secrets: Mapping[str, str]
    renderer: Renderer
    catalog: Mapping[str, images.Image]

    @property
    def project(self) -> str:
        return self.config.machine.project

    @property
    def control_folder(self) -> Path:
        """Where the files lie that the control containers mount."""
        return self.home.rendered / self.project

    @property
    def control_env(self) -> Path:
        return self.control_folder / "control.env"

    @property
    def control_keys(self) -> Path:
        """What is laid over the control project's Compose file, where clouds have keys."""
        return self.control_folder / "keys.yaml"

    @property
    def history(self) -> History:
        return History(self.home.journal / "durations.json")

    def compose_file(self, mode: Mode) -> Path:
        return self.home.rendered / self.config.project_of(mode) / "compose.yaml"

    def token(self, name: str) -> str:
        """The value of a secret by its variable's name; ConfigError where there is none."""
        value = self.secrets.get(name, "").strip()
        if not value:
            raise ConfigError(
                f"{self.home.secrets}: {name} is not set", hint="anvil-ctl init --tokens"
            )
        return value

    def router_token(self) -> str:
        """What clients of the router present."""
        return self.token(self.config.router.token_env)

    def url(self, port: int) -> str:
        return f"http://127.0.0.1:{port}"

    def needed_images(self) -> dict[str, str]:
        """The images of all modes and of the control project: short name -> reference."""
        tiers = [tier for mode in self.config.modes.values() for tier in mode.enabled]
        ours = {name: self.renderer.images[name] for name in CONTROL_IMAGES}
        return ours | {f"{tier.engine}-{tier.image}": self.renderer.image(tier) for tier in tiers}

    def images_of(self, mode: Mode) -> list[str]:
        """The references that one mode and the control project run, each once."""
        tiers = [self.renderer.image(tier) for tier in self.config.modes[mode].enabled]
        return sorted({*tiers, *(self.renderer.images[name] for name in CONTROL_IMAGES)})

    def all_images(self) -> dict[str, str]:
        """The images of the control project and of every engine: short name -> reference."""
        found = {name: self.renderer.images[name] for name in (*CONTROL_IMAGES, STORE_IMAGE)}
        for engine in self.renderer.engines.values():
            for variant, image in engine.file.images.items():
                name = f"{engine.file.name}-{variant}"
                reference = self.renderer.reference(name, image)
                if reference:
                    found[name] = reference
        return found

    def published(self) -> dict[str, str]:
        """Every engine's published images: short name -> reference, as its folder has it."""
        return {
            f"{engine.file.name}-{variant}": image.official
            for engine in self.renderer.engines.values()
            for variant, image in engine.file.images.items()
            if image.official
        }

    def control(self, socket: Socket) -> ControlFiles:
        """The control project's files for the engine behind `socket`."""
        secrets = json.dumps(sorted(self.secrets.items()))
        folder, ca = str(self.control_folder), self.authorities()
        return self.renderer.control(folder, socket.path, socket.gid, secrets, ca)

    def authorities(self) -> str | None:
        """The certificates of `router.ca_file`; ConfigError where they are not there."""
        named = self.config.router.ca_file
        if named is None:
            return None
        path = self.home.config.parent / Path(named).expanduser()
        try:
            text = path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            cause = error.strerror if isinstance(error, OSError) else "it is not PEM"
            raise ConfigError(
                f"router.ca_file: {path} cannot be read: {cause}",
                hint="name a PEM file with certificates of authorities, beside anvil.toml",
            ) from error
        return clouds.authorities(text, str(path))

    def keyless(self) -> dict[str, str]:
        """The clouds without a key that can be used, and what is wrong with it, in words."""
        where = self.home.secrets
        found: dict[str, str] = {}
        for each in self.config.clouds:
            key = self.secrets.get(each.key_env, "").strip()
            if not key:
                found[each.id] = f"{each.key_env} is not set in {where}"
            elif not fits_header(key):
                found[each.id] = f"{each.key_env} in {where} has characters that no header can have"
        return found

    def write_compose(self, files: ModeFiles) -> None:
        """Write a mode's Compose file. The router's and the multiplexer's go with `install`."""
        write_atomically(self.compose_file(files.mode), files.compose)

    def install(self, files: ModeFiles, control: ControlFiles) -> None:
        """Put everything that the control project reads where it reads it."""
        folder = self.control_folder
        write_atomically(folder / "control" / "router.toml", files.router)
        write_atomically(folder / "control" / "registry.json", files.registry)
        write_atomically(folder / "guard" / "containers.lst", control.guard_list)
        write_atomically(self.control_env, control.env)
        _write_or_remove(self.control_keys, control.keys)
        _write_or_remove(folder / "control" / Path(clouds.CA_INSIDE).name, control.ca)


def load(home: Home, environ: Mapping[str, str] = os.environ, *, guarded: bool = True) -> Site:
    """Read the installation; ConfigError names the file and the key that is wrong.

    Secrets that others may read are refused; `guarded=False` is for who says so by itself.
    """
    data = bundle()
    definition = config.load(home.config, environ)
    catalog = images.catalog(data, PACKAGE)
    renderer = Renderer(
        config=definition,
        engines=engines.load_all(data / "engines"),
        images={name: image.tag for name, image in catalog.items()},
        templates=templates(data),
        rulebook=rulebook.load(data / "engines"),
        digests=imagelock.read(home.image_lock).digests,
        facts=Remembered(home.models).facts(),
    )
    secrets = {
        **_secrets(home.secrets, guarded),
        **{k: v for k, v in environ.items() if k in _NAMES},
    }
    return Site(home, definition, secrets, renderer, catalog)


def templates(data: Path) -> dict[str, str]:
    """The texts that files are rendered from, by name."""
    files = [*(data / "templates").glob("*.j2"), data / "compose" / "control.yaml"]
    return {each.name: each.read_text(encoding="utf-8") for each in files}


def _write_or_remove(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink(missing_ok=True)
    else:
        write_atomically(path, text)


_NAMES = frozenset({ADMIN_TOKEN, "ANVIL_ROUTER_TOKEN"})


def _secrets(path: Path, guarded: bool) -> dict[str, str]:
    if not path.is_file():
        return {}
    mode = stat.S_IMODE(path.stat().st_mode)
    if guarded and mode & 0o077:
        raise ConfigError(
            f"{path} holds secrets and others may read it (mode {mode:04o})",
            hint=f"chmod 600 {path}",
        )
    return {name: value or "" for name, value in dotenv_values(path, interpolate=False).items()}
