"""Config -> the text of every file that Docker, the router and the multiplexer read. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import tomlkit

from anvil_ctl import clouds, swap_registry
from anvil_ctl.capacity import Ledger, ledger
from anvil_ctl.config.model import Config, Mode, Router
from anvil_ctl.config.nearest import advice
from anvil_ctl.config.tier import Tier
from anvil_ctl.engines import Engine, EngineFile, EngineImage
from anvil_ctl.errors import ConfigError
from anvil_ctl.imagelock import pinned
from anvil_ctl.rulebook import Rulebook
from anvil_ctl.rules import Start, Verdict, judge
from anvil_ctl.service import LABEL, Cache, Service, build, command_of, container_name
from anvil_ctl.swap_registry import Swapped
from anvil_ctl.templating import digest, environment
from anvil_ctl.weights.facts import Facts

ROOM = "lower that tier's vram_mib, memory_fraction, window or slots, or the role's reserve_mib"
# Where the router's container keeps its profile and its decisions: a volume.
STATE = "/var/lib/anvil"
# How often the router looks whether an engine serves the model that was measured, in seconds.
PROBE_S = 60
ENGINE_TOKEN = "ANVIL_ENGINE_TOKEN"  # noqa: S105 - the name of a variable


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
    """What the control project is filled in with: an env file and the guard's list.

    `keys` is laid over its Compose file, `ca` are certificates that the router trusts besides;
    None where the definition asks for neither.
    """

    env: str
    guard_list: str
    hash: str
    keys: str | None = None
    ca: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """What a tier's engine is told, and which of its flags the pinned version does not know."""

    engine: str
    version: str
    mode: Mode
    tier: str
    enabled: bool
    argv: tuple[str, ...]
    flags: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders one definition.

    `images` maps `<engine>-<image>` to the exact tag of what is built here, `digests` a published
    image's reference to the digest that it is locked to.
    """

    config: Config
    engines: Mapping[str, Engine]
    images: Mapping[str, str]
    templates: Mapping[str, str]
    rulebook: Rulebook
    digests: Mapping[str, str] = field(default_factory=dict)
    # What the snapshots in the volume say of themselves, by their path there.
    facts: Mapping[str, Facts] = field(default_factory=dict)

    def mode(self, mode: Mode) -> ModeFiles:
        """Every text of one mode; ConfigError if the definition does not fit its engines."""
        services = [self.service(mode, tier) for tier in self._tiers(mode)]
        self._refuse_what_rules_deny(mode)
        self._refuse_what_does_not_fit(mode)
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
                caches=_shared(services),
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

    def ledger(self, mode: Mode) -> Ledger:
        """What the mode asks of the machine's memory; ConfigError for an unknown engine."""
        tiers = [(tier, self._engine(tier)[0]) for tier in self._tiers(mode)]
        return ledger(self.config.machine, tiers, self.facts)

    def commands(self, mode: Mode) -> list[Command]:
        """The command of each tier of the mode, of those that are off too; nothing is refused."""
        found = []
        for tier in self.config.modes[mode].tiers:
            engine, image = self._engine(tier)
            argv = command_of(self.config, tier, engine)
            unknown = engine.unknown_flags(argv)
            argv = argv if unknown else self.service(mode, tier).command
            found.append(
                Command(
                    engine=tier.engine,
                    version=engine.file.version,
                    mode=mode,
                    tier=tier.id,
                    enabled=tier.enabled,
                    argv=(*image.entrypoint, *argv),
                    flags=tuple(part.split("=", 1)[0] for part in argv if part.startswith("--")),
                    unknown=tuple(unknown),
                )
            )
        return found

    def verdicts(self, mode: Mode) -> list[Verdict]:
        """What the rules refuse or warn of; ConfigError where a tier cannot be rendered."""
        said = [self._judged(mode, tier, self.service(mode, tier)) for tier in self._tiers(mode)]
        return [each for found in said for each in found if each.kind != "add"]

    def additions(self, mode: Mode) -> list[Verdict]:
        """What the rules give the mode's engines that the definition does not."""
        said = [self._judged(mode, tier, self._plain(mode, tier)) for tier in self._tiers(mode)]
        return [each for found in said for each in found if each.kind == "add"]

    def _judged(self, mode: Mode, tier: Tier, service: Service) -> list[Verdict]:
        start = Start(service.image, service.command, service.environment)
        engine = self.engines[tier.engine]
        return judge(self.config, mode, tier, engine, start, book=self.rulebook)

    def _refuse_what_rules_deny(self, mode: Mode) -> None:
        denied = [each for each in self.verdicts(mode) if each.kind == "deny"]
        if denied:
            remedies = dict.fromkeys(each.remedy for each in denied)
            raise ConfigError("; ".join(map(str, denied)), hint="; ".join(remedies))

    def _refuse_what_does_not_fit(self, mode: Mode) -> None:
        found = self.ledger(mode)
        if found.problems:
            said = "; ".join(found.problems)
            said = f"capacity: {mode} does not fit: {said}"
            raise ConfigError(f"{said} [rule D12]\n{found.table()}", hint=ROOM)

    def guard_list(self) -> str:
        """The containers that the guard lets the multiplexer start and stop, one a line."""
        names = [self.container(mode, tier) for mode, tier in self.config.swap_tiers()]
        return "".join(f"{name}\n" for name in sorted(names))

    def control(
        self, folder: str, socket: str, socket_gid: int, secrets: str, ca: str | None = None
    ) -> ControlFiles:
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
        keys = clouds.compose_keys(self.config.cloud_keys)
        said = json.dumps([values, secrets, guard_list, self.templates["control.yaml"], keys, ca])
        values["ANVIL_CONTROL_HASH"] = digest(said)
        # Single quotes: Compose reads such a value as it stands, with no interpolation.
        env = "".join(f"{name}='{value}'\n" for name, value in values.items())
        return ControlFiles(env, guard_list, digest(said), keys, ca)

    def container(self, mode: Mode, tier: Tier) -> str:
        """The name that Compose gives the first container of a service."""
        return container_name(self.config, mode, tier)

    def image(self, tier: Tier) -> str:
        """What a tier runs; ConfigError where nobody publishes or builds it."""
        _engine, image = self._engine(tier)
        found = self.reference(f"{tier.engine}-{tier.image}", image)
        if found is None:
            raise ConfigError(
                f"tier {tier.id}: nobody publishes an image {tier.image!r} of {tier.engine}, and "
                "nothing here builds it",
                hint=f"see engines/{tier.engine}/README.md",
            )
        return found

    def reference(self, name: str, image: EngineImage) -> str | None:
        """An image as files name it: by its digest where it has one, else as we build or tag it,
        else by its makers' tag; None where there is neither."""
        digest = self.digests.get(image.official or "")
        if image.official and (digest or "@" in image.official):
            return pinned(image.official, digest)
        return self.images.get(name) or image.official

    def _tiers(self, mode: Mode) -> list[Tier]:
        definition = self.config.modes.get(mode)
        if definition is None:
            known = ", ".join(self.config.modes)
            raise ConfigError(
                f"anvil.toml has no [modes.{mode}]; it has: {known}",
                hint=f"name one of these, or write [modes.{mode}]",
            )
        return definition.enabled

    def _engine(self, tier: Tier) -> tuple[Engine, EngineImage]:
        engine = self.engines.get(tier.engine)
        if engine is None:
            known = ", ".join(sorted(self.engines))
            raise ConfigError(
                f"tier {tier.id}: engine {tier.engine!r} is not one of: {known}"
                f"{advice(tier.engine, self.engines)}",
                hint=f"set engine in the table of tier {tier.id}",
            )
        image = engine.file.images.get(tier.image)
        if image is None:
            known = ", ".join(sorted(engine.file.images))
            raise ConfigError(
                f"tier {tier.id}: {tier.engine} has no image {tier.image!r}; it has: {known}",
                hint=f"set image in the table of tier {tier.id}",
            )
        device = self.config.machine.roles[tier.role].device
        if image.device != device:
            raise ConfigError(
                f"tier {tier.id}: image {tier.image!r} runs on {image.device}, "
                f"but role {tier.role!r} is {device}",
                hint=f"set image or role in the table of tier {tier.id}",
            )
        if tier.dialect not in engine.file.dialects:
            known = ", ".join(engine.file.dialects)
            raise ConfigError(
                f"tier {tier.id}: {tier.engine} does not speak {tier.dialect!r}; it has: {known}",
                hint=f"set dialect in the table of tier {tier.id}",
            )
        return engine, image

    def service(self, mode: Mode, tier: Tier) -> Service:
        """A tier as Compose runs it, enabled or not; ConfigError where its engine cannot."""
        plain = self._plain(mode, tier)
        added = [each for each in self._judged(mode, tier, plain) if each.kind == "add"]
        return self._plain(mode, tier, added) if added else plain

    def _plain(self, mode: Mode, tier: Tier, added: Sequence[Verdict] = ()) -> Service:
        engine, image = self._engine(tier)
        tag = self.image(tier)
        return build(self.config, mode, tier, engine, image, tag=tag, added=added)

    def _router(self, mode: Mode) -> str:
        definition, tiers = self.config.modes[mode], self._tiers(mode)
        said = self.config.router
        router: dict[str, object] = {
            "mapping_version": said.mapping_version,
            "mode": mode,
            "exhaustion_status": said.exhaustion_status,
            "pin_denied": said.pin_denied,
            "substitution": said.substitution,
            "verify_local_min": said.verify_local_min,
            **said.unusual(),
            "response_model": said.response_model,
            "forward_session_fields": said.forward_session_fields,
            "state_path": STATE,
            "probe_interval": PROBE_S,
            "policy": definition.policy.of(mode),
            **({"fallback": limits} if (limits := said.fallback.as_router()) else {}),
            "presets": dict(definition.presets),
            "multiplexer": {
                "url": "http://multiplexer:8000",
                "token_env": said.token_env,
            },
            **clouds.router_keys(said),
            "tiers": [
                *(self._router_tier(mode, tier) for tier in tiers),
                *(clouds.router_tier(each) for each in self.config.clouds),
            ],
        }
        text = tomlkit.dumps({"server": _server(said), "router": router})
        return f"# Rendered by anvil-ctl from anvil.toml for the mode {mode}.\n{text}"

    def _router_tier(self, mode: Mode, tier: Tier) -> dict[str, object]:
        engine, _image = self._engine(tier)
        service = self.service(mode, tier)
        return {
            "id": tier.id,
            "base_url": f"http://{tier.id}:{engine.file.port}",
            "dialect": tier.dialect,
            "context_limit": tier.context_limit or tier.window,
            "privacy": "local",
            "tool_support": tier.tool_support,
            "vision": tier.vision,
            "auth_env": ENGINE_TOKEN,
            "model": tier.served_name,
            "engine": tier.engine,
            "timeout": tier.answer_timeout_s,
            **_bodies(tier),
            **({"max_tokens_field": tier.max_tokens_field} if tier.max_tokens_field else {}),
            **({"max_concurrency": tier.max_concurrency} if tier.max_concurrency else {}),
            **({"max_queue": tier.max_queue} if tier.max_queue is not None else {}),
            **({"quantization": tier.quantization} if tier.quantization else {}),
            **({"swap_group": tier.role} if tier.swap else {}),
            **({"passthrough": tier.passthrough} if tier.passthrough else {}),
            **_counting(tier, engine.file),
            # Never sent: what a measured verdict is about, so that a change of it is noticed.
            "params": {
                "image": service.image,
                "command": list(service.command),
                **({"revision": tier.revision} if tier.revision else {}),
            },
        }

    def _registry(self, mode: Mode, services: list[Service]) -> str:
        pairs = zip(self._tiers(mode), services, strict=True)
        swapped = [
            Swapped(tier, self.engines[tier.engine], service)
            for tier, service in pairs
            if tier.swap
        ]
        return swap_registry.registry(self.config, mode, swapped)


