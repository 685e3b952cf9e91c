"""From what a machine has, and what the user said, to what a definition is written with. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from anvil_ctl.config.model import Platform
from anvil_ctl.errors import AnvilError, UsageError
from anvil_ctl.hardware import Card, Cards, Host
from anvil_ctl.init.choices import GPU_QUERY, Asked, Gpu
from anvil_ctl.init.sites import Need, SiteTemplate, site_named

_WITHOUT_GPU = "cpu"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A site with its cards by role, why it is that one, and what the user should know of it.

    `plan_only` says that a card of it is not in this machine; `ram_mib` is None where nobody knows.
    """

    site: SiteTemplate
    why: str
    gpus: Mapping[str, Gpu]
    platform: Platform
    ram_mib: int | None
    plan_only: bool
    notes: tuple[str, ...] = ()


def propose(sites: Mapping[str, SiteTemplate], cards: Cards, host: Host, asked: Asked) -> Proposal:
    """The site and its cards. UsageError names what has to be said.

    AnvilError where the driver fails, so that nobody knows which cards there are.
    """
    if asked.site is None:
        if asked.gpus:
            raise UsageError("--gpu names a card of a site", hint=f"add --site: {', '.join(sites)}")
        site, why = choose_site(sites, cards)
    else:
        site, why = site_named(sites, asked.site), "asked for"
    gpus = _cards_of(site, cards, asked)
    absent = [each for each in gpus.values() if cards.known and not cards.named(each.uuid)]
    plan_only = bool(absent)
    return Proposal(
        site=site,
        why=why,
        gpus=gpus,
        platform=_platform(site, host, asked, plan_only=plan_only),
        ram_mib=_ram(site, host, gpus, plan_only=plan_only),
        plan_only=plan_only,
        notes=tuple(_notes(site, cards, gpus, absent)),
    )


def choose_site(sites: Mapping[str, SiteTemplate], cards: Cards) -> tuple[SiteTemplate, str]:
    """The most demanding site whose every role gets a card of this machine, and why it is that one.

    More roles are more demanding, and then more memory.
    """
    if not cards.known:
        raise AnvilError(
            f"{cards}. Which cards there are is unknown, and so is the site",
            hint="see that nvidia-smi works, or name a site: anvil-ctl init --site cpu",
        )
    for site in sorted(sites.values(), key=_demand, reverse=True):
        given = assign(site.roles, cards.found)
        if given and all(suits(need, as_gpu(given[role])) for role, need in site.roles.items()):
            said = ", ".join(f"{role} is {card}" for role, card in given.items())
            return site, said
    if not cards.found:
        return sites[_WITHOUT_GPU], str(cards)
    least = min(need.budget_mib for site in sites.values() for need in site.roles.values())
    return sites[_WITHOUT_GPU], (
        f"no card has {least} MiB beside its reserve, which the smallest site wants: {cards}"
    )


def assign(roles: Iterable[str], cards: Iterable[Card]) -> dict[str, Card]:
    """Roles in their order get the cards by memory, the largest first, equal ones by UUID.

    Empty where there are fewer cards than roles.
    """
    ranked = sorted(cards, key=lambda each: (-(each.memory_mib or 0), each.uuid.lower()))
    wanted = list(roles)
    return dict(zip(wanted, ranked, strict=False)) if len(ranked) >= len(wanted) else {}


def suits(need: Need, gpu: Gpu) -> bool:
    """Whether a role's models run on a card; not where its memory or architecture is unknown."""
    if gpu.memory_mib is None or gpu.compute_capability is None:
        return False
    new_enough = _version(gpu.compute_capability) >= _version(need.compute_capability)
    return new_enough and gpu.budget_mib >= need.budget_mib


def as_gpu(card: Card) -> Gpu:
    return Gpu(card.uuid, card.memory_mib, card.compute_capability, card.display, card.name)


