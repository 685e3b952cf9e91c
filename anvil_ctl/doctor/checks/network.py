"""Who can reach what: published ports, tokens, and who holds a port that is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from anvil_ctl.doctor.check import Check, looking
from anvil_ctl.doctor.checks.verdicts import of_rules
from anvil_ctl.doctor.finding import Finding, Status, fail, ok, warn
from anvil_ctl.doctor.survey import Look, Survey, need
from anvil_ctl.init import TOKENS
from anvil_ctl.service import LABEL

# What `init` writes has 43 characters; fewer than this can be guessed.
_SHORTEST_TOKEN = 16
NEW_TOKENS = "anvil-ctl init --tokens"


def loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _engines(survey: Survey) -> Iterator[Finding]:
    published = 0
    for each in survey.ours:
        if f"{LABEL}.tier" not in each.labels:
            continue
        open_ones = [b for b in each.bindings if not loopback(b.address)]
        published += len(each.bindings)
        for binding in open_ones:
            again = f"anvil-ctl up --mode {each.labels.get(f'{LABEL}.mode', survey.mode)}"
            yield fail(
                f"{each.name} is published on {binding.address}:{binding.port}, without a token",
                "engines on 127.0.0.1 alone: clients go through the router",
                f"docker rm --force {each.name}; {again}",
            )
    if published:
        yield ok(f"{published} ports of engines are published, on this machine alone")


def _router(survey: Survey) -> Iterator[Finding]:
    publish = survey.site.config.machine.publish
    weak = _weak(survey)
    if loopback(publish):
        yield ok(f"the router is published on {publish}: for this machine alone")
    elif weak:
        said = f"the router is published on {publish}, and {', '.join(weak)} is not set or short"
        yield fail(said, "a token for each", NEW_TOKENS)
    else:
        yield ok(f"the router is published on {publish}, with a token")


def _weak(survey: Survey) -> list[str]:
    secrets = survey.site.secrets
    return [name for name in TOKENS if len(secrets.get(name, "").strip()) < _SHORTEST_TOKEN]


def _tokens(survey: Survey) -> Iterator[Finding]:
    yield from of_rules(survey, "D42")
    secrets, where = survey.site.secrets, survey.home.secrets
    missing = [name for name in TOKENS if not secrets.get(name, "").strip()]
    if missing:
        said = f"{where}: {', '.join(missing)} not set"
        yield fail(said, "a value for each token", "anvil-ctl doctor --fix, or: anvil-ctl init")
    elif weak := _weak(survey):
        said = f"{where}: {', '.join(weak)} has fewer than {_SHORTEST_TOKEN} characters"
        yield warn(said, "tokens that nobody guesses", NEW_TOKENS)
    else:
        yield ok(f"{where}: {', '.join(TOKENS)}")


def _ports(survey: Survey) -> Iterator[Finding]:
    """A port may be free, or held by a container of this installation, which will give it up."""
    config = survey.site.config
    wanted = dict.fromkeys(config.machine.control_ports(), "the control services")
    wanted |= {tier.port: f"tier {tier.id}" for tier in survey.of_mode.tiers}
    ours = {b.port for each in survey.ours if each.running for b in each.bindings}
    strange = sorted((need(survey.taken_ports) & wanted.keys()) - ours)
    for port in strange:
        owner = _owner(survey, port)
        edit = f"or set another port in {survey.home.definition}"
        stop = f"docker stop {owner}" if owner else f"stop it (ss -ltnp 'sport = :{port}')"
        who = f"container {owner}" if owner else "another program"
        said = f"port {port} of {wanted[port]} is held by {who}"
        yield fail(said, "a free port", f"{stop}, {edit}")
    if not strange:
        yield ok(f"{len(wanted)} ports are free, or ours")


def _owner(survey: Survey, port: int) -> str:
    ours = {each.name for each in survey.ours}
    for each in need(survey.containers):
        if each.running and each.name not in ours and port in {b.port for b in each.bindings}:
            return each.name
    return ""


def _hub(survey: Survey) -> Iterator[Finding]:
    seen = need(survey.store).models
    hub = [each for each in survey.rendered.tiers if each.revision]
    absent = [each.model for each in hub if each.weights not in seen]
    if not absent:
        return
    if survey.site.secrets.get("HF_TOKEN"):
        yield ok("HF_TOKEN is set")
    else:
        said = f"no HF_TOKEN in {survey.home.secrets}, and {', '.join(absent)} still to be pulled"
        remedy = f"add HF_TOKEN to {survey.home.secrets}, where a model asks for its licence"
        yield warn(said, "a token: without one pulls are slow, and gated models refused", remedy)


def _permissions(survey: Survey) -> Iterator[Finding]:
    mode, path = survey.home.secrets_mode, survey.home.secrets
    if mode is None:
        return
    if mode & 0o077:
        said = f"{path} holds secrets and others may read it (mode {mode:04o})"
        yield fail(said, "mode 0600", f"chmod 600 {path}")
    else:
        yield ok(f"{path} has mode {mode:04o}")


CHECKS = (
    Check("D40", "engines are on loopback", Status.FAIL, _engines, looking(Look.CONTAINERS)),
    Check("D41", "a router that others reach has a token", Status.FAIL, _router, gates=True),
    Check("D42", "tokens are set, and secrets are nowhere else", Status.FAIL, _tokens, gates=True),
    Check(
        "D43",
        "ports are free or ours",
        Status.FAIL,
        _ports,
        looking(Look.CONTAINERS, Look.PORTS),
        gates=True,
    ),
    Check(
        "D44",
        "there is a token for the hub",
        Status.WARN,
        _hub,
        looking(Look.VOLUMES),
    ),
    Check("D45", "secrets are private", Status.FAIL, _permissions),
)
