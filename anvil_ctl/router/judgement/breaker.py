"""Circuit breakers: who has just failed is not asked again at once. Pure: times are given.

Two kinds. A tier that can't be reached is skipped for everything. A tier whose answers fail their
checks is skipped for that class of work alone: its other answers may be fine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum

import msgspec

from anvil_ctl.router.judgement.work import Work


class State(StrEnum):
    """CLOSED lets requests through, OPEN none, PROBING the one that is under way."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Limits(msgspec.Struct, frozen=True):
    """Times are in seconds. A cooldown doubles with each failed probe, up to `longest`."""

    threshold: int = 2
    cooldown: float = 60.0
    longest: float = 300.0
    checks_threshold: int = 5
    checks_window: float = 60.0


class _Circuit:
    """One tier's, or one tier's for one class."""

    __slots__ = ("failures", "opened_for", "probe_at", "until")

    def __init__(self) -> None:
        self.failures = 0
        self.until = 0.0
        self.opened_for = 0.0
        self.probe_at: float | None = None


class _Checks(_Circuit):
    """Counts failed checks within a window of time."""

    __slots__ = ("times",)

    def __init__(self, most: int) -> None:
        super().__init__()
        self.times: deque[float] = deque(maxlen=most)


class Breakers:
    """The circuits of one router. `jitter` gives a number from 0 to 1, so that the probes of many
    routers don't come together. Reading a state changes nothing; only `enter` takes a probe."""

    def __init__(self, limits: Limits, jitter: Callable[[], float]) -> None:
        self.limits = limits
        self._jitter = jitter
        self._tiers: dict[str, _Circuit] = {}
        self._checks: dict[tuple[str, Work | None], _Checks] = {}

    def state(self, tier: str, work: Work | None, now: float) -> State:
        """What a request of that class would meet."""
        found = [self._state(circuit, now) for circuit in self._of(tier, work)]
        return max(found, key=_SEVERITY.index) if found else State.CLOSED

    def transport(self, tier: str, now: float) -> State:
        """The state of the tier itself."""
        circuit = self._tiers.get(tier)
        return State.CLOSED if circuit is None else self._state(circuit, now)

    def shut(self, now: float) -> frozenset[str]:
        """The tiers that can't be asked now, whatever for."""
        if not self._tiers:
            return _NONE
        return frozenset(
            tier for tier, circuit in self._tiers.items() if self._state(circuit, now) is not _FREE
        )

    def enter(self, tier: str, work: Work | None, now: float) -> bool:
        """Whether the tier may be asked now. Report what came of it, or `release` it."""
        if not self._tiers and not self._checks:
            return True
        if self.state(tier, work, now) is not State.CLOSED:
            return False
        for circuit in self._of(tier, work):
            if self._tripped(circuit):
                circuit.probe_at = now
        return True

    def release(self, tier: str, work: Work | None) -> None:
        """The attempt ended without saying anything of the tier: the next one may probe."""
        for circuit in self._of(tier, work):
            circuit.probe_at = None

    def succeeded(self, tier: str, work: Work | None) -> None:
        """The tier has answered, and the answer was sound."""
        self._tiers.pop(tier, None)
        checks = self._checks.get((tier, work))
        if checks is not None and checks.probe_at is not None:
            del self._checks[tier, work]

    def failed(self, tier: str, now: float, *, at_least: float = 0.0) -> None:
        """The tier did not answer; it asked to be left alone for `at_least` seconds."""
        circuit = self._tiers.setdefault(tier, _Circuit())
        circuit.failures += 1
        if circuit.failures >= self.limits.threshold:
            self._open(circuit, now, at_least)

    def unsound(self, tier: str, work: Work | None, now: float) -> None:
        """The tier answered, and the answer failed a check. It can be reached, then."""
        self._tiers.pop(tier, None)
        most = self.limits.checks_threshold
        checks = self._checks.setdefault((tier, work), _Checks(most))
        checks.times.append(now)
        checks.failures += 1
        full = len(checks.times) == most
        if checks.probe_at is not None or (
            full and now - checks.times[0] <= self.limits.checks_window
        ):
            self._open(checks, now, 0.0)

    def _open(self, circuit: _Circuit, now: float, at_least: float) -> None:
        least = self.limits.cooldown
        doubled = circuit.opened_for * 2 if circuit.probe_at is not None else circuit.opened_for
        circuit.opened_for = max(least, min(doubled, self.limits.longest))
        # A tenth more at most: a probe that comes late costs nothing.
        circuit.until = now + max(circuit.opened_for * (1 + self._jitter() / 10), at_least)
        circuit.probe_at = None

    def _state(self, circuit: _Circuit, now: float) -> State:
        if not self._tripped(circuit):
            return State.CLOSED
        if now < circuit.until:
            return State.OPEN
        # A probe whose end nobody reported doesn't keep the circuit open for ever.
        if circuit.probe_at is not None and now < circuit.probe_at + self.limits.cooldown:
            return State.PROBING
        return State.CLOSED

    @staticmethod
    def _tripped(circuit: _Circuit) -> bool:
        return circuit.opened_for > 0

    def _of(self, tier: str, work: Work | None) -> list[_Circuit]:
        found = (self._tiers.get(tier), self._checks.get((tier, work)))
        return [circuit for circuit in found if circuit is not None]


_NONE: frozenset[str] = frozenset()
_FREE = State.CLOSED
_SEVERITY = (State.CLOSED, State.PROBING, State.OPEN)