def _shared(services: list[Service]) -> list[Cache]:
    """Every cache volume of a mode once, whichever services use it."""
    found = {each.key: each for service in services for each in service.caches}
    return [found[key] for key in sorted(found)]


def _counting(tier: Tier, engine: EngineFile) -> dict[str, object]:
    # An engine that is spoken to in Anthropic's dialect has Anthropic's endpoint for it.
    asked = engine.count_tokens if tier.dialect == "openai" else None
    return {"count_tokens": asked} if asked else {}


def _server(router: Router) -> dict[str, object]:
    """The router's `[server]`: what is not said is left to its defaults."""
    said = {
        "max_concurrency": router.max_concurrency,
        "max_body_bytes": router.max_body_bytes,
        "request_read_timeout": router.request_read_timeout_s,
        "idle_timeout": router.idle_timeout_s,
        "expose_decision_headers": None if router.expose_decision_headers else False,
    }
    kept = {key: value for key, value in said.items() if value is not None}
    return {"auth_env": router.token_env, **kept}


def _bodies(tier: Tier) -> dict[str, dict[str, object]]:
    """What the router adds to requests for a tier: over the caller's word, and beneath it."""
    thinking = tier.thinking.body() if tier.thinking else {}
    forced = tier.thinking is not None and tier.thinking.forced
    said = {
        "extra_body": {**tier.extra_body, **(thinking if forced else {})},
        "extra_body_defaults": {**tier.extra_body_defaults, **({} if forced else thinking)},
    }
    return {key: body for key, body in said.items() if body}