def _cards_of(site: SiteTemplate, cards: Cards, asked: Asked) -> dict[str, Gpu]:
    """A card for every role: as the user said, else this machine's.

    Where the user said nothing and this machine's do not serve, all are the reference machine's.
    """
    if strange := asked.gpus.keys() - site.roles.keys():
        known = ", ".join(site.roles) or "none"
        raise UsageError(f"--gpu: site {site.name!r} has no GPU {min(strange)!r}; it has: {known}")
    left = [role for role in site.roles if role not in asked.gpus]
    found = {**asked.gpus, **_found(site, left, cards, asked)}
    complete = {role: _completed(gpu, cards, site, role) for role, gpu in found.items()}
    for role in site.roles:
        gpu = complete.get(role)
        if gpu is None or gpu.memory_mib is None or gpu.compute_capability is None:
            raise UsageError(
                f"site {site.name!r} needs --gpu {role}=UUID,MIB,CAPABILITY ({cards})",
                hint=GPU_QUERY,
            )
    return {role: complete[role] for role in site.roles}


def _found(site: SiteTemplate, roles: list[str], cards: Cards, asked: Asked) -> dict[str, Gpu]:
    """Cards for the roles that the user did not name any for; empty where none can be had."""
    if not roles:
        return {}
    if not cards.known:
        raise AnvilError(
            f"{cards}. Which cards there are is unknown",
            hint=f"see that nvidia-smi works, or name them: --gpu {roles[0]}=UUID,MIB,CAPABILITY",
        )
    said = {each.uuid.lower() for each in asked.gpus.values()}
    free = [each for each in cards.found if each.uuid.lower() not in said]
    own = {role: as_gpu(card) for role, card in assign(roles, free).items()}
    if site.reference is None or asked.gpus:
        return own
    if own and all(suits(site.roles[role], gpu) for role, gpu in own.items()):
        return own
    return {role: card.as_gpu() for role, card in site.reference.cards.items()}


def _completed(gpu: Gpu, cards: Cards, site: SiteTemplate, role: str) -> Gpu:
    """What the user did not say of a card, as the driver knows it, else as the site was made."""
    card = cards.named(gpu.uuid)
    better = as_gpu(card) if card else None
    if better is None and site.reference is not None:
        better = replace(site.reference.cards[role].as_gpu(), name="")
    if better is None:
        return gpu
    return Gpu(
        uuid=gpu.uuid,
        memory_mib=gpu.memory_mib or better.memory_mib,
        compute_capability=gpu.compute_capability or better.compute_capability,
        display=better.display if gpu.display is None else gpu.display,
        name=gpu.name or better.name,
    )


def _platform(site: SiteTemplate, host: Host, asked: Asked, *, plan_only: bool) -> Platform:
    if asked.platform is not None:
        return asked.platform
    if not plan_only:
        return host.platform
    if site.reference is not None:
        return site.reference.platform
    raise UsageError(
        f"site {site.name!r} needs --platform linux or --platform wsl2: what the machine runs that "
        "has these cards",
        hint="uname -r    there names microsoft under WSL2",
    )


def _ram(site: SiteTemplate, host: Host, gpus: Mapping[str, Gpu], *, plan_only: bool) -> int | None:
    if not plan_only:
        return host.ram_mib
    reference = site.reference
    if reference and {each.uuid for each in gpus.values()} == {
        each.uuid for each in reference.cards.values()
    }:
        return reference.ram_mib
    return None


def _notes(
    site: SiteTemplate, cards: Cards, gpus: Mapping[str, Gpu], absent: list[Gpu]
) -> Iterable[str]:
    if absent:
        yield f"not in this machine: {', '.join(each.uuid for each in absent)} ({cards})"
    elif gpus and not cards.known:
        yield f"whether the cards are in this machine is not known: {cards}"
    for role, gpu in gpus.items():
        if not suits(site.roles[role], gpu):
            need = site.roles[role]
            yield (
                f"{role} has {gpu.budget_mib} MiB beside its reserve and compute capability "
                f"{gpu.compute_capability}; the models of site {site.name!r} want "
                f"{need.budget_mib} and {need.compute_capability}: edit their tiers"
            )
    used = {each.uuid.lower() for each in gpus.values()}
    spare = [] if absent else [each for each in cards.found if each.uuid.lower() not in used]
    if spare:
        yield f"not used: {'; '.join(map(str, spare))}"


def _demand(site: SiteTemplate) -> tuple[int, int]:
    return len(site.roles), sum(need.budget_mib for need in site.roles.values())


def _version(capability: str) -> tuple[int, ...]:
    return tuple(map(int, capability.split(".")))
