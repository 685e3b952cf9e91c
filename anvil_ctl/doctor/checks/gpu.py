"""The cards: that they are there, fit what is planned, and are each held by one engine."""

from __future__ import annotations

from collections.abc import Iterator

from anvil_ctl.config.model import Role
from anvil_ctl.docker_look import Seen
from anvil_ctl.doctor.check import Check, looking
from anvil_ctl.doctor.checks.verdicts import of_rules, overdue
from anvil_ctl.doctor.finding import Finding, Status, fail, ok, warn
from anvil_ctl.doctor.survey import CannotTellError, Look, Survey, Unknown, need
from anvil_ctl.hardware import Card, Cards
from anvil_ctl.renderer import ROOM

SEEN = "nvidia-smi -L"
# Use of a card that no ledger has: contexts, fragmentation. More than this is somebody's.
_UNTRACKED_MIB = 1024


def _roles(survey: Survey) -> dict[str, Role]:
    """The roles on cards that the mode's tiers use."""
    used = {tier.role for tier in survey.of_mode.tiers}
    roles = survey.site.config.machine.roles
    return {name: role for name, role in roles.items() if name in used and role.gpu_uuid}


def _cards(survey: Survey) -> Cards:
    """The cards of this machine; CannotTellError where the driver does not say."""
    found = need(survey.cards)
    if found.tool is None or not found.known:
        raise CannotTellError(Unknown(str(found), SEEN))
    return found


def _held(survey: Survey) -> Iterator[tuple[str, Role, Card]]:
    """Each role with the card that it names, of those that are in this machine."""
    for name, role in _roles(survey).items():
        card = _cards(survey).named(role.gpu_uuid or "")
        if card is not None:
            yield name, role, card


def _present(survey: Survey) -> Iterator[Finding]:
    for name, role in _roles(survey).items():
        found = _cards(survey) if survey.here else need(survey.cards)
        card = found.named(role.gpu_uuid or "")
        if card is not None:
            yield ok(f"role {name}: {card}")
            continue
        observed = f"role {name}: no card {role.gpu_uuid}; seen: {found}"
        if not survey.here:
            remedy = "none here: it is a plan (machine.plan_only)"
            yield warn(observed, "the role's card", remedy)
        else:
            free = [each for each in found.found if not _taken(survey, each)]
            uuid = free[0].uuid if len(free) == 1 else "UUID"
            remedy = f"anvil-ctl config set machine.roles.{name}.gpu_uuid {uuid}"
            yield fail(observed, "a card of this machine", remedy)


def _taken(survey: Survey, card: Card) -> bool:
    named = [role.gpu_uuid or "" for role in survey.site.config.machine.roles.values()]
    return any(card.uuid.lower() == each.lower() for each in named)


def _distinct(survey: Survey) -> Iterator[Finding]:
    roles = survey.site.config.machine.roles
    if any(role.gpu_uuid for role in roles.values()):
        yield ok("each role has a card of its own")


def _fits(survey: Survey) -> Iterator[Finding]:
    for each in survey.ledger.cards:
        if each.problems:
            yield fail("; ".join(each.problems), "models that fit", ROOM)
        else:
            yield ok(str(each))
    yield from of_rules(survey, "D12")
    if not survey.here or not survey.ledger.cards:
        return
    for name, role, card in _held(survey):
        if card.memory_mib is not None and (role.memory_mib or 0) > card.memory_mib:
            yield fail(
                f"role {name}: memory_mib is {role.memory_mib}, and {card.name} has "
                f"{card.memory_mib}",
                "no more than the card has",
                f"anvil-ctl config set machine.roles.{name}.memory_mib {card.memory_mib}",
            )


def _kernels(survey: Survey) -> Iterator[Finding]:
    yield from of_rules(survey, "D13")
    yield from overdue(survey)
    if not survey.here or not _roles(survey):
        return
    for name, role, card in _held(survey):
        said, real = role.compute_capability, card.compute_capability
        if said is not None and real is not None and said != real:
            yield fail(
                f"role {name}: compute_capability is {said}, and {card.name} has {real}",
                "the card's own: rules and kernels follow from it",
                f"anvil-ctl config set machine.roles.{name}.compute_capability {real}",
            )


def _pinned(survey: Survey) -> Iterator[Finding]:
    for tier in survey.rendered.tiers:
        service = survey.rendered.services[tier.id]
        if service.gpu_uuid is None:
            continue
        wanted = {
            "CUDA_VISIBLE_DEVICES": service.gpu_uuid,
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        }
        seen = survey.container(tier.id)
        has = service.environment if seen is None else seen.environment
        where = "is rendered" if seen is None else "runs"
        wrong = [name for name, value in wanted.items() if has.get(name) != value]
        if wrong:
            said = ", ".join(f"{name}={has.get(name, '')}" for name in wrong)
            again = f"anvil-ctl up --mode {survey.mode}"
            yield fail(f"tier {tier.id} {where} with {said}", f"its card {service.gpu_uuid}", again)
        else:
            yield ok(f"tier {tier.id} {where} with its card by UUID")


