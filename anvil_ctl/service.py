"""A tier on its engine -> the Compose service that runs it, every value final. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from jinja2 import TemplateError

from anvil_ctl.capacity import memory_fraction
from anvil_ctl.config.model import Config, Mode, Role
from anvil_ctl.config.nearest import advice
from anvil_ctl.config.tier import Tier
from anvil_ctl.engines import Engine, EngineImage, EngineParking
from anvil_ctl.errors import ConfigError
from anvil_ctl.rules import Verdict
from anvil_ctl.templating import digest, environment

LABEL = "dev.anvil"
MODELS = "/models"


@dataclass(frozen=True, slots=True)
class Cache:
    """A named volume for what an engine compiles, and where the engine keeps it."""

    key: str
    volume: str
    target: str


@dataclass(frozen=True, slots=True)
class Service:
    """An engine as a Compose service. Times are seconds."""

    name: str
    container: str
    image: str
    entrypoint: list[str]
    command: list[str]
    environment: dict[str, str]
    user: str | None
    publish: str
    gpu_uuid: str | None
    healthcheck: list[str]
    start_timeout_s: int
    stop_grace_s: int
    swap: bool
    caches: list[Cache]
    shm_size: str | None
    ipc: str | None
    ulimits: dict[str, int]
    cap_add: list[str]
    read_only: bool
    labels: dict[str, str] = field(default_factory=dict)


def container_name(config: Config, mode: Mode, tier: Tier) -> str:
    """The name that Compose gives the first container of a service."""
    return f"{config.project_of(mode)}-{tier.id}-1"


def build(
    config: Config,
    mode: Mode,
    tier: Tier,
    engine: Engine,
    image: EngineImage,
    *,
    tag: str,
    added: Sequence[Verdict] = (),
) -> Service:
    """The service of a tier, with what rules add to it.

    ConfigError for a flag that the pinned engine does not know.
    """
    role = config.machine.roles[tier.role]
    park = parking_of(tier, engine)
    _refuse_a_name_that_is_not_served(config, tier, park)
    more = [argument for each in added for argument in each.arguments]
    command = [*command_of(config, tier, engine), *more]
    unknown = engine.unknown_flags(command)
    if unknown:
        raise ConfigError(
            f"tier {tier.id}: {tier.engine} {engine.file.version} has no flag {', '.join(unknown)}",
            hint=f"take it out of extra_args; what it has: engines/{tier.engine}/flags.txt"
            f"{advice(unknown[0], engine.flags)}",
            rule="K25",
        )
    labels = {
        f"{LABEL}.project": config.machine.project,
        f"{LABEL}.mode": mode,
        f"{LABEL}.tier": tier.id,
    }
    service = Service(
        name=tier.id,
        container=container_name(config, mode, tier),
        image=tag,
        entrypoint=list(image.entrypoint),
        command=command,
        environment={
            **_Values(config, tier, role).mapping(image.environment),
            **(park.environment if park else {}),
            **tier.env,
            **{name: value for each in added for name, value in each.environment.items()},
            **pins(role),
        },
        user=engine.file.user,
        # Loopback only: for the operator's probes. Clients go through the router.
        publish=f"127.0.0.1:{tier.port}:{engine.file.port}",
        gpu_uuid=role.gpu_uuid,
        healthcheck=list(engine.file.healthcheck),
        start_timeout_s=tier.longest_start_s,
        stop_grace_s=engine.file.stop_grace_s,
        swap=tier.swap,
        caches=_caches(config, tier, engine, image),
        shm_size=image.shm_size,
        ipc=image.ipc,
        ulimits=dict(image.ulimits),
        cap_add=list(image.cap_add),
        read_only=image.read_only,
        labels=labels,
    )
    labels[f"{LABEL}.config-hash"] = digest(json.dumps(asdict(service), sort_keys=True))
    return service


def command_of(config: Config, tier: Tier, engine: Engine) -> list[str]:
    """What the engine is told for a tier, whether its version knows all of it or not."""
    values = _Values(config, tier, config.machine.roles[tier.role])
    park = parking_of(tier, engine)
    if park is None:
        return [*values.groups(engine.file.args), *tier.extra_args]
    kept = [group for group in engine.file.args if group[0] not in park.without]
    return [*values.groups([*kept, *park.args]), *tier.extra_args]


def parking_of(tier: Tier, engine: Engine) -> EngineParking | None:
    """The way in which a tier's engine gives up the card; ConfigError if it has no such way."""
    if tier.parking is None:
        return None
    found = engine.file.parking.get(tier.parking)
    if found is None:
        known = ", ".join(engine.file.parking) or "none"
        raise ConfigError(
            f"tier {tier.id}: {tier.engine} has no parking {tier.parking!r}; it has: {known}"
            f"{advice(tier.parking, engine.file.parking)}",
            hint=f"set or leave out parking in the table of tier {tier.id}",
        )
    return found


def _refuse_a_name_that_is_not_served(
    config: Config, tier: Tier, park: EngineParking | None
) -> None:
    if park is None or park.served_name is None:
        return
    served = _Values(config, tier, config.machine.roles[tier.role]).served_name(park.served_name)
    if served != tier.served_name:
        raise ConfigError(
            f"tier {tier.id}: with parking {tier.parking!r}, {tier.engine} serves the model as "
            f"{served!r}, and not as {tier.served_name!r}",
            hint=f"set served_name to that in the table of tier {tier.id}, or leave out parking",
        )


def pins(role: Role) -> dict[str, str]:
    """The card by environment too: under WSL2 a device reservation hides no other card."""
    if role.gpu_uuid is None:
        return {}
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": role.gpu_uuid}


def _caches(config: Config, tier: Tier, engine: Engine, image: EngineImage) -> list[Cache]:
    found = []
    for number, target in enumerate(image.caches):
        key = "-".join([tier.engine, tier.image, *([str(number)] if number else [])])
        volume = f"{config.machine.project}-cache-{key}-{engine.file.version}"
        found.append(Cache(f"cache-{key}", volume, target))
    return found


@dataclass(frozen=True, slots=True)
class _Values:
    """Fills in an engine's templates for one tier."""

    config: Config
    tier: Tier
    role: Role

    def groups(self, groups: list[list[str]]) -> list[str]:
        """Groups of arguments in a row; one with a part that renders to nothing is left out."""
        filled = ([self._fill("args", part) for part in group] for group in groups)
        return [part for group in filled if all(group) for part in group]

    def served_name(self, template: str) -> str:
        return self._fill("parking.served_name", template)

    def mapping(self, templates: dict[str, str]) -> dict[str, str]:
        """A table's values; those that render to nothing are left out."""
        filled = {name: self._fill("environment", text) for name, text in templates.items()}
        return {name: value for name, value in filled.items() if value}

    def _fill(self, key: str, template: str) -> str:
        try:
            return (
                environment()
                .from_string(template)
                .render(
                    tier=self.tier,
                    role=self.role,
                    machine=self.config.machine,
                    model_path=f"{MODELS}/{self.tier.weights}",
                    memory_fraction=memory_fraction(self.tier, self.role),
                )
            )
        except TemplateError as error:
            raise ConfigError(
                f"engines/{self.tier.engine}/engine.toml: {key}: {error.message}"
            ) from error
