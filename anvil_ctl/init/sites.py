"""The sites that a definition can start from: one folder each in templates/sites/."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anvil_ctl.config import nearest
from anvil_ctl.config.model import Platform
from anvil_ctl.errors import ConfigError, UsageError
from anvil_ctl.init.choices import Gpu

_MACHINE = "machine.toml.j2"
_MAIN = "anvil.toml.j2"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Need(_Table):
    """What a role's models want of a card: MiB beside the reserve, and the oldest architecture."""

    budget_mib: int = Field(gt=0)
    compute_capability: str = Field(pattern=r"^\d{1,2}\.\d$")


class ReferenceCard(_Table):
    """A card of the machine that a site is named after."""

    name: str
    uuid: str
    memory_mib: int = Field(gt=0)
    compute_capability: str
    display: bool

    def as_gpu(self) -> Gpu:
        return Gpu(**self.model_dump())


class Reference(_Table):
    """The machine that a site is named after: inventory, and nobody else's default."""

    platform: Platform
    ram_mib: int = Field(gt=0)
    cards: dict[str, ReferenceCard]


class SiteFacts(_Table):
    """site.toml. Roles stand in the order in which they get cards, the largest card first."""

    description: str
    roles: dict[str, Need] = {}
    reference: Reference | None = None


class SiteTemplate(_Table):
    """A site: what `init` has to know of it, and the templates that it is written from."""

    name: str
    facts: SiteFacts
    text: str
    machine: str
    # Modes that have a file of their own, by that file's name.
    modes: dict[str, str] = {}

    @property
    def roles(self) -> Mapping[str, Need]:
        return self.facts.roles

    @property
    def reference(self) -> Reference | None:
        return self.facts.reference


def read_sites(templates: Path) -> dict[str, SiteTemplate]:
    """Every site by its name; ConfigError names a site.toml that is wrong."""
    folder = templates / "sites"
    machine = (folder / _MACHINE).read_text(encoding="utf-8")
    found: dict[str, SiteTemplate] = {}
    for path in sorted(folder.glob("*/site.toml")):
        try:
            facts = SiteFacts.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, ValidationError) as error:
            raise ConfigError(f"{path}: {error}") from error
        texts = {each.name: each.read_text(encoding="utf-8") for each in path.parent.glob("*.j2")}
        found[path.parent.name] = SiteTemplate(
            name=path.parent.name,
            facts=facts,
            text=texts.pop(_MAIN),
            machine=machine,
            modes={name.removesuffix(".j2"): text for name, text in sorted(texts.items())},
        )
    return found


def site_named(sites: Mapping[str, SiteTemplate], name: str) -> SiteTemplate:
    """The site of that name; UsageError lists those there are."""
    if name in sites:
        return sites[name]
    known = ", ".join(sites)
    raise UsageError(
        f"--site: {name!r} is not a site{nearest.advice(name, sites)}; sites: {known}",
        hint="anvil-ctl init    picks one by this machine's cards",
    )
