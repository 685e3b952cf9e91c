"""What `init` is asked for, and what a site's template is filled in with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast, get_args

from anvil_ctl.config.model import Platform
from anvil_ctl.errors import UsageError

GPU_QUERY = (
    "nvidia-smi --query-gpu=name,uuid,memory.total,compute_cap --format=csv,noheader,nounits"
)
# MiB that no model may plan with. A desktop draws into the card as it likes; beside the reserve of
# the reference machine's, 345 MiB were once left of 1887.
_DESKTOP_RESERVE = 4608
_PLAIN_RESERVE = 2048


@dataclass(frozen=True, slots=True)
class Gpu:
    """A card for a role; memory in MiB. None where nobody said."""

    uuid: str
    memory_mib: int | None = None
    compute_capability: str | None = None
    display: bool | None = None
    name: str = ""

    @property
    def reserve_mib(self) -> int:
        """MiB to keep free; a card of which nobody said better may have a desktop on it."""
        return _PLAIN_RESERVE if self.display is False else _DESKTOP_RESERVE

    @property
    def budget_mib(self) -> int:
        """MiB that models may have, beside the reserve."""
        return max((self.memory_mib or 0) - self.reserve_mib, 0)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user said, which wins over whatever is found out. None where nothing was said."""

    site: str | None = None
    platform: Platform | None = None
    gpus: Mapping[str, Gpu] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choices:
    """What a site template is filled in with, beside what the machine has."""

    project: str = "anvil"
    port: int = 8000
    engine_port: int = 30000
    models_volume: str = "fakoli-models"


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
        memory, capability = int(said[1]) if said[1:] else None, "".join(said[2:]) or None
        found[name] = Gpu(said[0], memory, capability)
    return found


def parse_platform(option: str | None) -> Platform | None:
    """`--platform` as a platform; UsageError for any other word."""
    for each in get_args(Platform):
        if option == each:
            return cast("Platform", each)
    if option is not None:
        known = ", ".join(get_args(Platform))
        raise UsageError(f"--platform: {option!r} is not a platform; platforms: {known}")
    return None
