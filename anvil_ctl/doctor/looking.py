"""The parts of one look, found side by side in a pool: each is a fact or why it is not known."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from anvil_ctl import docker_look, signatures
from anvil_ctl.config import Tier
from anvil_ctl.docker import Docker
from anvil_ctl.docker_look import Seen, VolumeSeen
from anvil_ctl.doctor import deep, store_look
from anvil_ctl.doctor.host_facts import taken
from anvil_ctl.doctor.survey import (
    NO_DAEMON,
    NO_JOURNAL,
    NOT_LOOKED,
    CannotTellError,
    Control,
    Deep,
    EngineSeen,
    JournalSeen,
    Look,
    Store,
    Survey,
    Unknown,
    need,
)
from anvil_ctl.errors import AnvilError
from anvil_ctl.hardware import read_cards
from anvil_ctl.service import LABEL
from anvil_ctl.site import Site

Fact = TypeVar("Fact")
_NOT_ASKED = Unknown("not asked (--offline)")


class Endpoints(Protocol):
    """The processes of an installation that answer over HTTP. None of these raises."""

    def router(self) -> Mapping[str, object] | None: ...
    def multiplexer(self) -> Mapping[str, object] | None: ...
    def engine(self, tier: Tier) -> EngineSeen: ...
    def token(self, tier: Tier) -> str: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a look is for: the mode (None for the one that is live), and which parts of it."""

    looks: frozenset[Look]
    mode: str | None = None
    offline: bool = False
    journal: JournalSeen = NO_JOURNAL


