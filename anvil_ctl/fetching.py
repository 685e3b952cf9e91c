"""`pull` as one verb: what is asked for, planned in full, then brought piece by piece."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from anvil_ctl import store, supply
from anvil_ctl.config.modes import known
from anvil_ctl.docker import Docker
from anvil_ctl.errors import ConfigError, UsageError
from anvil_ctl.events import Report
from anvil_ctl.needs import Need, needs, of_source
from anvil_ctl.paths import bundle
from anvil_ctl.site import STORE_IMAGE, Site
from anvil_ctl.store import hub, take
from anvil_ctl.store.box import Box
from anvil_ctl.store.remembered import Remembered
from anvil_ctl.store.wheel import pip_download
from anvil_ctl.weights import source as sources
from anvil_ctl.weights.choice import Wish
from anvil_ctl.weights.plan import PullPlan
from anvil_ctl.weights.source import STARTER, HubSource, NotASource, Source

_RATE = "pull bytes per second"


@dataclass(frozen=True, slots=True)
class Options:
    """How to pull. `token_needed` is whether `token_env` has to be set."""

    wish: Wish
    terms: hub.Terms
    revision: str | None = None
    to: str | None = None
    token_env: str | None = None
    token_needed: bool = False


@dataclass(frozen=True, slots=True)
class Pulling:
    """The work of one `pull` in an installation."""

    site: Site
    docker: Docker
    report: Report
    options: Options

    @property
    def volume(self) -> str:
        return self.site.config.machine.models_volume

    def wanted(self, named: Sequence[str], mode: str | None) -> list[Need]:
        """What the command line names, as needs; those of a mode where it names one."""
        starter = store.read_starter(bundle()).path
        renderer = self.site.renderer
        of_mode = known(mode, "--mode") if mode else None
        defined = needs(self.site.config, renderer.engines, starter, of_mode)
        if mode and not named:
            return list(defined)
        if not named:
            raise UsageError(
                "pull: nothing is named",
                hint="anvil-ctl pull OWNER/NAME, or --mode MODE, or starter",
            )
        return [of_source(defined, each) or Need("", each, (), ()) for each in named]

    def plan(self, wanted: Sequence[Need]) -> list[Step]:
        """What each of them takes, all of it before anything moves."""
        unknown = [each for each in wanted if not each.source]
        if unknown:
            names = "; ".join(f"{each.weights} ({', '.join(each.users)})" for each in unknown)
            raise UsageError(
                f"where these come from is not said: {names}",
                hint=f"set source on the tier, or: {unknown[0].command}",
            )
        if self.options.to and len(wanted) > 1:
            raise UsageError("--to is for one source", hint="pull them one by one")
        named = [(each, _parsed(each.source)) for each in wanted]
        self._token(os.environ)
        self.prepare()
        return [self._step(need, source) for need, source in named]

    def carry_out(self, steps: Sequence[Step]) -> list[Step]:
        """Bring what is planned, in order; what is there before an error stays."""
        for each in steps:
            each.refuse()
        return [each.bring(self) for each in steps]

    def _step(self, need: Need, source: Source | None) -> Step:
        if isinstance(source, HubSource):
            return self._of_hub(need, source)
        return Step(need, self.options.to or need.weights, None)

    def _of_hub(self, need: Need, source: HubSource) -> Step:
        options, wish = self.options, self.options.wish
        wish = replace(
            wish,
            formats=need.formats or wish.formats,
            quant=wish.quant or source.quant,
        )
        revision = options.revision or source.revision or need.revision or "main"
        pinned = need.revision == revision
        why = f"pinned by {', '.join(need.users)}" if pinned else f"from {revision}"
        box = self.box()
        found = hub.plan(
            box,
            self.volume,
            source.repo,
            revision,
            wish,
            why=why,
            headroom=options.terms.headroom,
            rate=self.site.history.seconds().get(_RATE),
            anonymous=box.token is None,
        )
        to = options.to or ("" if need.revision else need.weights)
        return Step(need, to, found, revision)

    def box(self) -> Box:
        """The container's terms: the volume, the image and the token."""
        image = self.site.all_images()[STORE_IMAGE]
        return Box(image, self.volume, self._token(os.environ))

    def _token(self, environ: Mapping[str, str]) -> str | None:
        name = self.options.token_env
        if name is None:
            return None
        value = (environ.get(name) or self.site.secrets.get(name) or "").strip()
        if not value and self.options.token_needed:
            raise ConfigError(
                f"{name} is not set, neither in the environment nor in {self.site.home.secrets}",
                hint=f"export {name}=..., or pull with --no-token",
            )
        return value or None

    def prepare(self) -> None:
        """See that the store image and the volume are there."""
        if not self.docker.has_image(self.site.all_images()[STORE_IMAGE]):
            supply.bring_images(self.site, self.docker, self.report, [STORE_IMAGE])
        if not self.docker.volume_exists(self.volume):
            self.docker.create_volume(self.volume, store.LABELS)


@dataclass(frozen=True, slots=True)
class Step:
    """One source: its plan, where it has one, and once it is carried out what it came to."""

    need: Need
    to: str
    found: PullPlan | None
    revision: str = ""
    pulled: hub.Pulled | None = None

    def refuse(self) -> None:
        """GateError where it cannot fit."""
        if self.found:
            hub.refuse_without_room(self.found)

    def bring(self, pulling: Pulling) -> Step:
        """This step, carried out."""
        if self.found is None:
            pulled = _take(pulling, self.need.source, self.to)
        else:
            pulled = hub.carry_out(
                pulling.box(),
                self.found,
                self.revision,
                pulling.options.terms,
                pulling.report,
                to=self.to,
            )
        if pulled.moved:
            pulling.site.history.record(_RATE, pulled.moved / max(pulled.seconds, 0.001))
        Remembered(pulling.site.home.models).add(pulled.manifest)
        return replace(self, pulled=pulled)

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        if self.pulled is None:
            return (
                self.found.as_dict() if self.found else {"source": self.need.source, "to": self.to}
            )
        known = self.pulled.manifest
        return {
            **known.as_dict(),
            "moved": self.pulled.moved,
            "seconds": round(self.pulled.seconds, 2),
        }

    def __str__(self) -> str:
        if self.pulled is None:
            return str(self.found or f"{self.need.source}\n  to  {self.to}")
        known = self.pulled.manifest
        return f"{known.path}  {known.source} @ {known.revision[:12]}"


def _parsed(source: str) -> Source | None:
    """The source that a text names; None for the starter model."""
    try:
        return None if source == STARTER else sources.parse(source)
    except NotASource as error:
        raise UsageError(f"pull: {error}", hint="anvil-ctl pull --help") from error


def _take(pulling: Pulling, source: str, to: str) -> hub.Pulled:
    """A source that is no hub's."""
    home, history, report = pulling.site.home, pulling.site.history, pulling.report
    if source == STARTER:
        starter = store.read_starter(bundle())
        asked = take.of_starter(starter, home.cache, report, history, pip_download)
    else:
        found = sources.parse(source)
        if isinstance(found, HubSource):
            raise AssertionError(source)
        asked = take.of_source(found, to, home.cache, report, history)
    return take.take(pulling.box(), asked, pulling.options.terms, report)