def _effective(survey: Survey) -> Iterator[Finding]:
    for tier in survey.rendered.tiers:
        uuid = survey.rendered.services[tier.id].gpu_uuid
        seen = survey.container(tier.id)
        if uuid is None or seen is None or not seen.running:
            continue
        pins = need(survey.deep).pins.get(tier.id, Unknown("not tried"))
        if isinstance(pins, Unknown):
            raise CannotTellError(Unknown(f"tier {tier.id}: {pins.reason}", pins.remedy))
        if [each.lower() for each in pins] == [uuid.lower()]:
            yield ok(f"a process of tier {tier.id} can use {uuid} alone")
        else:
            said = ", ".join(pins) or "none"
            again = f"anvil-ctl up --mode {survey.mode}"
            yield fail(f"a process of tier {tier.id} can use: {said}", f"{uuid} alone", again)


def _untracked(survey: Survey) -> Iterator[Finding]:
    ledgers = {each.role: each for each in survey.ledger.cards}
    if not survey.here or not ledgers:
        return
    for name, role, card in _held(survey):
        ledger = ledgers[name]
        if card.used_mib is None or card.memory_mib is None:
            continue
        tracked = _tracked(survey, role)
        if tracked is None:
            continue
        strange = max(card.used_mib - tracked, 0)
        others = _others(survey, role.gpu_uuid or "")
        who = f" (containers: {', '.join(others)})" if others else ""
        said = f"role {name}: {strange} MiB of {card.name} are used by what is not ours{who}"
        remedy = f"docker stop {others[0]}" if others else "nvidia-smi    lists processes"
        if strange + ledger.committed > card.memory_mib:
            fits = f"room for the {ledger.committed} MiB of the mode"
            yield fail(said, fits, remedy)
        elif strange > ledger.reserve + _UNTRACKED_MIB:
            yield warn(said, f"at most the reserve of {ledger.reserve}", remedy)
        else:
            yield ok(f"role {name}: {card.used_mib} MiB of {card.name} in use, {tracked} by us")


def _tracked(survey: Survey, role: Role) -> int | None:
    """MiB that our running containers on a card have as their budgets; None if one has none."""
    running = {each.name for each in survey.ours if each.running}
    config, renderer = survey.site.config, survey.site.renderer
    total = 0
    for mode, definition in config.modes.items():
        for tier in definition.enabled:
            its = config.machine.roles[tier.role]
            if its.gpu_uuid != role.gpu_uuid or renderer.container(mode, tier) not in running:
                continue
            if tier.vram_mib is None:
                return None
            total += tier.vram_mib
    return total


def _others(survey: Survey, uuid: str) -> list[str]:
    """Running containers of others that may use a card."""
    ours = {each.name for each in survey.ours}
    return [
        each.name
        for each in need(survey.containers)
        if each.running and each.name not in ours and uses(each, uuid)
    ]


def uses(container: Seen, uuid: str) -> bool:
    """Whether a container was given a card; one that names another by UUID was not."""
    pinned = container.environment.get("CUDA_VISIBLE_DEVICES", "")
    if pinned.startswith("GPU-"):
        return uuid.lower() in pinned.lower()
    given = [each.lower() for each in container.devices]
    return uuid.lower() in given or "all" in given


def _driver(survey: Survey) -> Iterator[Finding]:
    if not survey.here or not _roles(survey):
        return
    site = survey.site
    wanted: dict[int, str] = {}
    for tier in survey.rendered.tiers:
        minimum = site.renderer.engines[tier.engine].file.images[tier.image].driver
        if minimum:
            wanted.setdefault(minimum, f"{tier.engine}'s image")
    found = _cards(survey).found
    if not wanted or not found:
        return
    most, driver = max(wanted), found[0].driver
    if int(driver.partition(".")[0] or 0) >= most:
        yield ok(f"driver {driver}")
    else:
        expected = f"{most} or newer, which {wanted[most]} needs"
        yield fail(f"driver {driver}", expected, "update the NVIDIA driver (of Windows under WSL2)")


def _display(survey: Survey) -> Iterator[Finding]:
    yield from of_rules(survey, "D18")
    if not survey.here or not _roles(survey):
        return
    for name, role, card in _held(survey):
        if card.display and not role.display:
            yield warn(
                f"role {name}: a display is on {card.name}, and display is not set",
                "a reserve for the desktop",
                f"anvil-ctl config set machine.roles.{name}.display true",
            )


_CARDS = looking(Look.CARDS)

CHECKS = (
    Check("D10", "each role's card is here", Status.FAIL, _present, _CARDS, gates=True),
    Check("D11", "each role has its own card", Status.FAIL, _distinct),
    Check("D12", "models fit their cards", Status.FAIL, _fits, _CARDS, gates=True),
    Check("D13", "no rule speaks against a tier", Status.FAIL, _kernels, _CARDS, gates=True),
    Check("D14", "engines are pinned by UUID", Status.FAIL, _pinned, looking(Look.CONTAINERS)),
    Check(
        "D15",
        "engines can use their card alone",
        Status.FAIL,
        _effective,
        looking(Look.CONTAINERS),
    ),
    Check(
        "D16",
        "cards are not used by others",
        Status.FAIL,
        _untracked,
        looking(Look.CARDS, Look.CONTAINERS),
        gates=True,
    ),
    Check("D17", "the driver is new enough", Status.FAIL, _driver, _CARDS, gates=True),
    Check("D18", "a display has its reserve", Status.WARN, _display, _CARDS),
)
