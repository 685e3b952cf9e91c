"""Known failures: each signature is seen in a log as its engine writes it, and in no other's."""

from __future__ import annotations

import re
import time

import pytest

from anvil_ctl import signatures
from anvil_ctl.doctor.checks import CHECKS
from anvil_ctl.errors import ConfigError
from anvil_ctl.paths import bundle
from anvil_ctl.rulebook import load as load_rules
from tests.unit.logs import SAMPLES

KNOWN = signatures.load(bundle() / "engines")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.id)
def test_a_log_is_classified_by_what_it_says(sample: object) -> None:
    engine, log, code = sample.engine, sample.log, sample.exit_code  # type: ignore[attr-defined]

    found = KNOWN.classify(engine, log, code)

    assert found is not None
    assert found.signature.id == sample.id  # type: ignore[attr-defined]


def test_every_signature_has_a_sample() -> None:
    assert {sample.id for sample in SAMPLES} == {each.id for each in KNOWN.all}


def test_every_signature_refers_to_a_check_or_a_rule_that_there_is() -> None:
    ids = {check.id for check in CHECKS} | {
        rule.id for rule in load_rules(bundle() / "engines").all
    }
    page = (bundle() / "docs" / "reference" / "rules.md").read_text(encoding="utf-8")
    # Refusals of the schema have ids as well, which that page lists.
    ids |= set(re.findall(r"`([A-Z]\d\d)`", page))

    assert {each.see for each in KNOWN.all} <= ids


def test_fixes_that_name_checks_name_those_that_there_are() -> None:
    ids = {check.id for check in CHECKS}
    named = {id_ for each in KNOWN.all for id_ in re.findall(r"--only (D\d\d)", each.fix)}

    assert named <= ids


def test_what_is_not_known_is_not_guessed() -> None:
    assert KNOWN.classify("vllm", "INFO everything is fine\nbye\n", 1) is None


def test_an_engines_own_signatures_come_before_the_common_ones() -> None:
    log = "load_tensors: unable to allocate CUDA0 buffer\n"

    assert str(KNOWN.classify("llamacpp", log)).startswith(
        "the card has too little free memory for"
    )
    assert str(KNOWN.classify("ds4", log)).startswith("the card has too little free memory (")


def test_a_long_log_is_read_at_once_and_only_its_end() -> None:
    hostile = ("quantization method specified in the model config " * 500 + "\n") * 5000
    began = time.monotonic()

    assert KNOWN.classify("vllm", hostile) is None
    assert KNOWN.classify("vllm", "UVA is not available\n" + "x\n" * signatures.LINES) is None
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('id = "a"\ncause = "c"\nfix = "f"\nsee = "D01"', "says nothing"),
        ('id = "a"\nsays = ["*x"]\ncause = "c"\nfix = "f"\nsee = "D01"', "between two texts"),
        ('id = "A"\nsays = ["x"]\ncause = "c"\nfix = "f"\nsee = "D01"', "signatures.0.id"),
    ],
)
def test_a_signature_that_cannot_be_seen_is_an_error(
    text: str, words: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("engines")
    (folder / "signatures.toml").write_text(f"[[signatures]]\n{text}\n", encoding="utf-8")

    with pytest.raises(ConfigError, match=words):
        signatures.load(folder)


def test_an_id_is_given_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("engines")
    one = '[[signatures]]\nid = "a"\nsays = ["x"]\ncause = "c"\nfix = "f"\nsee = "D01"\n'
    (folder / "signatures.toml").write_text(one * 2, encoding="utf-8")

    with pytest.raises(ConfigError, match="two signatures have the id a"):
        signatures.load(folder)
