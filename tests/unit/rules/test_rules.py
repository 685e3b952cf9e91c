"""Definition in, verdicts out: cases/*.toml says which rules a changed plain tier meets, exactly."""

from __future__ import annotations

import copy
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from anvil_ctl import engines, rulebook, service
from anvil_ctl.config import Config
from anvil_ctl.errors import ConfigError
from anvil_ctl.paths import bundle
from anvil_ctl.rulebook import Rule
from anvil_ctl.rules import Facts, Start, Verdict, facts, judge, met
from tests.unit.definitions import HEAVY

ENGINES = engines.load_all(bundle() / "engines")
BOOK = rulebook.load(bundle() / "engines")

PLAIN: dict[str, dict[str, Any]] = {
    "vllm": {"model": "plain"},
    "sglang": {"model": "plain"},
    "llamacpp": {"model": "gguf/plain.gguf"},
    "ktransformers": {
        "model": "plain",
        "memory": {"ram_mib": 65536},
        "extra_args": ["--kt-method", "FP8", "--kt-cpuinfer", "16"],
    },
    "ds4": {"model": "gguf/DeepSeek-V4-Flash-IQ2XXS.gguf", "slots": 1},
}


@dataclass(frozen=True, slots=True)
class Case:
    file: str
    says: str
    engine: str
    changes: dict[str, Any]
    rules: list[str]

    def __str__(self) -> str:
        return f"{self.file}: {self.says}"


def cases() -> list[Case]:
    found = []
    for path in sorted((Path(__file__).parent / "cases").glob("*.toml")):
        read = tomllib.loads(path.read_text(encoding="utf-8"))
        for each in read["cases"]:
            found.append(Case(path.stem, each["says"], read["engine"], each["set"], each["rules"]))
    return found


CASES = cases()


def definition(case: Case) -> Config:
    tier: dict[str, Any] = {
        "id": "t",
        "engine": case.engine,
        "image": "cuda",
        "role": "gpu",
        "served_name": "t",
        "window": 32768,
        "slots": 8,
        "port": 30000,
        "vram_mib": 90112,
        "start_timeout_s": 600,
        "first_start_timeout_s": 1800,
        **copy.deepcopy(PLAIN[case.engine]),
    }
    role: dict[str, Any] = {
        "device": "nvidia",
        "gpu_uuid": HEAVY,
        "compute_capability": "12.0",
        "memory_mib": 97887,
        "reserve_mib": 2048,
    }
    machine: dict[str, Any] = {"roles": {"gpu": role}}
    tables = {"tier": tier, "role": role, "machine": machine}
    for key, value in case.changes.items():
        table, _, name = key.partition(".")
        if name and value == "none":
            tables[table].pop(name)
        elif name:
            tables[table][name] = value
    mode = {"presets": {"chat": ["t"]}, "tiers": [tier]}
    return Config.model_validate(
        {"version": 1, "machine": machine, "modes": {case.changes.get("mode", "flexibility"): mode}}
    )


def started(case: Case) -> tuple[Config, engines.Engine, Start]:
    config = definition(case)
    engine = ENGINES[case.engine]
    if "version" in case.changes:
        file = engine.file.model_copy(update={"version": case.changes["version"]})
        engine = replace(engine, file=file)
    (mode, said), image = next(iter(config.modes.items())), engine.file.images["cuda"]
    tag = case.changes.get("image") or image.official or f"anvil/{case.engine}-cuda:0123456789ab"
    built = service.build(config, mode, said.tiers[0], engine, image, tag=tag)
    return config, engine, Start(built.image, built.command, built.environment)


def verdicts(case: Case) -> list[Verdict]:
    config, engine, start = started(case)
    mode, said = next(iter(config.modes.items()))
    return judge(config, mode, said.tiers[0], engine, start, book=BOOK)


def known(case: Case) -> Facts:
    config, engine, start = started(case)
    mode, said = next(iter(config.modes.items()))
    return facts(config, mode, said.tiers[0], engine, start)


@cache
def seen() -> tuple[tuple[Case, Facts], ...]:
    return tuple((case, known(case)) for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_definition_meets_exactly_these_rules(case: Case) -> None:
    assert sorted(each.rule for each in verdicts(case)) == sorted(case.rules)


@pytest.mark.parametrize("rule", BOOK.all, ids=lambda rule: rule.id)
def test_a_rule_is_met_by_a_case_and_missed_by_another_by_one_condition_alone(rule: Rule) -> None:
    hits = [case for case in CASES if rule.id in case.rules]
    near = [
        case
        for case, found in seen()
        if rule.id not in case.rules and sum(not met([each], found) for each in rule.when) <= 1
    ]

    assert hits
    assert near


def test_there_are_at_least_a_hundred_cases() -> None:
    assert len(CASES) >= 100


def test_a_message_has_the_values_and_names_the_tier_and_the_rule() -> None:
    case = next(each for each in CASES if each.says == "too many slots for a recurrent model")

    assert str(verdicts(case)[0]) == "tier t: 941 slots on a recurrent model [rule K16]"


def test_no_verdict_is_left_with_a_gap() -> None:
    for case in CASES:
        for each in verdicts(case):
            assert "{" not in each.message, each
            assert "nothing" not in each.message, each


RULE = """
[[rules]]
id = "X01"
verdict = "deny"
when = [WHEN]
message = "m"
why = "w"
remedy = "r"
source = "s"
review_by = 2027-01-01
"""


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ('{field = "tier.slots", equals = 1, more_than = 2}', "has 2 tests: give exactly one"),
        ('{field = "tier.slots"}', "has 0 tests"),
        ('{field = "os.environ", present = true}', "rules.0.when.0.field"),
        ('{field = "tier.model", matches = "("}', "is not a regular expression"),
        ('{field = "tier.model", eval = "1"}', "rules.0.when.0.eval"),
    ],
)
def test_a_condition_that_is_wrong_is_refused_when_it_is_read(
    when: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "rules.toml").write_text(RULE.replace("WHEN", when))

    with pytest.raises(ConfigError, match=said):
        rulebook.load(tmp_path)


def test_an_id_is_given_once(tmp_path: Path) -> None:
    one = RULE.replace("WHEN", '{field = "tier.slots", equals = 1}')
    (tmp_path / "rules.toml").write_text(one + one)

    with pytest.raises(ConfigError, match="two rules have the id X01"):
        rulebook.load(tmp_path)


@pytest.mark.parametrize(
    ("versions", "version", "covered"),
    [
        ("*", "8d57664", True),
        ("<0.25.1", "0.25.0", True),
        ("<0.25.1", "0.25.1", False),
        ("<0.25.1", "0.9", True),
        (">=0.33", "0.33.0", True),
        (">=0.25,<0.33", "0.33.0", False),
        (">=0.25,<0.33", "0.30.2", True),
        (">11434", "b11669", True),
    ],
)
def test_a_rule_covers_a_range_of_versions(versions: str, version: str, covered: bool) -> None:
    text = RULE.replace("WHEN", '{field = "tier.slots", equals = 1}')
    rule = Rule.model_validate(tomllib.loads(text)["rules"][0] | {"versions": versions})

    assert rule.covers(version) is covered
