"""What a caller means by the name of a model. Pure; no name is too strange."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from anvil_ctl.router.config import Config, Tier
from anvil_ctl.router.judgement.classify import Class, classify
from anvil_ctl.router.judgement.reading import Reading
from anvil_ctl.router.judgement.work import PRESET_OF, PRESETS, Work, known

_PREFIXES = ("anvil/", "anvil:")


class Source(StrEnum):
    """How the request's model name was understood."""

    PRESET = "declared-preset"
    PINNED = "pinned"
    INFERRED = "inferred"


class Named(msgspec.Struct, frozen=True):
    """What the name alone says. `tiers` is empty for a name that the configuration hasn't."""

    source: Source
    preset: str | None = None
    work: Work | None = None
    tiers: tuple[Tier, ...] = ()

    @property
    def alone(self) -> bool:
        """Whether one tier is all that it can come to; a pinned one may be redirected."""
        return self.source is Source.PRESET and len(self.tiers) == 1


class Intent(msgspec.Struct, frozen=True):
    """What is wanted: the class of work, and the tiers that may be asked, in the caller's order.

    `ambiguous`: neither the name nor the text says; then every tier may be asked, safest first.
    """

    source: Source
    preset: str | None
    work: Work | None
    pool: tuple[Tier, ...]
    ambiguous: bool = False
    keywords: tuple[str, ...] = ()

    @property
    def confidence(self) -> float:
        """From 0 to 1, for callers who decide by it."""
        if self.ambiguous:
            return 0.5
        return {Source.PRESET: 1.0, Source.PINNED: 0.9, Source.INFERRED: 0.8}[self.source]


class Hints(msgspec.Struct, frozen=True):
    """What a caller says beside the body. None of it can let a tier in that is kept out."""

    preset: str | None = None
    work: Work | None = None
    session: str | None = None
    no_cloud: bool = False


NO_HINTS = Hints()


def normalise(model: object) -> str:
    """A model name in the form that names are compared in."""
    name = model.strip().lower() if isinstance(model, str) else ""
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix).strip()
    return name


def named(config: Config, model: object) -> Named:
    """Understand a name: a preset, then a tier's id, then a served model's name, then nothing."""
    name = normalise(model)
    preset = _preset(config, name)
    if preset is not None:
        pool = tuple(config.tier(tier_id) for tier_id in config.presets[preset])
        return Named(Source.PRESET, preset, PRESETS.get(name), pool)
    tiers = tuple(tier for tier in config.tiers if normalise(tier.id) == name)
    if not tiers:
        tiers = tuple(t for t in config.tiers if t.model and normalise(t.model) == name)
    if tiers:
        return Named(Source.PINNED, tiers=tiers)
    return Named(Source.INFERRED)


def every_name(config: Config) -> dict[str, Named]:
    """What every name of the configuration means, spelled as it is there."""
    models = [tier.model for tier in config.tiers if tier.model]
    names = [*config.presets, *(tier.id for tier in config.tiers), *models]
    return {name: named(config, name) for name in names}


def resolve(config: Config, name: Named, reading: Reading, hints: Hints = NO_HINTS) -> Intent:
    """The intent behind a name and a text.

    1. A preset means its class and its tiers.
    2. A tier, or a served model, means that one; its class is what the text is about.
    3. Another name means the class of the hint, else of the text, and that class's preset; where
       there is none, or the text doesn't say, any tier: the safest first.
    """
    if name.source is Source.PRESET:  # 1
        return Intent(Source.PRESET, name.preset, name.work, name.tiers)
    found = classify(reading)
    if name.source is Source.PINNED:  # 2
        return Intent(Source.PINNED, None, found.work, name.tiers, keywords=found.keywords)
    return _inferred(config, found, hints)  # 3


def pool_of(config: Config, work: Work | None) -> tuple[Tier, ...]:
    """The tiers of a class's preset; none where the operator has no such preset."""
    preset = _preset(config, PRESET_OF[work]) if work is not None else None
    return () if preset is None else tuple(config.tier(each) for each in config.presets[preset])


def _inferred(config: Config, found: Class, hints: Hints) -> Intent:
    if hints.preset is not None and _preset(config, normalise(hints.preset)) is not None:
        hinted = named(config, hints.preset)
        return Intent(Source.INFERRED, hinted.preset, hints.work or hinted.work, hinted.tiers)
    if hints.work is not None:
        found = Class(hints.work, confident=True)
    preset = _preset(config, PRESET_OF[found.work])
    pool = pool_of(config, found.work)
    if found.confident and pool:
        return Intent(Source.INFERRED, preset, found.work, pool, keywords=found.keywords)
    everyone = {tier.id: tier for tier in (*safer(config), *pool, *config.tiers)}
    return Intent(
        Source.INFERRED,
        preset,
        found.work,
        tuple(everyone.values()),
        ambiguous=True,
        keywords=found.keywords,
    )


def safer(config: Config) -> tuple[Tier, ...]:
    """The tier that is least likely to fail: the first cloud tier, else the last of all."""
    clouds = [tier for tier in config.tiers if not tier.local]
    return tuple(clouds[:1] or config.tiers[-1:])


def hinted(
    intent: str | None, work: str | None, session: str | None, no_cloud: str | None
) -> Hints:
    """The hints of a request's headers; what isn't understood is no hint."""
    if not (intent or work or session or no_cloud):
        return NO_HINTS
    return Hints(intent, known(normalise(work)), session or None, no_cloud == "1")


def _preset(config: Config, name: str) -> str | None:
    """The configured preset of that normalised name, as the configuration spells it."""
    return next((each for each in config.presets if normalise(each) == name), None)
