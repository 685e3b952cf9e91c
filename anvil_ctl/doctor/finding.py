"""What one check found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether a finding stops what was asked for, or is only worth knowing."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: `observed` is what is so, with its value, `remedy` what to type if it is wrong."""

    id: str
    ok: bool
    severity: Severity
    observed: str
    expected: str
    remedy: str = ""

    @property
    def blocks(self) -> bool:
        return not self.ok and self.severity is Severity.ERROR

    def __str__(self) -> str:
        return self.observed if self.ok else f"{self.observed}. next: {self.remedy}"

    def as_json(self) -> dict[str, object]:
        return asdict(self)
