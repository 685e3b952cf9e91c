"""How much of a window of decisions local tiers took on, and how much of that was wrong. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import msgspec

from anvil_ctl.errors import UsageError

SCHEMA = "anvil-ctl.decisions/1"
OVERALL = "overall"
_NO_CLASS = "(unclassified)"


class Record(msgspec.Struct, frozen=True):
    """What counts here of a line of the decision log.

    The router does not know whether an answer was right. Who finds out adds to the line either
    `silent_failure`, or `ground_truth` with "fail" for an answer that was not.
    """

    work_class: str | None = None
    tier: str | None = None
    status: int = 0
    privacy: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float = 0.0
    mode: str | None = None
    cut: bool = False
    cancelled: bool = False
    ground_truth: str | None = None
    silent_failure: bool | None = None

    @property
    def accepted_local(self) -> bool:
        """Whether a local tier's answer is the client's, whole. Who says nothing is not local."""
        served = self.tier is not None and self.status == 200 and not (self.cut or self.cancelled)
        return served and self.privacy == "local"

    @property
    def failed_silently(self) -> bool:
        """Whether a local answer that was taken for sound was not."""
        if not self.accepted_local:
            return False
        if self.silent_failure is not None:
            return self.silent_failure
        return self.ground_truth == "fail"


class Group(msgspec.Struct, frozen=True):
    """The counts of one class of work, or of all. Rates are shares from 0 to 1."""

    total: int
    accepted_local: int
    accept_rate: float
    silent_failures: int
    silent_failure_rate: float
    cloud_tokens_saved: int
    cost_usd: float


class Report(msgspec.Struct, frozen=True):
    """A whole window. `breaches` names the classes at or over the threshold, or `overall`."""

    overall: Group
    classes: dict[str, Group]
    modes: tuple[str, ...]
    breaches: tuple[str, ...]
    threshold: float
    schema: str = SCHEMA

    @property
    def gate_passed(self) -> bool:
        """Whether nothing is at or over the threshold."""
        return not self.breaches

    def as_json(self) -> dict[str, object]:
        """The report as data."""
        return {**msgspec.to_builtins(self), "gate_passed": self.gate_passed}

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The report as a table, the classes by name and then all together."""
        for name, group in (*self.classes.items(), (OVERALL, self.overall)):
            yield (
                name,
                str(group.total),
                str(group.accepted_local),
                f"{group.accept_rate:.1%}",
                str(group.silent_failures),
                f"{group.silent_failure_rate:.2%}",
                str(group.cloud_tokens_saved),
                f"{group.cost_usd:.4f}",
            )


HEADS = ("class of work", "requests", "local", "rate", "wrong", "rate", "tokens", "US$")


def threshold_of(value: float) -> float:
    """A share that can be a threshold; UsageError for one that can't."""
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise UsageError(f"the threshold is {value}: it must be from 0 to 1")
    return value


def read(lines: Iterable[bytes], name: str) -> Iterator[Record]:
    """The records of a log; UsageError with the number of a line that is none."""
    decoder = msgspec.json.Decoder(Record)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(
                f"{name}: line {number} is no decision: {error}",
                hint="give a file of JSON lines, such as the router's decisions.jsonl",
            ) from error


def report(records: Iterable[Record], threshold: float) -> Report:
    """Count a window."""
    by_class: dict[str, list[Record]] = {}
    modes: set[str] = set()
    everything: list[Record] = []
    for record in records:
        by_class.setdefault(record.work_class or _NO_CLASS, []).append(record)
        everything.append(record)
        if record.mode:
            modes.add(record.mode)
    classes = {name: _group(by_class[name]) for name in sorted(by_class)}
    overall = _group(everything)
    breaches = tuple(
        name
        for name, group in (*classes.items(), (OVERALL, overall))
        if group.silent_failure_rate >= threshold
    )
    return Report(overall, classes, tuple(sorted(modes)), breaches, threshold)


def _group(records: list[Record]) -> Group:
    accepted = [each for each in records if each.accepted_local]
    wrong = sum(each.failed_silently for each in accepted)
    return Group(
        total=len(records),
        accepted_local=len(accepted),
        accept_rate=_share(len(accepted), len(records)),
        silent_failures=wrong,
        silent_failure_rate=_share(wrong, len(accepted)),
        cloud_tokens_saved=sum((e.input_tokens or 0) + (e.output_tokens or 0) for e in accepted),
        cost_usd=round(math.fsum(each.cost_usd for each in records), 8),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
