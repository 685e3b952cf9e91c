"""What is known of ways to park: proved, or given up with the reason. Outlives the process."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import msgspec

from anvil_ctl.multiplexer.model import Model

log = logging.getLogger(__name__)


class Verdict(msgspec.Struct, frozen=True):
    """Of one way to park one model on one version of an engine."""

    proved: bool
    reason: str = ""


class _File(msgspec.Struct):
    """What is kept: verdicts by the model's fingerprint and the way's name, and what sleeps."""

    verdicts: dict[str, Verdict] = {}
    asleep: dict[str, str] = {}


class Standing:
    """Verdicts, and the run in which each model that sleeps does so.

    With a file, they are read from it and written to it whenever one changes. A file that can't be
    read or written costs the memory, not the service: everything is proved anew.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._known = _File()
        if file is not None and file.exists():
            try:
                self._known = msgspec.json.decode(file.read_bytes(), type=_File)
            except (OSError, msgspec.DecodeError) as error:
                log.warning("what was proved before is lost: %s: %s", file, error)

    def of(self, model: Model) -> Verdict | None:
        """None while it has not been tried, or where there is nothing to try."""
        return self._known.verdicts.get(_key(model)) if model.park is not None else None

    def proved(self, model: Model) -> None:
        """It woke as it was."""
        self._set(model, Verdict(proved=True))

    def demote(self, model: Model, reason: str) -> None:
        """It is stopped and started from here on."""
        log.warning("%s is not parked any more, but stopped: %s", model.name, reason)
        self._set(model, Verdict(proved=False, reason=reason))

    def asleep(self, model: Model, run: str) -> bool:
        """Whether it was put to sleep in this run of its container."""
        return self._known.asleep.get(model.container) == run

    def fell_asleep(self, model: Model, run: str) -> None:
        """For engines that don't say so themselves, also after this process is gone."""
        self._known.asleep[model.container] = run
        self._write()

    def awake(self, model: Model) -> None:
        """It woke, or its container is stopped."""
        if self._known.asleep.pop(model.container, None) is not None:
            self._write()

    def _set(self, model: Model, verdict: Verdict) -> None:
        if self._known.verdicts.get(_key(model)) != verdict:
            self._known.verdicts[_key(model)] = verdict
            self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_bytes(msgspec.json.encode(self._known))
            fresh.replace(self._file)
        except OSError as error:
            log.warning("what was proved can't be kept: %s: %s", self._file, error.strerror)
            with contextlib.suppress(OSError):
                fresh.unlink()


def _key(model: Model) -> str:
    way = model.park.name if model.park is not None else ""
    return f"{model.fingerprint or model.name} {way}"
