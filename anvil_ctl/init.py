"""`anvil-ctl init`: writes a definition from a site template, and the tokens beside it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, get_args

from dotenv import dotenv_values

from anvil_ctl import config
from anvil_ctl.config.model import Platform
from anvil_ctl.errors import UsageError
from anvil_ctl.history import write_atomically
from anvil_ctl.paths import Home
from anvil_ctl.templating import environment

TOKENS = ("ANVIL_ROUTER_TOKEN", "ANVIL_ADMIN_TOKEN")


GPU_QUERY = (
    "nvidia-smi --query-gpu=name,uuid,memory.total,compute_cap --format=csv,noheader,nounits"
)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A card as nvidia-smi describes it; memory in MiB. None where nobody said."""

    uuid: str
    memory_mib: int | None = None
    compute_capability: str | None = None


@dataclass(frozen=True, slots=True)
class Choices:
    """What a site template is filled in with. A site for GPUs has no platform of its own."""

    project: str = "anvil"
    port: int = 8000
    engine_port: int = 30000
    models_volume: str = "fakoli-models"
    platform: Platform | None = None
    gpus: Mapping[str, Gpu] = field(default_factory=dict)


def parse_gpus(options: Sequence[str]) -> dict[str, Gpu]:
    """`NAME=UUID[,MIB[,CAPABILITY]]` as cards by name; UsageError shows the form."""
    found: dict[str, Gpu] = {}
    for option in options:
        name, _equals, rest = option.partition("=")
        said = [each.strip() for each in rest.split(",")]
        good = name and re.fullmatch(r"GPU-[0-9a-fA-F-]{36}", said[0]) and len(said) <= 3
        if not good or name in found or (said[1:] and not said[1].isdigit()):
            raise UsageError(
                f"--gpu: {option!r} is not NAME=UUID[,MIB[,CAPABILITY]] with a name of its own",
                hint=GPU_QUERY,
            )
        found[name] = Gpu(said[0], int(said[1]) if said[1:] else None, *said[2:])
    return found


def write_definition(home: Home, templates: Path, site: str, starter: str, chosen: Choices) -> bool:
    """Write anvil.toml from the site template, unless there is one; whether it was written.

    UsageError if there is no such site; ConfigError if the choices do not make a valid definition.
    """
    if home.config.exists():
        return False
    template = templates / "sites" / f"{site}.toml.j2"
    if not template.is_file():
        known = ", ".join(sorted(each.name.split(".")[0] for each in template.parent.glob("*.j2")))
        raise UsageError(f"--site: {site!r} is not a site; sites: {known}")
    source = template.read_text(encoding="utf-8")
    _demand(site, source, chosen)
    text = (
        environment()
        .from_string(source)
        .render(
            project=chosen.project,
            port=chosen.port,
            engine_port=chosen.engine_port,
            models_volume=chosen.models_volume,
            platform=chosen.platform,
            gpus=chosen.gpus,
            starter=starter,
        )
    )
    config.parse(text + "\n", home.config)
    make_home(home)
    write_atomically(home.config, text + "\n")
    return True


def parse_platform(option: str | None) -> Platform | None:
    """`--platform` as a platform; UsageError for any other word."""
    for each in get_args(Platform):
        if option == each:
            return cast("Platform", each)
    if option is not None:
        known = ", ".join(get_args(Platform))
        raise UsageError(f"--platform: {option!r} is not a platform; platforms: {known}")
    return None


def _demand(site: str, source: str, chosen: Choices) -> None:
    """See that all is said that the template uses; UsageError names the option to add."""
    used = dict[str, set[str]]()
    for name, attribute in re.findall(r"\bgpus\.(\w+)\.(\w+)", source):
        used.setdefault(name, set()).add(attribute)
    if strange := chosen.gpus.keys() - used.keys():
        known = ", ".join(sorted(used)) or "none"
        raise UsageError(f"--gpu: site {site!r} has no GPU {min(strange)!r}; it has: {known}")
    for name in sorted(used):
        card = chosen.gpus.get(name)
        if card is None or any(getattr(card, each) is None for each in used[name]):
            form = "UUID" if used[name] == {"uuid"} else "UUID,MIB,CAPABILITY"
            raise UsageError(f"site {site!r} needs --gpu {name}={form}", hint=GPU_QUERY)
    if re.search(r"\{\{\s*platform\b", source) and chosen.platform is None:
        raise UsageError(
            f"site {site!r} needs --platform linux or --platform wsl2: what it will run on",
            hint="uname -r    names microsoft under WSL2",
        )


def write_tokens(home: Home, *, renew: bool) -> bool:
    """See that every token is in .env, mode 0600; with `renew` all are made anew.

    Whether anything was written. Other variables in the file are kept.
    """
    known = dotenv_values(home.secrets, interpolate=False) if home.secrets.is_file() else {}
    missing = [name for name in TOKENS if renew or not known.get(name)]
    if not missing:
        return False
    values = known | {name: secrets.token_urlsafe(32) for name in missing}
    make_home(home)
    text = "".join(f"{name}='{value or ''}'\n" for name, value in values.items())
    write_atomically(home.secrets, "# Secrets of this installation.\n" + text, mode=0o600)
    return True


def make_home(home: Home) -> None:
    """The user's folder holds secrets: it is theirs alone."""
    home.root.mkdir(parents=True, exist_ok=True)
    home.root.chmod(0o700)
