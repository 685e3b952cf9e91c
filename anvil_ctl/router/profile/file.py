"""profile.json: rows as they lie on disk, checked when read, replaced whole when written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from anvil_ctl import __version__
from anvil_ctl.errors import ConfigError
from anvil_ctl.router.judgement.work import Work, known
from anvil_ctl.router.profile.fingerprint import is_ours
from anvil_ctl.router.profile.row import Key, Row, Verdict
from anvil_ctl.router.profile.store import Profile

SCHEMA = "anvil-ctl.profile/1"
# Two formats of the program that this one follows: without and with fingerprints.
_OLDER = frozenset(f"anvil-serving.router.profile_bootstrap/v{number}" for number in (1, 2))
_EVAL_MAX = 25.0


class Entry(msgspec.Struct, kw_only=True):
    """One row. What the router doesn't use itself is kept for whoever measures."""

    tier_id: str
    work_class: str | None
    decision: str
    quality_score: float
    sample_n: int
    last_measured: str | None = None
    fingerprint: str | None = None
    stale: bool = False
    mode_name: str | None = None
    identity: dict[str, object] | None = None
    model_label: str | None = None
    eval_total_avg: float | None = None
    eval_max: float | None = None
    source_evals: list[str] | None = None
    reasoning: dict[str, object] | None = None


class File(msgspec.Struct, kw_only=True):
    """A whole profile. `mode` says how it was made: replay, live or writeback."""

    schema: str
    entries: list[Entry]
    mode: str = "writeback"
    eval_max: float = _EVAL_MAX
    mapping_version: str | None = None
    generator: str | None = None


class Loaded(msgspec.Struct, frozen=True):
    """The rows that hold in a mode, and the file that they come from."""

    profile: Profile
    file: File
    warnings: tuple[str, ...] = ()


def load(path: Path, mode: str, tiers: Iterable[str], *, seeded: bool = True) -> Loaded:
    """Read a profile for a mode. Raises ConfigError naming the row; nothing is guessed."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _error(path, f"cannot be read: {error.strerror}") from error
    return parse(data, path, mode, tiers, seeded=seeded)


def parse(
    data: bytes, path: Path, mode: str, tiers: Iterable[str], *, seeded: bool = True
) -> Loaded:
    """Check a profile's bytes; `path` is its name in messages."""
    file = read_file(data, path)
    names = frozenset(tiers)
    rows: dict[Key, Row] = {}
    taken: dict[tuple[str, str | None, str | None], int] = {}
    strangers: dict[str, None] = {}
    for number, entry in enumerate(file.entries):
        row = _row(path, number, entry)
        where = (entry.tier_id, entry.work_class, entry.mode_name)
        if where in taken:
            raise _error(path, f"entries {taken[where]} and {number} are about the same")
        taken[where] = number
        if entry.mode_name not in (None, mode):
            continue
        if entry.tier_id not in names:
            strangers[entry.tier_id] = None
        key = (entry.tier_id, known(entry.work_class))
        if entry.mode_name is not None or key not in rows:
            rows[key] = row
    warnings = [f"{path}: the configuration has no tier {name!r}" for name in strangers]
    return Loaded(Profile(rows, seeded=seeded), file, tuple(warnings))


def read_file(data: bytes, path: Path) -> File:
    """The file's entries, unchecked."""
    try:
        file = msgspec.json.decode(data, type=File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _error(path, f"is no profile: {error}") from error
    if file.schema != SCHEMA and file.schema not in _OLDER:
        raise _error(path, f"has schema {file.schema!r}, which this version does not read")
    return file


def dump(profile: Profile, mode: str, former: File | None, mapping_version: str) -> bytes:
    """The file for a profile: its own rows of this mode, and what `former` has of others.

    The same rows give the same bytes.
    """
    kept = {(e.tier_id, e.work_class): e for e in _entries_of(former, mode)}
    others = [e for e in former.entries if e.mode_name not in (None, mode)] if former else []
    entries = [*others]
    for (tier, work), row in profile.own():
        base = kept.get((tier, work)) or Entry(
            tier_id=tier, work_class=work, decision="", quality_score=0.0, sample_n=0
        )
        entries.append(
            msgspec.structs.replace(
                base,
                decision=row.verdict.value,
                quality_score=row.score,
                sample_n=row.samples,
                last_measured=row.measured,
                fingerprint=row.fingerprint,
                stale=row.stale,
                mode_name=mode or None,
                identity=None if row.identity is None else dict(row.identity),
            )
        )
    entries.sort(key=lambda e: (e.tier_id, e.work_class or "", e.mode_name or ""))
    file = File(
        schema=SCHEMA,
        entries=entries,
        mapping_version=mapping_version,
        generator=f"anvil-ctl {__version__}",
    )
    data = msgspec.json.encode(file, order="sorted")
    return msgspec.json.format(data, indent=2) + b"\n"


def write(path: Path, data: bytes) -> None:
    """Replace the file: a reader sees the old one or the new one, whole. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    with contextlib.suppress(OSError):  # not every system lets a folder be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _entries_of(file: File | None, mode: str) -> list[Entry]:
    return [e for e in file.entries if e.mode_name in (None, mode)] if file else []


def _row(path: Path, number: int, entry: Entry) -> Row:
    try:
        verdict = Verdict(entry.decision)
    except ValueError:
        words = ", ".join(Verdict)
        raise _error(
            path, f"entry {number}: decision {entry.decision!r} is none of {words}"
        ) from None
    if entry.work_class is not None and known(entry.work_class) is None:
        classes = ", ".join(Work)
        raise _error(path, f"entry {number}: work_class {entry.work_class!r} is none of {classes}")
    if not 0 <= entry.quality_score <= 1:
        raise _error(
            path, f"entry {number}: quality_score {entry.quality_score} is not from 0 to 1"
        )
    if entry.sample_n < 0:
        raise _error(path, f"entry {number}: sample_n {entry.sample_n} is below 0")
    foreign = entry.fingerprint is not None and not is_ours(entry.fingerprint)
    return Row(
        verdict,
        entry.quality_score,
        entry.sample_n,
        entry.last_measured,
        # Another program's digest can't be compared, so what it vouches for is in doubt.
        stale=entry.stale or foreign,
        fingerprint=None if foreign else entry.fingerprint,
        identity=entry.identity,
    )


def _error(path: Path, what: str) -> ConfigError:
    return ConfigError(
        f"profile_path: {path} {what}",
        hint="mend or regenerate the file, or take profile_path out to begin with the seeds",
    )
