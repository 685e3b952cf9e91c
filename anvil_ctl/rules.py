"""Which rules a tier on its engine meets. Pure: facts in, verdicts out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from anvil_ctl.config.model import Config, Mode
from anvil_ctl.config.tier import Tier
from anvil_ctl.engines import Engine
from anvil_ctl.rulebook import Condition, Rule, Rulebook, Scalar

Facts = Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says of a tier: `deny` refuses, `warn` does not, `add` gives what is missing."""

    rule: str
    check: str
    kind: Literal["deny", "warn", "add"]
    tier: str
    message: str
    remedy: str
    source: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"tier {self.tier}: {self.message} [rule {self.rule}]"


@dataclass(frozen=True, slots=True)
class Start:
    """How a tier is started, as it was rendered: the rules see what the engine will see."""

    image: str
    command: Sequence[str]
    environment: Mapping[str, str]


def judge(
    config: Config, mode: Mode, tier: Tier, engine: Engine, start: Start, *, book: Rulebook
) -> list[Verdict]:
    """The verdicts of every rule whose conditions a tier meets, in the rules' order."""
    found = facts(config, mode, tier, engine, start)
    rules = book.of(tier.engine, engine.file.version)
    return [_verdict(rule, tier, found) for rule in rules if met(rule.when, found)]


def facts(config: Config, mode: Mode, tier: Tier, engine: Engine, start: Start) -> Facts:
    """Everything that conditions can be about, by dotted name; what is not declared is absent."""
    role = config.machine.roles[tier.role]
    found: dict[str, Scalar] = {
        "mode": mode,
        "engine.name": tier.engine,
        "engine.version": engine.file.version,
        "image.name": tier.image,
        "image.reference": start.image,
        # A folder of the volume is named as its owner likes; the served name says more then.
        "model.names": f"{tier.model} {tier.served_name}".lower(),
        "command.text": " ".join(start.command),
        "tier.longest_start_s": tier.longest_start_s,
        **_flat("tier", tier.model_dump(exclude={"extra_args"})),
        **_flat("role", role.model_dump()),
        **_flat("machine", config.machine.model_dump(exclude={"roles"})),
        **_flat("environment", dict(start.environment)),
        **{f"flag.{name}": value for name, value in _flags(start.command).items()},
    }
    again = _again(start.command, tier.extra_args)
    return found | ({"command.repeated": " ".join(again)} if again else {})


def _flat(prefix: str, table: Mapping[str, object]) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found |= _flat(f"{prefix}.{key}", value)
        elif isinstance(value, (str, int, float, bool)):
            found[f"{prefix}.{key}"] = value
    return found


def _flags(command: Sequence[str]) -> dict[str, str]:
    """Flags with their values; "" for one without. Of a repeated flag the last counts."""
    found: dict[str, str] = {}
    for part, after in zip(command, [*command[1:], "--"], strict=True):
        if part.startswith("--"):
            name, given, value = part.partition("=")
            found[name] = value if given else "" if after.startswith("--") else after
    return found


def _again(command: Sequence[str], extra: Sequence[str]) -> list[str]:
    """The flags in a tier's own arguments that the engine is told already."""
    names = [part.split("=", 1)[0] for part in command if part.startswith("--")]
    own = [part.split("=", 1)[0] for part in extra if part.startswith("--")]
    return sorted({name for name in own if names.count(name) > own.count(name)})


def met(conditions: Iterable[Condition], found: Facts) -> bool:
    return all(_holds(each, found) for each in conditions)


def _holds(condition: Condition, found: Facts) -> bool:
    """One test; a field that ends in `*` asks whether any of the facts under it passes."""
    if condition.field.endswith("*"):
        prefix = condition.field[:-1]
        values: list[Scalar | None] = [found[key] for key in found if key.startswith(prefix)]
    else:
        values = [found.get(condition.field)]
    return any(_passes(condition, value, found) for value in values)


def _passes(condition: Condition, value: Scalar | None, found: Facts) -> bool:
    if condition.present is not None:
        return (value is not None) == condition.present
    if condition.not_in is not None:
        return value not in condition.not_in
    if condition.not_matches is not None:
        return value is None or not re.search(condition.not_matches, str(value))
    if value is None:
        return False
    if condition.matches is not None:
        return re.search(condition.matches, str(value)) is not None
    if condition.any_of is not None:
        return value in condition.any_of
    if condition.equals is not None:
        return value == condition.equals
    return _compares(condition, _number(value), found)


def _compares(condition: Condition, value: float | None, found: Facts) -> bool:
    if value is None:
        return False
    if condition.less_than is not None:
        return value < condition.less_than
    if condition.more_than is not None:
        return value > condition.more_than
    other = _number(found.get(condition.more_than_field or "", ""))
    return other is not None and value > other


def _number(value: Scalar) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _verdict(rule: Rule, tier: Tier, found: Facts) -> Verdict:
    def filled(text: str) -> str:
        return re.sub(r"\{([\w.-]+)\}", lambda name: str(found.get(name[1], "nothing")), text)

    return Verdict(
        rule=rule.id,
        check=rule.check,
        kind=rule.verdict,
        tier=tier.id,
        message=filled(rule.message),
        remedy=filled(rule.remedy),
        source=rule.source,
        arguments=tuple(rule.arguments),
        environment=rule.environment,
    )
