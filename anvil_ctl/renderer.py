"""Config -> the text of every file that Docker, the router and the multiplexer read. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import tomlkit
from jinja2 import Environment, StrictUndefined, TemplateError

from anvil_ctl.config.model import Config, Mode, Tier
from anvil_ctl.engines import Engine, EngineImage
from anvil_ctl.errors import ConfigError

LABEL = "dev.anvil"
ENGINE_TOKEN = "ANVIL_ENGINE_TOKEN"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, slots=True)
class Service:
    """An engine as a Compose service, every value final."""

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
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModeFiles:
    """The three rendered texts of one mode, and the hash over what they say."""

    mode: Mode
    project: str
    compose: str
    router: str
    registry: str
    config_hashes: Mapping[str, str]
    hash: str


@dataclass(frozen=True, slots=True)
class ControlFiles:
    """What the control project is filled in with: an env file and the guard's list."""

    env: str
    guard_list: str
    hash: str


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders one definition. `images` maps `<engine>-<image>` to the exact tag to run."""

    config: Config
    engines: Mapping[str, Engine]
    images: Mapping[str, str]
    templates: Mapping[str, str]

    def mode(self, mode: Mode) -> ModeFiles:
        """Every text of one mode; ConfigError if the definition does not fit its engines."""
        services = [self._service(mode, tier) for tier in self._tiers(mode)]
        router, registry = self._router(mode), self._registry(mode, services)
        said = json.dumps([[asdict(each) for each in services], router, registry], sort_keys=True)
        fingerprint = digest(said)
        compose = (
            environment()
            .from_string(self.templates["mode.compose.yaml.j2"])
            .render(
                mode=mode,
                hash=fingerprint,
                project=self.config.project_of(mode),
                services=services,
                network=self.config.machine.project,
                models_volume=self.config.machine.models_volume,
            )
        )
        return ModeFiles(
            mode=mode,
            project=self.config.project_of(mode),
            compose=compose + "\n",
            router=router,
            registry=registry,
            config_hashes={each.name: each.labels[f"{LABEL}.config-hash"] for each in services},
            hash=fingerprint,
        )

    def guard_list(self) -> str:
        """The containers that the guard lets the multiplexer start and stop, one a line."""
        names = [self.container(mode, tier) for mode, tier in self.config.swap_tiers()]
        return "".join(f"{name}\n" for name in sorted(names))

    def control(self, folder: str, socket: str, socket_gid: int, secrets: str) -> ControlFiles:
        """What compose/control.yaml is filled in with, for a host's Docker socket.

        The hash covers all that the control containers are made from and becomes their label;
        `secrets` is only hashed, so that a new token makes new containers.
        """
        machine = self.config.machine
        values: dict[str, str | int] = {
            "ANVIL_PROJECT": machine.project,
            "ANVIL_PUBLISH": machine.publish,
            "ANVIL_ROUTER_PORT": machine.router_port,
            "ANVIL_ROUTER_ADMIN_PORT": machine.router_admin_port,
            "ANVIL_MULTIPLEXER_PORT": machine.multiplexer_port,
            "ANVIL_MULTIPLEXER_ADMIN_PORT": machine.multiplexer_admin_port,
            "ANVIL_IMAGE_CONTROL": self.images["control"],
            "ANVIL_IMAGE_GUARD": self.images["guard"],
            "ANVIL_RENDERED": folder,
            "ANVIL_DOCKER_SOCKET": socket,
            "ANVIL_SOCKET_GID": socket_gid,
        }
        guard_list = self.guard_list()
        said = json.dumps([values, secrets, guard_list, self.templates["control.yaml"]])
        values["ANVIL_CONTROL_HASH"] = digest(said)
        # Single quotes: Compose reads such a value as it stands, with no interpolation.
        env = "".join(f"{name}='{value}'\n" for name, value in values.items())
        return ControlFiles(env, guard_list, digest(said))

    def container(self, mode: Mode, tier: Tier) -> str:
        """The name that Compose gives the first container of a service."""
        return f"{self.config.project_of(mode)}-{tier.id}-1"

    def _tiers(self, mode: Mode) -> list[Tier]:
        definition = self.config.modes.get(mode)
        if definition is None:
            known = ", ".join(self.config.modes)
            raise ConfigError(f"anvil.toml has no [modes.{mode}]; it has: {known}")
        return definition.tiers

    def _engine(self, tier: Tier) -> tuple[Engine, EngineImage]:
        engine = self.engines.get(tier.engine)
        if engine is None:
            known = ", ".join(sorted(self.engines))
            raise ConfigError(f"tier {tier.id}: engine {tier.engine!r} is not one of: {known}")
        image = engine.file.images.get(tier.image)
        if image is None:
            known = ", ".join(sorted(engine.file.images))
            raise ConfigError(
                f"tier {tier.id}: {tier.engine} has no image {tier.image!r}; it has: {known}"
            )
        device = self.config.machine.roles[tier.role].device
        if image.device != device:
            raise ConfigError(
                f"tier {tier.id}: image {tier.image!r} runs on {image.device}, "
                f"but role {tier.role!r} is {device}"
            )
        if tier.dialect not in engine.file.dialects:
            known = ", ".join(engine.file.dialects)
            raise ConfigError(
                f"tier {tier.id}: {tier.engine} does not speak {tier.dialect!r}; it speaks: {known}"
            )
        return engine, image

    def _service(self, mode: Mode, tier: Tier) -> Service:
        engine, image = self._engine(tier)
        command = [*_arguments(engine, tier), *tier.extra_args]
        unknown = engine.unknown_flags(command)
        if unknown:
            raise ConfigError(
                f"tier {tier.id}: {tier.engine} {engine.file.version} has no flag "
                f"{', '.join(unknown)}",
                hint=f"see engines/{tier.engine}/flags.txt",
            )
        gpu = self.config.machine.roles[tier.role].gpu_uuid
        pinned = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": gpu} if gpu else {}
        labels = {
            f"{LABEL}.project": self.config.machine.project,
            f"{LABEL}.mode": mode,
            f"{LABEL}.tier": tier.id,
        }
        service = Service(
            name=tier.id,
            container=self.container(mode, tier),
            image=self.images[f"{tier.engine}-{tier.image}"],
            entrypoint=list(image.entrypoint),
            command=command,
            environment=pinned,
            user=engine.file.user,
            # Loopback only: for the operator's probes. Clients go through the router.
            publish=f"127.0.0.1:{tier.port}:{engine.file.port}",
            gpu_uuid=gpu,
            healthcheck=list(engine.file.healthcheck),
            start_timeout_s=tier.start_timeout_s,
            stop_grace_s=engine.file.stop_grace_s,
            swap=tier.swap,
            labels=labels,
        )
        labels[f"{LABEL}.config-hash"] = digest(json.dumps(asdict(service), sort_keys=True))
        return service

    def _router(self, mode: Mode) -> str:
        definition, tiers = self.config.modes[mode], self._tiers(mode)
        router: dict[str, object] = {
            "mapping_version": self.config.router.mapping_version,
            "mode": mode,
            "presets": dict(definition.presets),
            "multiplexer": {
                "url": "http://multiplexer:8000",
                "token_env": self.config.router.token_env,
            },
            "tiers": [self._router_tier(tier) for tier in tiers],
        }
        text = tomlkit.dumps(
            {"server": {"auth_env": self.config.router.token_env}, "router": router}
        )
        return f"# Rendered by anvil-ctl from anvil.toml for the mode {mode}.\n{text}"

    def _router_tier(self, tier: Tier) -> dict[str, object]:
        engine, _image = self._engine(tier)
        return {
            "id": tier.id,
            "base_url": f"http://{tier.id}:{engine.file.port}",
            "dialect": tier.dialect,
            "context_limit": tier.window,
            "privacy": "local",
            "tool_support": tier.tool_support,
            "vision": tier.vision,
            "auth_env": ENGINE_TOKEN,
            "model": tier.served_name,
            "engine": tier.engine,
            "timeout": tier.answer_timeout_s,
            **({"swap_group": tier.role} if tier.swap else {}),
        }

    def _registry(self, mode: Mode, services: list[Service]) -> str:
        rows = [
            {
                "name": tier.served_name,
                "tier": tier.id,
                "role": tier.role,
                "container": service.container,
                "url": f"http://{tier.id}:{self.engines[tier.engine].file.port}",
                "health_path": self.engines[tier.engine].file.health_path,
                "models_path": self.engines[tier.engine].file.models_path,
                "start_timeout_s": tier.start_timeout_s,
                "stop_timeout_s": service.stop_grace_s,
                "drain_timeout_s": self.config.router.drain_timeout_s,
                "load_estimate_s": tier.load_estimate_s,
            }
            for tier, service in zip(self._tiers(mode), services, strict=True)
            if tier.swap
        ]
        return json.dumps({"version": 1, "mode": mode, "models": rows}, indent=1) + "\n"


def _arguments(engine: Engine, tier: Tier) -> list[str]:
    """The engine's argument groups for a tier; a group with an empty part is left out."""
    jinja, argv = environment(), []
    for group in engine.file.args:
        try:
            parts = [jinja.from_string(part).render(tier=tier) for part in group]
        except TemplateError as error:
            raise ConfigError(
                f"engines/{tier.engine}/engine.toml: args: {error.message}"
            ) from error
        if all(parts):
            argv.extend(parts)
    return argv


def environment() -> Environment:
    """Jinja for files that are not HTML: undefined names are errors, quoting is by filter."""
    jinja = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701
    jinja.filters["q"] = _compose_value
    jinja.filters["toml"] = lambda value: tomlkit.item(value).as_string()
    return jinja


def _compose_value(value: object) -> str:
    """`value` as JSON, which is YAML, with `$` doubled so that Compose leaves it alone."""
    return json.dumps(value, ensure_ascii=False).replace("$", "$$")


def digest(text: str) -> str:
    """The first 16 hex digits of a text's sha256: enough to tell two definitions apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
