"""What one look at the machine found: the facts that checks decide from, and nothing else.

A fact that could not be had is an `Unknown` with its reason, so that no failure to look is ever
taken for an absence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum, auto
from typing import TypeVar

from anvil_ctl.capacity import Ledger
from anvil_ctl.config import Mode
from anvil_ctl.docker_look import Seen, VolumeSeen
from anvil_ctl.doctor.derived import NOTHING_DERIVED, Derived
from anvil_ctl.errors import ConfigError
from anvil_ctl.hardware import Cards, Host
from anvil_ctl.service import LABEL
from anvil_ctl.signatures import NO_SIGNATURES, Signatures
from anvil_ctl.site import Site
from anvil_ctl.weights.manifest import Manifest

Known = TypeVar("Known")


class Look(Enum):
    """The parts of a survey that cost something, so that a look can be at fewer of them."""

    COMPOSE = auto()
    CONTAINERS = auto()
    IMAGES = auto()
    VOLUMES = auto()
    CARDS = auto()
    PORTS = auto()
    ENDPOINTS = auto()
    LOGS = auto()
    DEEP = auto()


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why something is not known, and what would help."""

    reason: str
    remedy: str = ""


class CannotTellError(Exception):
    """A check needs a fact that is not known."""

    def __init__(self, unknown: Unknown) -> None:
        super().__init__(unknown.reason)
        self.unknown = unknown


def need(fact: Known | Unknown) -> Known:
    """The fact; CannotTellError where it is not known, which the check's result then says."""
    if isinstance(fact, Unknown):
        raise CannotTellError(fact)
    return fact


SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the place itself, and nothing is made there
NO_DAEMON = Unknown("the Docker daemon does not answer (see D01)")
NOT_LOOKED = Unknown("not looked at")
NOT_DEEP = Unknown("only looked at with --deep", "anvil-ctl doctor --deep")


@dataclass(frozen=True, slots=True)
class Daemon:
    """The Docker engine. Sizes are bytes; `skew_s` is its clock less this one's."""

    version: str
    runtimes: frozenset[str] = frozenset()
    cdi: bool = False
    memory: int = 0
    root: str = ""
    root_free: int | None = None
    skew_s: float = 0.0


@dataclass(frozen=True, slots=True)
class JournalSeen:
    """What commands left behind: one that was cut off, the mode that the last one left live, and
    who holds the lock now."""

    interrupted: str | None = None
    recorded: Mode | None = None
    lock_holder: str | None = None


NO_JOURNAL = JournalSeen()


@dataclass(frozen=True, slots=True)
class HomeSeen:
    """The user's files. `secrets_mode` are permission bits, None where there is no such file.

    `installed` are rendered files by name, None for one that is absent.
    """

    definition: str
    secrets: str
    secrets_mode: int | None = None
    installed: Mapping[str, str | None] = field(default_factory=dict)
    journal: JournalSeen = NO_JOURNAL
    # Bytes that the folder's disk has left; None where that is not known.
    free: int | None = None


@dataclass(frozen=True, slots=True)
class Station:
    """This host. Sizes are bytes; `shared_memory` are files of /dev/shm by name."""

    hardware: Host
    today: date
    page_cache: int | None = None
    encoding: str = "utf-8"
    version: str = ""
    installed_version: str = ""
    package: str = ""
    temporary: bool = False
    shared_memory: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelSeen:
    """A model's files in the volume: bytes in all, kinds by suffix, links to nowhere.

    `files` has the bytes of each by its path below the model, "" for a model that is one file.
    """

    size: int
    suffixes: frozenset[str] = frozenset()
    dangling: int = 0
    files: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Partial:
    """A file whose download has not ended: bytes so far, and seconds since the last of them."""

    path: str
    size: int
    age_s: float


@dataclass(frozen=True, slots=True)
class Store:
    """The weights volume. A model that is not there is not in `models`."""

    models: Mapping[str, ModelSeen]
    partials: tuple[Partial, ...] = ()
    free: int | None = None
    file_system: str = ""
    # Cache volumes that exist: user id of the owner and permission bits of their top folder.
    owners: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    # What pulls have written down of what they brought.
    manifests: tuple[Manifest, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineSeen:
    """What an engine's port answered. `status` is None where nothing did."""

    status: int | None
    names: tuple[str, ...] = ()
    window: int | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """What the router or the multiplexer says of itself; None where it does not answer."""

    said: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Deep:
    """What only --deep finds: by tier, volume or card, "" where it went well, else what was said.

    `pins` are the UUIDs that a process in a tier's container can use.
    """

    cards: Mapping[str, str | Unknown] = field(default_factory=dict)
    writes: Mapping[str, str] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict)
    pins: Mapping[str, tuple[str, ...] | Unknown] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Survey:
    """All facts. `requested` is the mode that is asked for, with the source that said so."""

    mode: Mode
    home: HomeSeen
    station: Station
    definition: Site | ConfigError
    of_mode: Derived = NOTHING_DERIVED
    requested: tuple[Mode, str] = ("agentic", "the default")
    daemon: Daemon | Unknown = NOT_LOOKED
    compose: tuple[int, ...] | Unknown = NOT_LOOKED
    # What Compose says against the rendered file; "" where it accepts it.
    refused: str | Unknown = NOT_LOOKED
    containers: tuple[Seen, ...] | Unknown = NOT_LOOKED
    images: Mapping[str, frozenset[str]] | Unknown = NOT_LOOKED
    volumes: Mapping[str, VolumeSeen] | Unknown = NOT_LOOKED
    store: Store | Unknown = NOT_LOOKED
    cards: Cards | Unknown = NOT_LOOKED
    taken_ports: frozenset[int] | Unknown = NOT_LOOKED
    router: Control | Unknown = NOT_LOOKED
    multiplexer: Control | Unknown = NOT_LOOKED
    engines: Mapping[str, EngineSeen] | Unknown = NOT_LOOKED
    logs: Mapping[str, str] | Unknown = NOT_LOOKED
    signatures: Signatures = NO_SIGNATURES
    # The path in the volume of the model that `pull starter` brings.
    starter: str = ""
    deep: Deep | Unknown = NOT_DEEP

    @property
    def site(self) -> Site:
        """The installation; CannotTellError where its definition is wrong, which D20 says."""
        if isinstance(self.definition, ConfigError):
            raise CannotTellError(Unknown("the definition is refused"))
        return self.definition

    @property
    def here(self) -> bool:
        """Whether the definition is for this machine, and no plan for another one."""
        return not self.site.config.machine.plan_only

    @property
    def rendered(self) -> Derived:
        """What follows from the definition; CannotTellError where nothing does."""
        if isinstance(self.definition, ConfigError) or self.of_mode.wrong is not None:
            raise CannotTellError(Unknown("the definition is refused"))
        return self.of_mode

    @property
    def engine(self) -> Daemon:
        """The Docker engine; CannotTellError, always with one reason, where it does not answer."""
        return need(NO_DAEMON if isinstance(self.daemon, Unknown) else self.daemon)

    @property
    def ledger(self) -> Ledger:
        return need(self.rendered.ledger or Unknown("the definition is refused"))

    def container(self, tier: str) -> Seen | None:
        """A tier's container, if there is one; CannotTellError where that is not known."""
        name = self.rendered.services[tier].container
        return next((each for each in need(self.containers) if each.name == name), None)

    @property
    def ours(self) -> tuple[Seen, ...]:
        """The containers of this installation, of any mode."""
        project = self.site.project
        label = f"{LABEL}.project"
        return tuple(each for each in need(self.containers) if each.labels.get(label) == project)