@dataclass(frozen=True, slots=True)
class Looking:
    """One look, with the pool that its parts run in and the time at which it ends."""

    survey: Survey
    wanted: Wanted
    pool: ThreadPoolExecutor
    deadline: float

    def at_all(self, endpoints: Callable[[Site], Endpoints] | None) -> Survey:
        """The survey with all that is wanted: what needs no other answer first."""
        cards = self._ask(Look.CARDS, read_cards)
        taken_ports = self._ask(Look.PORTS, self._taken)
        compose = self._ask(Look.COMPOSE, lambda: Docker().compose_version())
        refused = self._ask(Look.COMPOSE, self._refused)
        containers = self._ask(Look.CONTAINERS, docker_look.containers, docker=True)
        images = self._ask(Look.IMAGES, docker_look.image_references, docker=True)
        volumes = self._ask(Look.VOLUMES, self._volumes, docker=True)
        there = self._have(volumes)
        store = self._ask(Look.VOLUMES, lambda: self._store(there), docker=True)
        survey = replace(
            self.survey,
            cards=self._have(cards),
            taken_ports=self._have(taken_ports),
            compose=self._have(compose),
            refused=self._have(refused),
            containers=self._have(containers),
            images=self._have(images),
            volumes=there,
        )
        asked = (
            endpoints(survey.site) if endpoints and isinstance(survey.definition, Site) else None
        )
        if asked is not None:
            survey = self._running(survey, asked)
        survey = replace(survey, store=self._have(store))
        if asked is not None and Look.DEEP in self.wanted.looks:
            survey = replace(survey, deep=self._deep(survey, asked))
        return survey

    def _ask(
        self, look: Look, find: Callable[[], Fact], *, docker: bool = False
    ) -> Future[Fact | Unknown]:
        """Have it found in the pool; at once Unknown for what is not wanted, or cannot be had."""
        missing: Unknown | None = None if look in self.wanted.looks else NOT_LOOKED
        if docker and isinstance(self.survey.daemon, Unknown):
            missing = NO_DAEMON
        if missing is None:
            return self.pool.submit(_known, find)
        answer: Future[Fact | Unknown] = Future()
        answer.set_result(missing)
        return answer

    def _have(self, answer: Future[Fact | Unknown]) -> Fact | Unknown:
        try:
            return answer.result(max(self.deadline - time.monotonic(), 0))
        except LateError:
            return Unknown("no answer in the time for all checks")

    def _taken(self) -> frozenset[int]:
        machine = self.survey.site.config.machine
        return frozenset(
            taken([*machine.control_ports(), *(tier.port for tier in self.survey.of_mode.tiers)])
        )

    def _refused(self) -> str:
        """What Compose has against the rendered file."""
        files = self.survey.of_mode.files
        if files is None:
            raise CannotTellError(Unknown("the mode is not rendered"))
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / "compose.yaml"
            draft.write_text(files.compose, encoding="utf-8")
            try:
                Docker().project(files.project, draft).check()
            except AnvilError as error:
                return error.message
        return ""

    def _caches(self) -> list[str]:
        services = self.survey.of_mode.services.values()
        return sorted({cache.volume for each in services for cache in each.caches})

    def _volumes(self) -> Mapping[str, VolumeSeen]:
        models = self.survey.site.config.machine.models_volume
        return docker_look.volumes([models, *self._caches()])

    def _store(self, volumes: Mapping[str, VolumeSeen] | Unknown) -> Store:
        there = need(volumes)
        models = self.survey.site.config.machine.models_volume
        if models not in there:
            raise CannotTellError(Unknown(f"there is no volume {models}"))
        # Of every mode: the one that is left must be able to come back.
        modes = self.survey.site.config.modes.values()
        weights = sorted({tier.weights for each in modes for tier in each.enabled})
        caches = [each for each in self._caches() if each in there]
        return store_look.look(models, weights, caches)

    def _running(self, survey: Survey, endpoints: Endpoints) -> Survey:
        """What running processes say, and the last words of those that ended."""
        if isinstance(survey.containers, Unknown):
            unknown = survey.containers
            return replace(
                survey, router=unknown, multiplexer=unknown, engines=unknown, logs=unknown
            )
        running = {each.labels.get(f"{LABEL}.control") for each in survey.ours if each.running}
        control = {"router": endpoints.router, "multiplexer": endpoints.multiplexer}
        said = {
            name: self._endpoint(partial(_control, status))
            if name in running
            else _at_once(Unknown(f"the {name} does not run", f"anvil-ctl up --mode {survey.mode}"))
            for name, status in control.items()
        }
        engines = {
            tier.id: self._endpoint(partial(endpoints.engine, tier))
            for tier in survey.of_mode.tiers
            if _runs(survey, tier)
        }
        logs = self._ask(Look.LOGS, lambda: _last_words(survey.ours), docker=True)
        answers = {name: self._have(each) for name, each in engines.items()}
        known = {name: each for name, each in answers.items() if not isinstance(each, Unknown)}
        offline = next((each for each in answers.values() if isinstance(each, Unknown)), None)
        return replace(
            survey,
            router=self._have(said["router"]),
            multiplexer=self._have(said["multiplexer"]),
            engines=known if offline is None else offline,
            logs=self._have(logs),
        )

    def _endpoint(self, find: Callable[[], Fact]) -> Future[Fact | Unknown]:
        if self.wanted.offline:
            return _at_once(_NOT_ASKED)
        return self._ask(Look.ENDPOINTS, find, docker=True)

    def _deep(self, survey: Survey, endpoints: Endpoints) -> Deep | Unknown:
        """What costs something; one after the other, because each takes a card or an engine."""
        services = survey.of_mode.services
        if isinstance(survey.volumes, Unknown) or isinstance(survey.images, Unknown):
            return NO_DAEMON
        images, volumes = survey.images, survey.volumes
        running = [tier for tier in survey.of_mode.tiers if _runs(survey, tier)]
        answering = survey.engines if not isinstance(survey.engines, Unknown) else {}
        return Deep(
            cards={
                uuid: deep.card(uuid, image, images)
                for uuid, image in deep.images_by_card(survey.of_mode.tiers, services).items()
            },
            writes={
                cache.volume: deep.write(cache.volume, each)
                for each in services.values()
                for cache in each.caches
                if cache.volume in volumes
            },
            tokens={
                tier.id: endpoints.token(tier)
                for tier in running
                if tier.id in answering and answering[tier.id].status == 200
            },
            pins={
                tier.id: deep.pins(container)
                for tier in running
                if services[tier.id].gpu_uuid and (container := survey.container(tier.id))
            },
        )


def _known(find: Callable[[], Fact]) -> Fact | Unknown:
    """What is found, or why it is not known: a failure to look is an answer too."""
    try:
        return find()
    except CannotTellError as cannot:
        return cannot.unknown
    except AnvilError as error:
        return Unknown(error.message, error.hint)
    except (ValueError, KeyError, TypeError, OSError) as error:
        return Unknown(f"an answer could not be read ({type(error).__name__}: {error})")


def _control(status: Callable[[], Mapping[str, object] | None]) -> Control:
    return Control(status())


def _at_once(unknown: Unknown) -> Future[Any]:
    answer: Future[Any] = Future()
    answer.set_result(unknown)
    return answer


def _runs(survey: Survey, tier: Tier) -> bool:
    service = survey.of_mode.services.get(tier.id)
    name = service.container if service else ""
    return any(each.name == name and each.running for each in survey.ours)


def _last_words(containers: Iterable[Seen]) -> Mapping[str, str]:
    """The logs of containers that ended or were restarted."""
    ended = [each for each in containers if not each.running or each.restarts]
    return {
        each.name: docker_look.logs(each.name, signatures.LINES)
        for each in ended
        if each.status in ("exited", "dead", "restarting", "running")
    }
