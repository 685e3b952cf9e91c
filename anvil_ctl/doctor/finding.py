"""What one check found. The standard library only: set-up reads it before anything is installed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a finding counts. UNKNOWN is what could not be looked at: neither good nor bad."""

    OK = "ok"
    INFO = "info"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is so, what should be, and the one thing to type next.

    `id` is the check's, put in by who runs it; `rule` the compatibility rule's that decided.
    """

    status: Status
    observed: str
    expected: str = ""
    remedy: str = ""
    rule: str = ""
    id: str = ""

    @property
    def ok(self) -> bool:
        return self.status is Status.OK

    @property
    def blocks(self) -> bool:
        return self.status is Status.FAIL

    def __str__(self) -> str:
        if self.ok or not self.remedy:
            return self.observed
        return f"{self.observed}. next: {self.remedy}"

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def ok(observed: str) -> Finding:
    return Finding(Status.OK, observed)


def info(observed: str, expected: str = "", remedy: str = "") -> Finding:
    return Finding(Status.INFO, observed, expected, remedy)


def warn(observed: str, expected: str, remedy: str, rule: str = "") -> Finding:
    return Finding(Status.WARN, observed, expected, remedy, rule)


def fail(observed: str, expected: str, remedy: str, rule: str = "") -> Finding:
    return Finding(Status.FAIL, observed, expected, remedy, rule)


def unknown(reason: str, remedy: str = "") -> Finding:
    return Finding(Status.UNKNOWN, reason, remedy=remedy)
