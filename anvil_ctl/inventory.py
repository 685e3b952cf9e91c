"""The images of an installation: what each is, where it comes from, and who runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from anvil_ctl.docker import LocalImage
from anvil_ctl.errors import AnvilError
from anvil_ctl.imagelock import digest_of
from anvil_ctl.images.image import BUILD_LABEL
from anvil_ctl.images.registry import Registry
from anvil_ctl.site import CONTROL_IMAGES, STORE_IMAGE, Site

Look = Callable[[str], LocalImage | None]


class Origin(StrEnum):
    """Where an image comes from."""

    BUILT = "built here"
    OFFICIAL = "official"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class Row:
    """One image. `size` is bytes, 0 where it is not here; `digest` is what it is locked to."""

    name: str
    engine: str | None
    variant: str | None
    reference: str
    digest: str | None
    origin: Origin
    present: bool
    size: int
    needed: bool
    used_by: tuple[str, ...]


def rows(site: Site, look: Look) -> list[Row]:
    """Every image of the control project and of every engine, in order of name."""
    needed, users = site.needed_images(), _users(site)
    found = []
    for name, reference in sorted(site.all_images().items()):
        local = look(reference)
        engine, _, variant = name.rpartition("-")
        found.append(
            Row(
                name=name,
                engine=engine or None,
                variant=variant if engine else None,
                reference=reference,
                digest=digest_of(reference),
                origin=_origin(site, name, reference, local),
                present=local is not None,
                size=local.size if local else 0,
                needed=name in needed,
                used_by=users.get(name, ()),
            )
        )
    return found


def _users(site: Site) -> Mapping[str, tuple[str, ...]]:
    """Who runs each image: `MODE/TIER`, and for a tier that is off that it is."""
    found: dict[str, list[str]] = {name: [name_of_control(name)] for name in CONTROL_IMAGES}
    found[STORE_IMAGE] = ["pull, models"]
    for mode, definition in site.config.modes.items():
        for tier in definition.tiers:
            off = "" if tier.enabled else " (off)"
            found.setdefault(f"{tier.engine}-{tier.image}", []).append(f"{mode}/{tier.id}{off}")
    return {name: tuple(users) for name, users in found.items()}


def name_of_control(image: str) -> str:
    return "router, multiplexer" if image == "control" else image


def _origin(site: Site, name: str, reference: str, local: LocalImage | None) -> Origin:
    if digest_of(reference):
        return Origin.LOCKED
    image = site.catalog.get(name)
    if image is None or reference != image.tag:
        return Origin.OFFICIAL
    # An official image that was pulled has our tag too, and not the label that our builds get.
    pulled = local is not None and BUILD_LABEL not in local.labels
    return Origin.OFFICIAL if pulled and name in site.published() else Origin.BUILT


class State(StrEnum):
    """How an image stands against the lock."""

    OK = "ok"
    MISSING = "missing"
    MOVED = "moved"
    UNLOCKED = "not locked"
    UNASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Check:
    """One published image against the lock; `ok` is false for what keeps a mode from starting."""

    name: str
    reference: str
    state: State
    ok: bool
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.text}. next: {self.remedy}" if self.remedy else self.text


def check(site: Site, look: Look, registry: Registry | None) -> list[Check]:
    """What the definition's published images are, against the lock and, if given, a registry."""
    published, found, silent = site.published(), list[Check](), list[str]()
    for row in rows(site, look):
        if row.name not in published or not row.used_by or row.origin is Origin.BUILT:
            continue
        reference = published[row.name]
        found.append(_here(row, reference, look))
        if row.digest and registry and "@" not in reference and not silent:
            moved = _moved(row, reference, registry, silent)
            found += [moved] if moved else []
    return found


def _here(row: Row, reference: str, look: Look) -> Check:
    if row.digest is None:
        text = f"{reference} is not locked: what runs is what the tag means when it is pulled"
        return Check(row.name, reference, State.UNLOCKED, True, text, "anvil-ctl images lock")
    if row.present:
        return Check(row.name, reference, State.OK, True, f"{row.reference} is here")
    by_tag = look(reference)
    other = f"; the tag alone is here, as {_shown(by_tag)}" if by_tag else ""
    missing = f"{row.reference} is not here{other}"
    command = "anvil-ctl images build" + ("" if row.needed else f" {row.name}")
    # A tier that is off may lack its image: nothing is about to run it.
    return Check(row.name, reference, State.MISSING, not row.needed, missing, command)


def _shown(local: LocalImage) -> str:
    digests = sorted(each.partition("@")[2] for each in local.digests)
    return digests[0] if digests else f"{local.id}, which was loaded or built and not pulled"


def _moved(row: Row, reference: str, registry: Registry, silent: list[str]) -> Check | None:
    try:
        now = registry.digest(reference)
    except AnvilError as error:
        silent.append(error.message)
        text = f"whether tags have moved is not known: {error.message}"
        return Check(row.name, reference, State.UNASKED, True, text)
    if now == row.digest:
        return None
    text = f"{reference} has moved to {now}; what is locked runs on"
    return Check(row.name, reference, State.MOVED, True, text, "anvil-ctl images lock takes it")


def resolve(site: Site, registry: Registry, *, every: bool) -> dict[str, str]:
    """The digest of each published image that a tier uses, or of every engine's.

    AnvilError at the first that there is none for: half a lock would be worse than the old one.
    """
    users = _users(site)
    wanted = {
        reference
        for name, reference in site.published().items()
        if "@" not in reference and (every or name in users)
    }
    return {reference: registry.digest(reference) for reference in sorted(wanted)}
