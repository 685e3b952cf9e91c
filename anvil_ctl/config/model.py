"""The schema of anvil.toml: one definition from which everything else is rendered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Mode = Literal["agentic", "flexibility"]
MODES: tuple[Mode, ...] = ("agentic", "flexibility")

CONTROL_SERVICES = frozenset({"router", "multiplexer", "guard"})

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9_.-]{0,61}[a-z0-9])?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
# Tier ids and role names become host names and container names.
HostName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Role(_Table):
    """A place where one engine runs at a time: a GPU by its UUID, or the processor."""

    device: Literal["cpu", "nvidia"]
    gpu_uuid: str | None = Field(default=None, pattern=r"^GPU-[0-9a-fA-F-]{36}$")

    @model_validator(mode="after")
    def _a_gpu_is_named_by_uuid(self) -> Self:
        if (self.device == "nvidia") != (self.gpu_uuid is not None):
            msg = 'gpu_uuid goes with device = "nvidia", and only with it (see: nvidia-smi -L)'
            raise ValueError(msg)
        return self


class Machine(_Table):
    """What is particular to this machine."""

    project: HostName = "anvil"
    publish: str = "127.0.0.1"
    router_port: Port = 8000
    router_admin_port: Port = 8001
    multiplexer_port: Port = 8002
    multiplexer_admin_port: Port = 8003
    models_volume: Name = "fakoli-models"
    roles: dict[HostName, Role] = Field(min_length=1)

    def control_ports(self) -> tuple[int, ...]:
        return (
            self.router_port,
            self.router_admin_port,
            self.multiplexer_port,
            self.multiplexer_admin_port,
        )


class Router(_Table):
    """What the router does besides serving tiers."""

    mapping_version: str = Field(default="1", min_length=1)
    token_env: EnvName = "ANVIL_ROUTER_TOKEN"  # noqa: S105 - the name, never the value
    # How long a swap waits for running answers before it cuts them; 0 = at once.
    drain_timeout_s: float = Field(default=30, ge=0)


class Tier(_Table):
    """A model on an engine in a role, as one mode runs it. Windows are tokens, times seconds."""

    id: HostName
    engine: Name
    image: Name
    role: HostName
    model: str = Field(min_length=1, pattern=r"^[^/:][^:]*$")
    served_name: Name
    window: int = Field(gt=0)
    # Requests served at once; each may use the whole window.
    slots: int = Field(default=1, gt=0)
    port: Port
    dialect: Literal["openai", "anthropic"] = "openai"
    tool_support: bool = False
    vision: bool = False
    prompt_cache: bool = True
    swap: bool = False
    # Until the first byte of an answer, and between two: a long prefill is silent.
    answer_timeout_s: float = Field(default=300, gt=0)
    start_timeout_s: int = Field(default=600, gt=0)
    load_estimate_s: float = Field(default=60, gt=0)
    extra_args: list[str] = []


class ModeDefinition(_Table):
    """The closed set of tiers and presets that one mode runs."""

    description: str = ""
    presets: dict[Name, list[Name]] = Field(min_length=1)
    tiers: list[Tier] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for what in ("id", "served_name", "port"):
            _unique(what, [str(getattr(tier, what)) for tier in self.tiers])
        known = {tier.id for tier in self.tiers}
        for reserved in CONTROL_SERVICES & known:
            msg = f"tier id {reserved!r} is the name of a control service: choose another"
            raise ValueError(msg)
        for preset, ids in self.presets.items():
            for each in ids:
                if each not in known:
                    known_list = ", ".join(sorted(known))
                    msg = f"preset {preset!r} names tier {each!r}; tiers here: {known_list}"
                    raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _one_tier_holds_a_role(self) -> Self:
        for role in {tier.role for tier in self.tiers}:
            members = [tier for tier in self.tiers if tier.role == role]
            held = [tier.id for tier in members if not tier.swap]
            if len(members) > 1 and held:
                names = ", ".join(tier.id for tier in members)
                msg = f"{names} share role {role!r}: set swap = true on {held[0]!r} too"
                raise ValueError(msg)
        return self


def _unique(what: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            msg = f"two tiers have {what} {value!r}"
            raise ValueError(msg)


class Config(_Table):
    """All of anvil.toml."""

    version: Literal[1]
    active_mode: Mode = "agentic"
    machine: Machine
    router: Router = Router()
    modes: dict[Mode, ModeDefinition]

    @model_validator(mode="after")
    def _modes_agree(self) -> Self:
        for mode, definition in self.modes.items():
            for tier in definition.tiers:
                if tier.role not in self.machine.roles:
                    known = ", ".join(sorted(self.machine.roles))
                    msg = f"modes.{mode}: tier {tier.id!r} has role {tier.role!r}; roles: {known}"
                    raise ValueError(msg)
        names = {mode: frozenset(each.presets) for mode, each in self.modes.items()}
        if len(set(names.values())) > 1:
            # A client that asks for a preset must not meet a 404 because the mode changed.
            odd = ", ".join(
                sorted(frozenset.union(*names.values()) - frozenset.intersection(*names.values()))
            )
            msg = f"every mode must have the same presets; not in all: {odd}"
            raise ValueError(msg)
        return self

    def project_of(self, mode: Mode) -> str:
        """The Compose project that holds the engines of `mode`."""
        return f"{self.machine.project}-{mode}"

    def swap_tiers(self) -> Iterator[tuple[Mode, Tier]]:
        """Every tier that the multiplexer starts and stops, in every mode."""
        for mode, definition in self.modes.items():
            for tier in definition.tiers:
                if tier.swap:
                    yield mode, tier
