"""Waiting for an engine that was just started, with an eye on its container."""

from __future__ import annotations

from collections.abc import Callable

from anvil_ctl import signatures
from anvil_ctl.config import Mode, Tier
from anvil_ctl.docker import Container, Docker
from anvil_ctl.lifecycle import engines
from anvil_ctl.lifecycle.engines import Endpoint, LastWords
from anvil_ctl.paths import bundle
from anvil_ctl.site import Site


def _nobody(_seconds: float, _line: str) -> None:
    pass


def endpoint(site: Site, tier: Tier) -> Endpoint:
    """Where a tier answers the host: one that is swapped, through the multiplexer."""
    port, token = tier.port, None
    if tier.swap:
        port, token = site.config.machine.multiplexer_port, site.router_token()
    return Endpoint(tier.id, site.url(port), tier.served_name, tier.dialect, token)


def wait(
    site: Site,
    docker: Docker,
    mode: Mode,
    tier: Tier,
    waiting: Callable[[float, str], None] = _nobody,
) -> None:
    """Until the engine of a fixed tier is ready; EngineError where it ends, or takes too long.

    `waiting` is told now and then for how many seconds, and the last line that the engine wrote.
    """
    file = site.renderer.engines[tier.engine].file
    container = site.renderer.container(mode, tier)
    found = docker.container(container)
    before = found.restarts if found else 0
    engines.wait_ready(
        endpoint(site, tier),
        file.health_path,
        file.models_path,
        tier.longest_start_s,
        runs=lambda: _runs(docker, container, before),
        last_words=lambda: _last_words(docker, container, before, tier.engine),
        waiting=lambda seconds: waiting(seconds, docker.container_logs(container, 1).strip()),
    )


def _runs(docker: Docker, container: str, before: int) -> bool:
    """Whether it goes on loading: one that Docker has started again has failed once."""
    state = docker.container(container)
    return state is not None and state.running and state.restarts <= before


def _last_words(docker: Docker, container: str, before: int, engine: str) -> LastWords:
    state = docker.container(container)
    log = docker.container_logs(container, signatures.LINES)
    lines = log.strip().splitlines()[-3:]
    ended, code = _end(state, before)
    known = signatures.load(bundle() / "engines")
    said = f"{ended}: " + " / ".join(lines)
    return LastWords(said, known.classify(engine, log, code))


def _end(state: Container | None, before: int) -> tuple[str, int | None]:
    """How it is with a container in words, and its exit status where there is one."""
    if state is None:
        return "removed", None
    if not state.running:
        return f"exit status {state.exit_code}", state.exit_code
    # Of a container that runs again, Docker no longer knows how it ended.
    return ("ended, and started again by Docker" if state.restarts > before else "running"), None
