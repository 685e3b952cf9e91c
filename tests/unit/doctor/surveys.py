"""Surveys that tests start from: machines on which everything is right, to be broken by `replace`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path

from anvil_ctl.config import Mode
from anvil_ctl.docker_look import Binding, Mount, Seen, VolumeSeen
from anvil_ctl.doctor.check import Check
from anvil_ctl.doctor.checks import CHECKS
from anvil_ctl.doctor.derived import derive
from anvil_ctl.doctor.finding import Finding
from anvil_ctl.doctor.report import examine
from anvil_ctl.doctor.survey import (
    Control,
    Daemon,
    EngineSeen,
    HomeSeen,
    JournalSeen,
    ModelSeen,
    Station,
    Store,
    Survey,
    Unknown,
)
from anvil_ctl.hardware import Card, Cards, Host
from anvil_ctl.paths import Home, bundle
from anvil_ctl.signatures import load
from anvil_ctl.site import Site
from anvil_ctl.weights.manifest import Kept, Manifest
from tests.unit.definitions import FAST, HEAVY, cpu_text, fakoli_dark_text, parse, renderer

TOKEN = "x" * 43
NOT_RUNNING = Unknown("it does not run")
BLACKWELL = Card(1, HEAVY, "RTX PRO 6000", 97887, 900, "12.0", False, "580.95")
GEFORCE = Card(0, FAST, "RTX 5090", 32607, 1200, "12.0", True, "580.95")
CARDS = Cards((GEFORCE, BLACKWELL), "/usr/bin/nvidia-smi")


def site(text: str, **secrets: str) -> Site:
    found = renderer(parse(text))
    given = {"ANVIL_ROUTER_TOKEN": TOKEN, "ANVIL_ADMIN_TOKEN": TOKEN, **secrets}
    return Site(Home(Path("/home/a/.anvil")), found.config, given, found, {})


@cache
def idle(text: str = "", mode: Mode = "agentic") -> Survey:
    """A machine that has all that a definition needs, and on which nothing runs yet."""
    found = site(text or cpu_text())
    derived, config = derive(found, mode), found.config
    volumes = {cache.volume for each in derived.services.values() for cache in each.caches}
    models = {
        t.weights: ModelSeen(10**8, frozenset({_kind(t.model)}), files={"": 10**8})
        for t in derived.tiers
    }
    manifests = tuple(vouching(each) for each in models)
    host = Host(config.machine.platform, "6.8", (2, 7, 10))
    return Survey(
        mode=mode,
        home=HomeSeen("/home/a/.anvil/anvil.toml", "/home/a/.anvil/.env", 0o600),
        station=Station(host, date(2026, 11, 25), 1 << 30),
        definition=found,
        of_mode=derived,
        requested=(mode, "active_mode"),
        daemon=Daemon("28.5", frozenset({"runc", "nvidia"}), False, 64 << 30, "/data", 200 << 30),
        compose=(2, 39, 1),
        refused="",
        containers=(),
        images=dict.fromkeys(images(found, mode), frozenset({"sha256:1"})),
        volumes={name: VolumeSeen(name) for name in {config.machine.models_volume, *volumes}},
        store=Store(models, (), 1 << 40, "ext2/ext3", dict.fromkeys(volumes, (0, 493)), manifests),
        cards=CARDS,
        taken_ports=frozenset(),
        router=NOT_RUNNING,
        multiplexer=NOT_RUNNING,
        engines={},
        logs={},
        signatures=load(bundle() / "engines"),
        starter="gguf/starter.gguf",
    )


@cache
def healthy(text: str = "", mode: Mode = "agentic") -> Survey:
    """A machine on which the mode runs as defined: by default the cpu site."""
    survey = idle(text, mode)
    found, files, tiers = survey.site, survey.of_mode.files, survey.of_mode.tiers
    assert files is not None
    texts = {"router.toml": files.router, "registry.json": files.registry}
    router_hash = hashlib.sha256(files.router.encode()).hexdigest()
    swapped = [{"tier": tier.id} for tier in tiers if tier.swap]
    roles = {"cpu": {"state": "idle", "resident": None, "last_error": None}}
    return replace(
        survey,
        home=replace(
            survey.home,
            installed={"compose.yaml": files.compose, **texts},
            journal=JournalSeen(recorded=mode),
        ),
        containers=(*controls(found), *engines(found, mode)),
        router=Control({"mode": mode, "config_hash": router_hash}),
        multiplexer=Control({"models": swapped, "roles": roles}),
        engines={each.id: EngineSeen(200, (each.served_name,), each.window) for each in tiers},
    )


def reference(before: str = "", after: str = "", mode: Mode = "agentic") -> Survey:
    """The reference machine, with words of its definition replaced."""
    text = fakoli_dark_text("linux")
    assert before in text
    return healthy(text.replace(before, after, 1), mode)


def vouching(weights: str) -> Manifest:
    """What a pull of one file has written down."""
    return Manifest(weights, "source", "1", (Kept("model", 10**8, "a" * 64),))


def _kind(model: str) -> str:
    return "gguf" if model.endswith(".gguf") else "safetensors"


def images(found: Site, mode: Mode) -> set[str]:
    used = {found.renderer.image(tier) for tier in found.config.modes[mode].enabled}
    return {found.renderer.images["control"], found.renderer.images["guard"], *used}


def controls(found: Site) -> list[Seen]:
    machine = found.config.machine
    ports = {"router": machine.router_port, "multiplexer": machine.multiplexer_port}
    return [
        Seen(
            f"{machine.project}-{name}-1",
            "anvil/control:test",
            "running",
            "healthy",
            labels={"dev.anvil.project": machine.project, "dev.anvil.control": name},
            bindings=(Binding("127.0.0.1", ports[name], "8000/tcp"),) if name in ports else (),
        )
        for name in ("router", "multiplexer", "guard")
    ]


def engines(found: Site, mode: Mode) -> list[Seen]:
    """The mode's containers as Compose makes them; those that are swapped do not run."""
    seen = []
    for tier in found.config.modes[mode].enabled:
        service = found.renderer.service(mode, tier)
        uuid = service.gpu_uuid
        seen.append(
            Seen(
                service.container,
                service.image,
                "created" if tier.swap else "running",
                "healthy",
                restart_policy="no" if tier.swap else "unless-stopped",
                labels=service.labels,
                environment=service.environment,
                bindings=(Binding("127.0.0.1", tier.port, "8000/tcp"),),
                mounts=tuple(Mount("volume", c.volume, c.target, True) for c in service.caches),
                devices=(uuid,) if uuid else (),
            )
        )
    return seen


def with_container(survey: Survey, name: str, **changes: object) -> Survey:
    """The survey with one container changed, found by the end of its name."""
    assert isinstance(survey.containers, tuple)
    changed = tuple(
        replace(each, **changes) if each.name.endswith(name) else each  # type: ignore[arg-type]
        for each in survey.containers
    )
    assert changed != survey.containers
    return replace(survey, containers=changed)


def found(survey: Survey, *ids: str) -> list[Finding]:
    """What the checks of these ids find, or all of them."""
    return list(examine(survey, _checks(ids)))


def wrong(survey: Survey, *ids: str) -> list[tuple[str, str]]:
    """Id and status of what is not right."""
    return [(each.id, str(each.status)) for each in found(survey, *ids) if not each.ok]


def _checks(ids: Iterable[str]) -> list[Check]:
    wanted = set(ids)
    return [check for check in CHECKS if not wanted or check.id in wanted]
