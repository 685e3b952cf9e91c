"""Which tiers may serve a request, in order. Pure: a name and a configuration in, a choice out."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from anvil_ctl.router.config import Config, Tier
from anvil_ctl.upstream.failure import Action, Failure

_PREFIXES = ("anvil/", "anvil:")
DEFAULT_PRESET = "chat"
# Presets whose work class has another name than they have.
_WORK_CLASSES = {"quick-edit": "bounded-edit"}


class Source(StrEnum):
    """How the request's model name was understood."""

    PRESET = "declared-preset"
    PINNED = "pinned"
    INFERRED = "inferred"


class Choice(msgspec.Struct, frozen=True):
    """The candidates, best first. A pinned choice has no substitutes."""

    source: Source
    preset: str | None
    candidates: tuple[Tier, ...]

    @property
    def work_class(self) -> str | None:
        """What kind of work a preset stands for."""
        return _work_class(self.preset)


@functools.lru_cache(maxsize=256)
def _work_class(preset: str | None) -> str | None:
    name = normalise(preset)
    return _WORK_CLASSES.get(name, name) or None


def resolve(config: Config, model: object) -> Choice:
    """Understand a model name:

    1. a preset gives its tiers in its order;
    2. a tier's id gives that tier alone;
    3. a served model's name gives the tiers that serve it;
    4. anything else gives the preset `chat`, or the first preset, or the first tier.

    A cloud tier costs money, so it is a candidate only where the operator said so: for a preset
    whose work class is in `metered_cloud`, and for its own name where that lists anything.
    """
    found = _named(config, normalise(model))
    return Choice(found.source, found.preset, tuple(_permitted(config, found)))


def _named(config: Config, name: str) -> Choice:
    for preset in config.presets:  # 1
        if normalise(preset) == name:
            return _preset(config, preset, Source.PRESET)
    for tier in config.tiers:  # 2
        if normalise(tier.id) == name:
            return Choice(Source.PINNED, None, (tier,))
    serving = tuple(tier for tier in config.tiers if tier.model and normalise(tier.model) == name)
    if serving:  # 3
        return Choice(Source.PINNED, None, serving)
    fallback = next((p for p in config.presets if normalise(p) == DEFAULT_PRESET), None)
    fallback = fallback or next(iter(config.presets), None)
    if fallback is not None:  # 4
        return _preset(config, fallback, Source.INFERRED)
    return Choice(Source.INFERRED, None, config.tiers[:1])


def known(config: Config) -> dict[str, Choice]:
    """What every name of the configuration means, spelled as it is there."""
    models = [tier.model for tier in config.tiers if tier.model]
    names = [*config.presets, *(tier.id for tier in config.tiers), *models]
    return {name: resolve(config, name) for name in names}


def normalise(model: object) -> str:
    """A model name in the form that names are compared in."""
    name = model.strip().lower() if isinstance(model, str) else ""
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix).strip()
    return name


def _permitted(config: Config, choice: Choice) -> Iterator[Tier]:
    if choice.source is Source.PRESET:
        metered = choice.work_class in config.metered_cloud
    else:
        metered = choice.source is Source.PINNED and bool(config.metered_cloud)
    for tier in choice.candidates:
        if tier.local or metered:
            yield tier


def _preset(config: Config, preset: str, source: Source) -> Choice:
    candidates = tuple(config.tier(tier_id) for tier_id in config.presets[preset])
    return Choice(source, preset, candidates)


class Refusal(msgspec.Struct, frozen=True):
    """The answer when no candidate served."""

    status: int
    kind: str
    message: str
    retry_after_s: int | None = None


Failed = tuple[Tier, Failure]


def worth_trying(tier: Tier, failed: Sequence[Failed]) -> bool:
    """Whether what went wrong so far could go right at this tier."""
    for other, failure in failed:
        if failure.action is Action.LARGER and tier.context_limit <= other.context_limit:
            return False
        alike = tier.dialect is other.dialect and tier.engine == other.engine
        if failure.action is Action.STOP and alike:
            return False
    return True


def refusal(failed: Sequence[Failed], exhaustion_status: int) -> Refusal:
    """What the client is told once every candidate has failed or was skipped."""
    actions = [failure.action for _tier, failure in failed]
    if Action.STOP in actions:
        return Refusal(400, "invalid_request_error", "The engine refused the request as invalid.")
    if actions and all(action is Action.LARGER for action in actions):
        return Refusal(
            413, "payload_too_large", "The request does not fit the model's context window."
        )
    waits = [f.retry_after_s for _tier, f in failed if f.retry_after_s is not None]
    return Refusal(
        exhaustion_status,
        "service_unavailable",
        "No model can serve the request now.",
        max(waits, default=None),
    )
