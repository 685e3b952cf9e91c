"""The weights of an installation: the volume's records joined with who needs them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from anvil_ctl import store
from anvil_ctl.docker import Docker
from anvil_ctl.errors import GateError, UsageError
from anvil_ctl.events import Event, Report, State, silent
from anvil_ctl.fetching import Options, Pulling
from anvil_ctl.needs import Need, needs
from anvil_ctl.paths import bundle
from anvil_ctl.site import Site
from anvil_ctl.store.box import Store
from anvil_ctl.store.hub import Terms
from anvil_ctl.store.progress import Progress
from anvil_ctl.store.remembered import Remembered
from anvil_ctl.weights import manifest
from anvil_ctl.weights.choice import Wish, gigabytes
from anvil_ctl.weights.facts import Facts
from anvil_ctl.weights.manifest import Manifest
from anvil_ctl.weights.plan import duration


@dataclass(frozen=True, slots=True)
class Row:
    """One model. `used_by` are MODE/TIER; `last_used` is seconds since the epoch."""

    manifest: Manifest
    missing: tuple[str, ...]
    used_by: tuple[str, ...]
    engines: tuple[str, ...]
    last_used: float | None = None
    linked: bool = False

    @property
    def facts(self) -> Facts | None:
        """Of the only model in it, or of the first."""
        return next(iter(self.manifest.models.values()), None)

    @property
    def state(self) -> str:
        return f"lacks {len(self.missing)} files" if self.missing else "whole"

    def cells(self) -> tuple[str, ...]:
        """One line of `models ls`."""
        facts = self.facts
        return (
            self.manifest.path,
            self.manifest.source.partition("#")[0],
            facts.format if facts else "?",
            "link" if self.linked else gigabytes(self.manifest.size),
            ", ".join(dict.fromkeys(each.quantization for each in self.manifest.models.values()))
            or "?",
            ", ".join(self.engines) or "none",
            ", ".join(self.used_by) or "-",
            self.state,
        )

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            **self.manifest.as_dict(),
            "size": self.manifest.size,
            "missing": list(self.missing),
            "used_by": list(self.used_by),
            "engines": list(self.engines),
            "last_used": self.last_used,
            "linked": self.linked,
        }

    def __str__(self) -> str:
        known = self.manifest
        rows = [
            ("from", known.source),
            ("revision", known.revision),
            ("licence", known.license or "not said"),
            ("pulled", known.pulled_at),
            ("size", f"{gigabytes(known.size)} in {len(known.files)} files"),
            ("state", self.state),
            ("engines", ", ".join(self.engines) or "none"),
            ("used by", ", ".join(self.used_by) or "no tier"),
            ("last read", _ago(self.last_used)),
        ]
        for name, facts in known.models.items():
            rows += [("model", name or known.path), *_told(facts)]
        rows += [("file", f"{each.sha256}  {each.size:>14}  {each.path}") for each in known.files]
        width = max(len(name) for name, _text in rows)
        return "\n".join([known.path, *(f"  {name:<{width}}  {text}" for name, text in rows)])


@dataclass(frozen=True, slots=True)
class Shelf:
    """All that the volume has, with what is to be said of it. `free` is bytes."""

    rows: tuple[Row, ...]
    remarks: tuple[str, ...]
    free: int

    def one(self, what: str) -> Row:
        """The row that is meant; UsageError where none or several are."""
        found = [each for each in self.rows if what in {each.manifest.path, each.manifest.source}]
        found = found or [each for each in self.rows if each.manifest.path.endswith(f"/{what}")]
        found = found or [each for each in self.rows if what in each.manifest.path]
        if len(found) == 1:
            return found[0]
        named = ", ".join(each.manifest.path for each in found or self.rows) or "nothing"
        said = "several could be meant" if found else "the volume has"
        raise UsageError(f"{what!r}: {said}: {named}", hint="anvil-ctl models ls")

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        rows = [each.as_dict() for each in self.rows]
        return {"models": rows, "remarks": list(self.remarks), "free": self.free}


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification found of one model: its broken files, each with the reason."""

    path: str
    source: str
    size: int
    files: int
    broken: tuple[tuple[str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        broken = [{"path": path, "why": why} for path, why in self.broken]
        return {**asdict(self), "broken": broken}

    def __str__(self) -> str:
        if not self.broken:
            return f"{self.path}  whole: {self.files} files, {gigabytes(self.size)}"
        lines = [f"{self.path}  broken: {len(self.broken)} of {self.files} files"]
        lines += [f"  {path}: {why}" for path, why in self.broken]
        source = self.source.partition("#")[0]
        return "\n".join([*lines, f"  next: anvil-ctl pull {source} --verify"])


@dataclass(frozen=True, slots=True)
class Removed:
    """What was taken away, and the bytes that this gave back; or would be, with `dry_run`."""

    what: tuple[str, ...]
    freed: int
    dry_run: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)

    def __str__(self) -> str:
        done = "would remove" if self.dry_run else "removed"
        named = "\n".join(f"{done} {each}" for each in self.what) or "there is nothing to remove"
        back = "at most, less what other models share" if self.dry_run else "given back"
        return f"{named}\n{gigabytes(self.freed)} {back}"


@dataclass(frozen=True, slots=True)
class Models:
    """The verbs of `models` for one installation."""

    site: Site
    store: Store
    volume: str

    @classmethod
    def opened(cls, site: Site, docker: Docker) -> Models:
        """With the store's image and the volume there."""
        pulling = Pulling(site, docker, silent, Options(Wish(), Terms()))
        pulling.prepare()
        return cls(site, pulling.box(), pulling.volume)

    def shelf(self) -> Shelf:
        """What the volume has now."""
        found = shelf_of(self.site, self.store.ask("shelf", {}, lambda _said: None))
        Remembered(self.site.home.models).replace(whole(found.rows))
        return found

    def verify(self, what: str | None, report: Report, *, quick: bool) -> list[Verified]:
        """Look at one model's files again, or at all."""
        paths = [self.shelf().one(what).manifest.path] if what else []
        started = time.monotonic()
        tell = Progress("verify", what or self.volume, report)
        said = self.store.ask("verify", {"paths": paths, "quick": quick}, tell)
        found = [_verified(each) for each in said]
        size, took = sum(each.size for each in found), time.monotonic() - started
        rate = "" if quick else f" at {gigabytes(size / max(took, 0.001))}/s"
        text = f"verified {gigabytes(size)}{rate}"
        broken = any(each.broken for each in found)
        report(Event("verify", text, State.FAILED if broken else State.DONE, took))
        return found

    def remove(
        self, what: str | None, *, needed: bool, orphans: bool, dry_run: bool = False
    ) -> Removed:
        """GateError for a model that a tier needs, unless that is known."""
        gone, freed = list[str](), 0
        if what is None and not orphans:
            raise UsageError("models rm: nothing is named", hint="anvil-ctl models ls")
        if what is not None:
            row = self.shelf().one(what)
            if row.used_by and not needed:
                raise GateError(
                    f"{row.manifest.path} is needed by {', '.join(row.used_by)}",
                    hint=f"to remove it all the same: anvil-ctl models rm {what} --needed",
                )
            request = {"path": row.manifest.path, "dry_run": dry_run}
            said = self.store.ask("remove", request, lambda _said: None)
            gone, freed = [row.manifest.path], said["freed"]
        if orphans:
            said = self.store.ask("clean", {"dry_run": dry_run}, lambda _said: None)
            gone, freed = [*gone, *said["parts"], *said["locks"]], freed + said["freed"]
        return Removed(tuple(gone), freed, dry_run)


def shelf_of(site: Site, said: Mapping[str, Any]) -> Shelf:
    """The container's answer, joined with the definition. Pure but for the bundle's starter."""
    starter = store.read_starter(bundle()).path
    known = needs(site.config, site.renderer.engines, starter)
    reads = {name: set(each.file.weights) for name, each in site.renderer.engines.items()}
    rows = []
    for each in said["models"]:
        found = manifest.parse(each)
        formats = {facts.format for facts in found.models.values()}
        engines = tuple(name for name, kinds in reads.items() if not kinds or kinds & formats)
        users = _users(known, found)
        missing = tuple(each["missing"])
        rows.append(Row(found, missing, users, engines, each["last_used"], each["linked"]))
    return Shelf(tuple(rows), tuple(_remarks(said, rows, known)), said["free"])


def _users(known: tuple[Need, ...], found: Manifest) -> tuple[str, ...]:
    return tuple(
        user
        for need in known
        if manifest.covering([found], need.weights) is not None
        for user in need.users
    )


def _remarks(said: Mapping[str, Any], rows: list[Row], known: tuple[Need, ...]) -> list[str]:
    found = [f"{path}: no manifest vouches for it" for path in said["unknown"]]
    parts = said["parts"]
    if parts:
        size = gigabytes(sum(each["size"] for each in parts))
        text = f"{len(parts)} unfinished files, {size}: pull again to go on, or"
        found.append(f"{text} anvil-ctl models rm --orphans")
    stale = [each["path"] for each in said["locks"] if each["stale"]]
    if stale:
        found.append(f"{len(stale)} pulls ended without a word; the next one takes over")
    held = whole(rows)
    for need in known:
        if manifest.covering(held, need.weights) is None:
            found.append(f"{need.weights} is needed by {', '.join(need.users)}: {need.command}")
    return found


def whole(rows: Iterable[Row]) -> list[Manifest]:
    """The manifests of rows whose files are all there."""
    return [each.manifest for each in rows if not each.missing]


def _verified(said: Mapping[str, Any]) -> Verified:
    broken = tuple((each["path"], each["why"]) for each in said["broken"])
    return Verified(said["path"], said["source"], said["size"], said["files"], broken)


def _told(facts: Facts) -> list[tuple[str, str]]:
    """The facts that are known."""
    found = [
        ("format", facts.format),
        ("architecture", facts.architecture),
        ("quantization", facts.quantization),
        ("weights", gigabytes(facts.weights_bytes)),
    ]
    if facts.parameters:
        found.append(("parameters", f"{facts.parameters / 1e9:.2f} billion"))
    if facts.context:
        found.append(("context", f"{facts.context} tokens"))
    if facts.kv_bytes_per_token:
        found.append(("KV cache", f"{facts.kv_bytes_per_token} bytes a token at 16 bits"))
    return [(name, text) for name, text in found if text]


def _ago(at: float | None) -> str:
    return "never" if at is None else f"{duration(max(time.time() - at, 0))} ago"
