"""What must be so before a mode can run: each check is one Finding, and none changes anything."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from anvil_ctl.capacity import CardLedger, RamLedger
from anvil_ctl.config import Mode
from anvil_ctl.docker import Docker
from anvil_ctl.doctor.facts import taken
from anvil_ctl.doctor.finding import Finding, Severity
from anvil_ctl.errors import AnvilError
from anvil_ctl.init import TOKENS
from anvil_ctl.paths import bundle
from anvil_ctl.renderer import ROOM, ModeFiles
from anvil_ctl.service import LABEL
from anvil_ctl.site import Site
from anvil_ctl.store import Volume, read_starter
from anvil_ctl.versions import COMPOSE_MINIMUM


def check(site: Site, docker: Docker, mode: Mode) -> Iterator[Finding]:
    """Every check for one mode, the ones that others rest on first."""
    daemon = _daemon(docker)
    yield daemon
    if not daemon.ok:
        return
    yield _compose(docker)
    yield _tokens(site)
    yield from _rules(site, mode)
    yield from _capacity(site, mode)
    definition, files = _definition(site, mode)
    yield definition
    if files is None:
        return
    yield _accepted(docker, files)
    yield from _images(site, docker, mode)
    yield from _weights(site, docker, mode)
    yield from _ports(site, docker, mode)


def _daemon(docker: Docker) -> Finding:
    try:
        found = docker.info()
    except AnvilError as error:
        return _wrong("daemon", error.message, "a Docker daemon that answers", error.hint)
    return _right("daemon", f"Docker Engine {found.get('ServerVersion')} answers")


def _compose(docker: Docker) -> Finding:
    version = docker.compose_version()
    shown = ".".join(map(str, version)) or "none"
    if version >= COMPOSE_MINIMUM:
        return _right("compose", f"Docker Compose {shown}")
    wanted = ".".join(map(str, COMPOSE_MINIMUM))
    return _wrong(
        "compose",
        f"Docker Compose: {shown}",
        f"{wanted} or newer",
        "pip install 'anvil-ctl[compose]'",
    )


def _tokens(site: Site) -> Finding:
    missing = [name for name in TOKENS if not site.secrets.get(name)]
    if missing:
        observed = f"{site.home.secrets}: {', '.join(missing)} not set"
        return _wrong("tokens", observed, "a value for each token", "anvil-ctl init")
    return _right("tokens", f"{site.home.secrets}: {', '.join(TOKENS)}")


def _rules(site: Site, mode: Mode) -> Iterator[Finding]:
    """One finding for each rule that a tier meets, by the rule's id; one where none refuses."""
    try:
        verdicts = site.renderer.verdicts(mode)
    except AnvilError:
        return
    for each in verdicts:
        severity = Severity.ERROR if each.kind == "deny" else Severity.WARNING
        expected = f"what rule {each.rule} asks for ({each.source})"
        yield Finding(each.rule, False, severity, str(each), expected, each.remedy)
    every = site.renderer.rulebook.all
    overdue = [rule.id for rule in every if rule.review_by < date.today()]
    if overdue:
        said = f"rules to review again: {', '.join(overdue)}"
        remedy = "a newer anvil-ctl, or look at their sources in docs/reference/rules.md"
        yield Finding("rules", False, Severity.WARNING, said, "rules that were reviewed", remedy)
    if not any(each.kind == "deny" for each in verdicts):
        count = len(every)
        yield _right("rules", f"{mode}: none of {count} compatibility rules refuses it")


def _capacity(site: Site, mode: Mode) -> Iterator[Finding]:
    """One finding for each card and one for RAM; nothing where the definition does not add up."""
    try:
        found = site.renderer.ledger(mode)
    except AnvilError:
        return
    parts: list[CardLedger | RamLedger] = [*found.cards, found.ram]
    for each in parts:
        if each.problems:
            yield _wrong("capacity", "; ".join(each.problems), "models that fit", ROOM)
        else:
            yield _right("capacity", str(each))
    for said in found.ram.warnings:
        expected = "RAM for the weights"
        yield Finding("capacity", False, Severity.WARNING, said, expected, "raise machine.ram_mib")


def _definition(site: Site, mode: Mode) -> tuple[Finding, ModeFiles | None]:
    try:
        files = site.renderer.mode(mode)
    except AnvilError as error:
        hint = error.hint or f"edit {site.home.config}"
        return _wrong("definition", error.message, "a definition that renders", hint), None
    return _right("definition", f"{mode} renders ({files.hash})"), files


def _accepted(docker: Docker, files: ModeFiles) -> Finding:
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "compose.yaml"
        draft.write_text(files.compose, encoding="utf-8")
        try:
            docker.project(files.project, draft).check()
        except AnvilError as error:
            return _wrong("rendered", error.message, "files that Compose accepts", error.hint)
    return _right("rendered", f"Compose accepts {files.project}")


def _images(site: Site, docker: Docker, mode: Mode) -> Iterator[Finding]:
    used = {f"{tier.engine}-{tier.image}" for tier in site.config.modes[mode].enabled}
    for name in sorted({"control", "guard", *used}):
        tag = site.needed_images()[name]
        if docker.has_image(tag):
            yield _right("image", f"{tag} is here")
        else:
            yield _wrong("image", f"{tag} is not here", "the image", "anvil-ctl images build")


def _weights(site: Site, docker: Docker, mode: Mode) -> Iterator[Finding]:
    name = site.config.machine.models_volume
    models = sorted({tier.weights for tier in site.config.modes[mode].enabled})
    starter = read_starter(bundle()).path
    if not docker.volume_exists(name):
        remedy = "anvil-ctl pull starter" if starter in models else f"docker volume create {name}"
        yield _wrong("weights", f"no volume {name}", "the volume", remedy)
        return
    volume = Volume(docker, name)
    for model in models:
        size = volume.size_of(model)
        if size:
            yield _right("weights", f"{name}: {model} ({size / 1e6:.0f} MB)")
            continue
        observed = f"{name}: {model} is {'empty' if size == 0 else 'not there'}"
        put = f"put the weights into the volume {name} at {model}"
        remedy = "anvil-ctl pull starter" if model == starter else put
        yield _wrong("weights", observed, "the model's weights", remedy)


def _ports(site: Site, docker: Docker, mode: Mode) -> Iterator[Finding]:
    """A port may be free, or held by a container of this installation, which will give it up."""
    ours: set[int] = set()
    for each in docker.containers(f"{LABEL}.project={site.project}"):
        ours |= each.host_ports if each.running else frozenset()
    wanted = [*site.config.machine.control_ports()]
    wanted += [tier.port for tier in site.config.modes[mode].enabled]
    for port in taken([each for each in wanted if each not in ours]):
        yield _wrong(
            "port",
            f"port {port} is held by another program",
            "a free port",
            f"stop it (ss -ltnp 'sport = :{port}'), or set another port in {site.home.config}",
        )


def _right(check_id: str, observed: str) -> Finding:
    return Finding(check_id, ok=True, severity=Severity.ERROR, observed=observed, expected=observed)


def _wrong(check_id: str, observed: str, expected: str, remedy: str) -> Finding:
    return Finding(check_id, False, Severity.ERROR, observed, expected, remedy)
