"""The profile of a running router: where it comes from, what made it stale, and writing it back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from anvil_ctl.errors import AnvilError
from anvil_ctl.router.config import Config, Tier
from anvil_ctl.router.judgement.work import Work
from anvil_ctl.router.profile import file as files
from anvil_ctl.router.profile.file import File
from anvil_ctl.router.profile.fingerprint import differences, digest, identity
from anvil_ctl.router.profile.row import Row, Verdict, unmeasured
from anvil_ctl.router.profile.store import Profile

log = logging.getLogger(__name__)

FILE = "profile.json"


class Keeper:
    """One configuration's profile. `path` None: nothing can be written back."""

    def __init__(
        self, config: Config, profile: Profile, file: File | None, path: Path | None
    ) -> None:
        self.profile = profile
        self._config = config
        self._file = file
        self._path = path
        self._served: dict[str, str] = {}
        self._writing = asyncio.Lock()

    @property
    def source(self) -> str:
        """Where the rows come from, for people."""
        return str(self._path) if self._file is not None else "seeds"

    def refresh(self) -> dict[str, list[Work | None]]:
        """Compare every tier with what was measured; the classes that became stale by it."""
        found = {tier.id: self._apply(tier) for tier in self._config.tiers}
        stale = {tier: classes for tier, classes in found.items() if classes}
        for tier, classes in stale.items():
            names = ", ".join(str(each) for each in classes)
            log.warning("profile: tier %s is not what was measured for: %s", tier, names)
        return stale

    def seen(self, tier: Tier, model: str) -> list[Work | None]:
        """An engine names the model that it serves; the classes that became stale by it."""
        if model == tier.model:
            self._served.pop(tier.id, None)
        else:
            self._served[tier.id] = model
        return self._apply(tier)

    async def grade(
        self,
        tier: Tier,
        work: Work | None,
        *,
        score: float | None,
        verdict: Verdict | None,
        measured: str | None = None,
        weight: int = 1,
        graded: str | None = None,
    ) -> Row:
        """Take in a grade, or a verdict of the operator's, and write the profile back.

        Without a score the row's own stays. `graded`: the fingerprint of what was graded, if that
        is known; AnvilError where the tier is another by now. Raises AnvilError too if the profile
        can't be written; the grade holds then until the router stops.
        """
        who = self._identity(tier)
        if graded is not None and graded != digest(who):
            raise AnvilError(
                f"tier {tier.id} is no longer what was graded", hint="grade it as it is now"
            )
        kept = self.profile.score(tier.id, work)
        row = self.profile.grade(
            tier.id,
            work,
            kept if score is None else score,
            local=tier.local,
            verdict=verdict,
            measured=measured,
            weight=0 if score is None else weight,
            fingerprint=digest(who),
            identity=who,
        )
        await self._write()
        return row

    def table(self) -> list[dict[str, object]]:
        """Every tier and class, measured or not, as JSON."""
        rows: list[dict[str, object]] = []
        for tier in self._config.tiers:
            now = self._identity(tier)
            rows += [self._line(tier, work, now) for work in Work]
        return rows

    def _line(self, tier: Tier, work: Work, now: Mapping[str, object]) -> dict[str, object]:
        row = self.profile.row(tier.id, work)
        line: dict[str, object] = {
            "tier": tier.id,
            "work_class": work.value,
            "fingerprint": digest(now),
        }
        if row is None:
            verdict = unmeasured(work, local=tier.local).value
            return {**line, "verdict": verdict, "origin": "unmeasured", "stale": False, "why": []}
        return {
            **line,
            "verdict": row.effective.value,
            "stored_verdict": row.verdict.value,
            "origin": "profile" if self.profile.is_own(tier.id, work) else "seed",
            "score": row.score,
            "samples": row.samples,
            "measured": row.measured,
            "stale": row.stale,
            "why": differences(row.identity, now) if row.stale else [],
        }

    def _identity(self, tier: Tier) -> dict[str, object]:
        return identity(tier, self._config.mode, self._served.get(tier.id))

    def _apply(self, tier: Tier) -> list[Work | None]:
        who = self._identity(tier)
        return self.profile.apply(tier.id, digest(who), who)

    async def _write(self) -> None:
        if self._path is None:
            raise AnvilError(
                "the profile can't be written: neither profile_path nor state_path is set",
                hint="set state_path in [router]",
            )
        data = files.dump(self.profile, self._config.mode, self._file, self._config.mapping_version)
        async with self._writing:
            try:
                await asyncio.to_thread(files.write, self._path, data)
            except OSError as error:
                raise AnvilError(f"the profile can't be written: {error}") from error
            self._file = files.read_file(data, self._path)


def open_profile(config: Config) -> Keeper:
    """The configuration's profile, compared with its tiers. Raises ConfigError.

    1. `profile_path` says which file: without it, or with a wrong one, there is no router;
    2. else the file that this router wrote into its `state_path` before;
    3. else the seeds.
    """
    named, state = _paths(config)
    path = named or (None if state is None else state / FILE)
    if path is not None and (named is not None or path.exists()):
        loaded = files.load(path, config.mode, [tier.id for tier in config.tiers])
        for warning in loaded.warnings:
            log.warning("%s", warning)
        log.info("profile: %s", path)
        keeper = Keeper(config, loaded.profile, loaded.file, path)
    else:
        keeper = Keeper(config, Profile(), None, path)
    keeper.refresh()
    return keeper


def state_folder(config: Config) -> Path | None:
    """Where the router keeps what outlives it, if anywhere."""
    return _paths(config)[1]


def _paths(config: Config) -> tuple[Path | None, Path | None]:
    base = Path(config.file).parent

    def resolved(name: str | None) -> Path | None:
        return None if name is None else base / Path(name).expanduser()

    return resolved(config.judgement.profile_path), resolved(config.judgement.state_path)
