from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from anvil_ctl import models
from anvil_ctl.capacity import Claim, Ledger
from anvil_ctl.errors import UsageError
from anvil_ctl.needs import needs
from anvil_ctl.store.remembered import Remembered
from anvil_ctl.weights.facts import Facts
from anvil_ctl.weights.manifest import Kept, Manifest, covering, parse
from tests.unit.definitions import cpu, renderer, texts
from tests.unit.definitions import parse as definition
from tests.unit.doctor.surveys import site

STARTER = "gguf/starter.gguf"
FAKOLI = "fakoli-dark-linux"
FACTS = Facts("gguf", 98 << 20, "llama", "Q4_1", context=8192, kv_bytes_per_token=23040)


def manifest(path: str, **models_: Facts) -> Manifest:
    kept = Kept(path.rpartition("/")[2], 100, "a" * 64)
    return Manifest(path, "starter", "1", (kept,), {"": FACTS, **models_})


def test_the_starter_is_needed_by_each_tier_that_serves_it() -> None:
    (found,) = needs(cpu(), renderer(cpu()).engines, STARTER)

    assert found.command == "anvil-ctl pull starter"
    assert found.users == ("agentic/starter", "flexibility/quick", "flexibility/long")


def test_every_model_of_the_reference_machine_has_the_pull_that_brings_it() -> None:
    config = definition(texts()[FAKOLI])
    found = needs(config, renderer(config).engines, STARTER)

    assert [each.command for each in found] == [
        "anvil-ctl pull cyankiwi/Qwen3.5-35B-A3B-AWQ-4bit",
        "anvil-ctl pull openai/gpt-oss-20b",
        "anvil-ctl pull openai/gpt-oss-120b",
        "anvil-ctl pull nvidia/Qwen3.6-27B-NVFP4",
    ]
    assert all(each.source for each in found)


def test_a_mode_needs_its_own_models_alone() -> None:
    config = definition(texts()[FAKOLI])
    found = needs(config, renderer(config).engines, STARTER, "flexibility")

    assert {user.partition("/")[0] for each in found for user in each.users} == {"flexibility"}


def test_the_manifest_of_a_snapshot_covers_what_is_in_it() -> None:
    known = [manifest("hub/models--a--b/snapshots/1"), manifest("gguf/x.gguf")]

    assert covering(known, "gguf/x.gguf") == (known[1], "")
    assert covering(known, "hub/models--a--b/snapshots/1/y.gguf") == (known[0], "y.gguf")
    assert covering(known, "hub/models--a--b/snapshots/12") is None


def test_a_manifest_of_a_newer_version_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="of version 2; this one reads 1"):
        parse({**manifest("x").as_dict(), "version": 2})


@pytest.fixture
def shelf() -> models.Shelf:
    told = site(texts()["cpu"])
    path = told.config.modes["agentic"].tiers[0].weights
    other = manifest("gguf/other.gguf").as_dict()
    row: dict[str, object] = {"missing": [], "last_used": None, "linked": False}
    return models.shelf_of(
        told,
        {
            "models": [
                {**manifest(path).as_dict(), **row},
                {**other, **row, "missing": ["other.gguf"]},
            ],
            "unknown": ["gguf/stray.gguf"],
            "parts": [{"path": "x.incomplete", "size": 5, "age_s": 1}],
            "locks": [{"path": "x.pull", "held": False, "stale": True}],
            "free": 10,
        },
    )


def test_a_row_says_who_can_load_a_model_and_who_does(shelf: models.Shelf) -> None:
    first, other = shelf.rows

    assert "agentic/starter" in first.used_by
    assert "llamacpp" in first.engines
    assert "ktransformers" not in first.engines
    assert (other.used_by, other.state) == ((), "lacks 1 files")
    assert "23040 bytes a token" in str(first)


def test_what_is_odd_in_the_volume_is_said(shelf: models.Shelf) -> None:
    said = "\n".join(shelf.remarks)

    assert "gguf/stray.gguf: no manifest vouches for it" in said
    assert "1 unfinished files, 5 B" in said
    assert "anvil-ctl models rm --orphans" in said
    assert "1 pulls ended without a word" in said


def test_a_model_is_named_by_its_path_its_source_or_the_end_of_either(shelf: models.Shelf) -> None:
    assert shelf.one("gguf/other.gguf") is shelf.rows[1]
    assert shelf.one("other.gguf") is shelf.rows[1]
    with pytest.raises(UsageError, match="several could be meant"):
        shelf.one("starter")
    with pytest.raises(UsageError, match="the volume has"):
        shelf.one("nothing")


def test_what_was_seen_is_remembered_and_replaced(tmp_path: Path) -> None:
    known = Remembered(tmp_path / "models.json")
    assert known.facts() == {}

    known.add(manifest("gguf/x.gguf"))
    known.add(manifest("gguf/y.gguf"))
    known.add(replace(manifest("gguf/x.gguf"), models={"": replace(FACTS, context=1)}))

    assert known.facts()["gguf/x.gguf"].context == 1
    assert set(known.facts()) == {"gguf/x.gguf", "gguf/y.gguf"}
    (tmp_path / "models.json").write_text("[]")
    assert known.manifests() == []


def claim(found: Ledger, tier: str) -> Claim:
    return next(each for card in found.cards for each in card.claims if each.tier == tier)


@pytest.mark.parametrize("declared", [True, False])
def test_a_ledger_takes_from_the_snapshot_what_a_tier_leaves_out(declared: bool) -> None:
    text, memory = texts()[FAKOLI], "memory = {weights_mib = 20886, kv_bytes_per_token = 32768}\n"
    assert memory in text
    config = definition(text if declared else text.replace(memory, ""))
    tier = config.modes["flexibility"].tiers[1]
    facts = Facts("safetensors", 22000 << 20, kv_bytes_per_token=60000)

    found = replace(renderer(config), facts={tier.weights: facts}).ledger("flexibility")

    known = claim(found, tier.id)
    # The tier's cache is in fp8: one byte a number, where the snapshot's count is of two.
    wanted = (20886, 32768) if declared else (22000, 30000)
    assert (known.weights, known.kv_bytes_per_token) == wanted
