"""What runs: images, containers, engines and the multiplexer, beside what should."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from anvil_ctl.config import Tier
from anvil_ctl.docker_look import Seen, is_here
from anvil_ctl.doctor.check import Check, looking
from anvil_ctl.doctor.checks.gpu import uses
from anvil_ctl.doctor.checks.verdicts import of_rules
from anvil_ctl.doctor.finding import Finding, Status, fail, info, ok, warn
from anvil_ctl.doctor.survey import (
    SHARED_MEMORY,
    CannotTellError,
    Look,
    Survey,
    Unknown,
    need,
)
from anvil_ctl.imagelock import digest_of
from anvil_ctl.service import LABEL

# What `docker stop` leaves behind: ended by itself, by SIGTERM, or by SIGKILL after the grace time.
_STOPPED = (0, 137, 143)


def _images(survey: Survey) -> Iterator[Finding]:
    yield from of_rules(survey, "D60")
    here, renderer = need(survey.images), survey.site.renderer
    used = {renderer.images[name] for name in ("control", "guard")}
    used |= {renderer.image(tier) for tier in survey.rendered.tiers}
    for reference in sorted(used):
        if is_here(reference, here):
            yield ok(f"{reference} is here")
        else:
            yield fail(f"{reference} is not here", "the image", "anvil-ctl images build")
    loose = sorted(used & set(survey.site.published().values()))
    if unlocked := [each for each in loose if digest_of(each) is None]:
        said = f"{', '.join(unlocked)} not locked: what runs is what the tag means when pulled"
        yield warn(said, "images by their digest", "anvil-ctl images lock")


def _control_of(seen: Seen) -> str:
    return seen.labels.get(f"{LABEL}.control", "")


def _should_run(survey: Survey) -> Iterator[tuple[str, str, Seen]]:
    """Containers that never stop by themselves: the name for `logs`, engine, container."""
    tiers = {tier.id: tier for tier in survey.rendered.tiers if not tier.swap}
    for each in survey.ours:
        tier = tiers.get(each.labels.get(f"{LABEL}.tier", ""))
        if _control_of(each):
            yield _control_of(each), "", each
        elif tier is not None and each.labels.get(f"{LABEL}.mode") == survey.mode:
            yield tier.id, tier.engine, each


def _containers(survey: Survey) -> Iterator[Finding]:
    for name, engine, seen in _should_run(survey):
        again = f"anvil-ctl logs {name}"
        died = seen.status in ("exited", "dead", "restarting")
        cause, fix = _diagnosis(survey, engine, seen) if died or seen.restarts else ("", "")
        if died:
            how = "ran out of memory" if seen.out_of_memory else f"exit status {seen.exit_code}"
            said = f"{seen.name} is {seen.status} ({how}){cause or seen.error}"
            yield fail(said, "running", fix or again)
        elif seen.status != "running":
            yield warn(
                f"{seen.name} is {seen.status}", "running", f"anvil-ctl up --mode {survey.mode}"
            )
        elif seen.restarts:
            said = f"{seen.name} was restarted {seen.restarts} times{cause}"
            yield warn(said, "a container that goes on running", fix or again)
        else:
            yield ok(f"{seen.name} runs")
    for each in _swapped(survey):
        if each.out_of_memory or (each.status == "exited" and each.exit_code not in _STOPPED):
            tier = each.labels.get(f"{LABEL}.tier", "")
            engine = next(t.engine for t in survey.rendered.tiers if t.id == tier)
            cause, fix = _diagnosis(survey, engine, each)
            said = f"{each.name} ended with status {each.exit_code}{cause}"
            yield warn(said, "to be stopped by the multiplexer", fix or f"anvil-ctl logs {tier}")


def _swapped(survey: Survey) -> list[Seen]:
    """The containers of the mode's tiers that the multiplexer starts and stops."""
    names = {survey.rendered.services[t.id].container for t in survey.rendered.tiers if t.swap}
    return [each for each in survey.ours if each.name in names]


def _diagnosis(survey: Survey, engine: str, seen: Seen) -> tuple[str, str]:
    """What its log means, to be put after what is said of it, and the fix; "" where unknown."""
    log = need(survey.logs).get(seen.name, "")
    found = survey.signatures.classify(engine, f"{log}\n{seen.error}", seen.exit_code)
    return (f": {found}", found.signature.fix) if found else ("", "")


