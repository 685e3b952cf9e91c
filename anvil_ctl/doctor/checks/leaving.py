"""What runs now: that it can be left for another mode, and that it could come back."""

from __future__ import annotations

from collections.abc import Iterator

from anvil_ctl.config import MODES, Mode
from anvil_ctl.docker_look import Seen, is_here
from anvil_ctl.doctor.check import Check, looking
from anvil_ctl.doctor.finding import Finding, Status, fail, ok
from anvil_ctl.doctor.survey import Look, Survey, Unknown, need
from anvil_ctl.service import LABEL

# A container in one of these is on its way somewhere, or Docker has lost it.
_UNDECIDED = ("removing", "dead", "paused")


def _decided(survey: Survey) -> Iterator[Finding]:
    odd = [each for each in survey.ours if each.status in _UNDECIDED]
    for each in odd:
        remedy = f"docker {'unpause' if each.status == 'paused' else 'rm --force'} {each.name}"
        yield fail(f"{each.name} is {each.status}", "a container that can be stopped", remedy)
    if not odd:
        yield ok("every container of ours is in a state that can be left")


def _way_back(survey: Survey) -> Iterator[Finding]:
    """Of the mode that would have to come back if this one fails."""
    for mode, containers in _outgoing(survey).items():
        lost = [*_images(survey, containers), *_files(survey), *_weights(survey, mode)]
        for what in lost:
            said = f"{mode} could not come back: {what}"
            yield fail(said, "a way back", "bring it back, or go without: --skip-gate D71")
        if not lost:
            yield ok(f"{mode} could come back: its images, its files and its weights are here")


def _outgoing(survey: Survey) -> dict[Mode, list[Seen]]:
    label = f"{LABEL}.mode"
    found = {
        mode: [each for each in survey.ours if each.labels.get(label) == mode]
        for mode in MODES
        if mode != survey.mode
    }
    return {mode: containers for mode, containers in found.items() if containers}


def _images(survey: Survey, containers: list[Seen]) -> Iterator[str]:
    here = need(survey.images)
    for image in sorted({each.image for each in containers}):
        if not is_here(image, here):
            yield f"its image {image} is gone"


def _files(survey: Survey) -> Iterator[str]:
    for name in ("router.toml", "registry.json"):
        if survey.home.installed.get(name) is None:
            yield f"the installed {name} is gone"


def _weights(survey: Survey, mode: Mode) -> Iterator[str]:
    store = survey.store
    # A volume that is not there is D50's to say.
    if isinstance(store, Unknown):
        return
    for weights in sorted({tier.weights for tier in survey.site.config.modes[mode].enabled}):
        if weights not in store.models:
            yield f"its weights {weights} are gone"


CHECKS = (
    Check(
        "D70",
        "containers can be left",
        Status.FAIL,
        _decided,
        looking(Look.CONTAINERS),
        gates=True,
    ),
    Check(
        "D71",
        "what is live could come back",
        Status.FAIL,
        _way_back,
        looking(Look.CONTAINERS, Look.IMAGES, Look.VOLUMES),
        gates=True,
    ),
)