def _engines(survey: Survey) -> Iterator[Finding]:
    containers = {tier.id: survey.container(tier.id) for tier in survey.rendered.tiers}
    if not any(containers.values()):
        live = {each.labels.get(f"{LABEL}.mode", "") for each in survey.ours} - {""}
        start = f"anvil-ctl switch {survey.mode}" if live else f"anvil-ctl up --mode {survey.mode}"
        yield info(f"{survey.mode} is not running", "", start)
        return
    for tier in survey.rendered.tiers:
        seen = containers[tier.id]
        if seen is None:
            again = f"anvil-ctl up --mode {survey.mode}"
            yield fail(f"tier {tier.id} has no container", "one", again)
        elif seen.running:
            yield from _answers(survey, tier, seen)


def _answers(survey: Survey, tier: Tier, seen: Seen) -> Iterator[Finding]:
    found = need(survey.engines).get(tier.id)
    if found is None or found.status != 200:
        how = "nothing" if found is None or found.status is None else str(found.status)
        if seen.health == "starting":
            limit = f"up to {tier.longest_start_s} s"
            yield info(f"tier {tier.id} loads", limit, f"anvil-ctl logs {tier.id} --follow")
        else:
            said = f"tier {tier.id} runs, and its port answers {how}"
            yield fail(said, "an engine that answers", f"anvil-ctl logs {tier.id}")
        return
    deep = survey.deep
    said = "" if isinstance(deep, Unknown) else deep.tokens.get(tier.id, "")
    if said:
        yield fail(said, "one token", f"anvil-ctl logs {tier.id}")
    else:
        proved = "" if isinstance(deep, Unknown) else ", and makes a token"
        yield ok(f"tier {tier.id} answers{proved}")


def _right_port(survey: Survey) -> Iterator[Finding]:
    right = 0
    for tier in survey.rendered.tiers:
        name = survey.rendered.services[tier.id].container
        owner = next((each for each in survey.ours if _publishes(each, tier.port)), None)
        if owner is None:
            continue
        if owner.name == name or owner.labels.get(f"{LABEL}.mode") != survey.mode:
            right += 1
            continue
        again = f"anvil-ctl up --mode {survey.mode}"
        said = f"port {tier.port} of tier {tier.id} leads to {owner.name}"
        yield fail(said, f"{name}", again)
    if right:
        yield ok("each port leads to its own container")


def _publishes(seen: Seen, port: int) -> bool:
    return seen.running and port in {binding.port for binding in seen.bindings}


def _others(survey: Survey) -> Iterator[Finding]:
    """The other mode's containers beside this one's, and strangers that may use a role's card."""
    modes: dict[str, list[Seen]] = {}
    for each in survey.ours:
        if mode := each.labels.get(f"{LABEL}.mode"):
            modes.setdefault(mode, []).append(each)
    other = {mode: found for mode, found in modes.items() if mode != survey.mode}
    for mode, found in other.items():
        names = ", ".join(each.name for each in found)
        beside = survey.mode in modes
        if beside and any(each.running for each in found):
            yield fail(
                f"{names} of {mode} run beside {survey.mode}", "one mode", "anvil-ctl recover"
            )
        elif beside:
            yield warn(f"{names} of {mode} are left over", "one mode", f"docker rm {names}")
        else:
            yield info(f"{mode} has its containers there")
    strangers = _strangers(survey)
    for role, seen in strangers:
        if seen.running:
            said = f"{seen.name} runs and may use the card of role {role}"
            yield warn(said, "cards for this installation alone", f"docker stop {seen.name}")
    if not other and not strangers:
        yield ok("nothing else runs on the mode's roles")


def _strangers(survey: Survey) -> list[tuple[str, Seen]]:
    """Containers of others that may use a role's card, with the role."""
    ours = {each.name for each in survey.ours}
    roles = survey.site.config.machine.roles
    return [
        (name, each)
        for name, role in roles.items()
        for each in need(survey.containers)
        if role.gpu_uuid and each.name not in ours and uses(each, role.gpu_uuid)
    ]


def _policies(survey: Survey) -> Iterator[Finding]:
    wrong = False
    for tier in survey.rendered.tiers:
        seen = survey.container(tier.id)
        wanted = "no" if tier.swap else "unless-stopped"
        if seen is not None and seen.restart_policy != wanted:
            wrong = True
            said = f"{seen.name} has the restart policy {seen.restart_policy}"
            yield warn(said, wanted, f"docker update --restart {wanted} {seen.name}")
    for role, seen in _strangers(survey):
        if seen.restart_policy != "no":
            wrong = True
            said = f"{seen.name} comes back by itself on the card of role {role}"
            yield warn(said, "no", f"docker update --restart no {seen.name}")
    if not wrong:
        yield ok("containers come back as they should")


def _journal(survey: Survey) -> Iterator[Finding]:
    journal = survey.home.journal
    if journal.lock_holder is not None:
        yield info(f"{journal.lock_holder} is changing the stack", "", "wait for it to end")
    elif journal.interrupted is not None:
        said = f"a command was cut off ({journal.interrupted})"
        yield fail(said, "commands that ended", "anvil-ctl recover")
    else:
        yield ok("no command was cut off")


def _shared_memory(survey: Survey) -> Iterator[Finding]:
    if any(each.running and each.shares_memory for each in need(survey.containers)):
        return
    left = survey.station.shared_memory
    if left:
        size = sum(left.values()) / 1e6
        said = f"{SHARED_MEMORY} has {len(left)} files of engines that have ended ({size:.0f} MB)"
        names = " ".join(f"{SHARED_MEMORY}/{name}" for name in sorted(left)[:4])
        yield warn(said, "memory that is free", f"rm {names}")
    else:
        yield ok(f"engines left nothing in {SHARED_MEMORY}")


def _multiplexer(survey: Survey) -> Iterator[Finding]:
    if not any(_control_of(each) == "multiplexer" for each in survey.ours):
        return
    text = survey.home.installed.get("registry.json")
    try:
        rows = {str(row["tier"]) for row in json.loads(text or "")["models"]}
    except (ValueError, KeyError, TypeError):
        again = f"anvil-ctl up --mode {survey.mode}"
        yield fail("the multiplexer's registry is not installed, or broken", "the mode's", again)
        return
    said = need(survey.multiplexer).said
    if said is None:
        raise CannotTellError(
            Unknown("the multiplexer does not answer", "anvil-ctl logs multiplexer")
        )
    models = said.get("models")
    known = {str(row["tier"]) for row in models} if isinstance(models, list) else set()
    if known != rows:
        yield fail(
            f"the multiplexer has the models {', '.join(sorted(known)) or 'none'}",
            f"those of its registry: {', '.join(sorted(rows)) or 'none'}",
            f"anvil-ctl up --mode {survey.mode}",
        )
        return
    yield ok(f"the multiplexer has its registry, with {len(rows)} models")
    yield from _roles(said)


def _roles(said: Mapping[str, object]) -> Iterator[Finding]:
    roles = said.get("roles")
    for name, role in (roles if isinstance(roles, dict) else {}).items():
        if role.get("last_error"):
            problem = f"role {name}: {role['last_error']}"
            yield warn(problem, "swaps that succeed", "anvil-ctl logs multiplexer")
        else:
            resident = role.get("resident") or "nothing"
            yield ok(f"role {name} is {role.get('state')}, with {resident} loaded")
    parking = said.get("parking")
    for name, found in (parking if isinstance(parking, dict) else {}).items():
        if found.get("state") == "given up":
            problem = f"{name} is stopped instead of parked: {found.get('reason')}"
            expected = f"the model as it was after {found.get('way')}"
            yield warn(problem, expected, "anvil-ctl logs multiplexer")


_CONTAINERS = looking(Look.CONTAINERS)
_ENDPOINTS = looking(Look.CONTAINERS, Look.ENDPOINTS)

CHECKS = (
    Check("D60", "images are here", Status.FAIL, _images, looking(Look.IMAGES), gates=True),
    Check(
        "D61",
        "containers run and go on running",
        Status.FAIL,
        _containers,
        looking(Look.CONTAINERS, Look.LOGS),
    ),
    Check("D62", "engines answer", Status.FAIL, _engines, _ENDPOINTS),
    Check("D63", "ports lead to their containers", Status.FAIL, _right_port, _CONTAINERS),
    Check("D64", "nothing else is on the roles", Status.FAIL, _others, _CONTAINERS),
    Check("D65", "containers come back as they should", Status.WARN, _policies, _CONTAINERS),
    Check("D66", "no command was cut off", Status.FAIL, _journal),
    Check("D68", "nothing is left in shared memory", Status.WARN, _shared_memory, _CONTAINERS),
    Check("D69", "the multiplexer has its models", Status.FAIL, _multiplexer, _ENDPOINTS),
)
