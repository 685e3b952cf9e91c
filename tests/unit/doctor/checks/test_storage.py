from __future__ import annotations

from dataclasses import replace

import pytest

from anvil_ctl.docker_look import VolumeSeen
from anvil_ctl.doctor.survey import Deep, ModelSeen, Partial, Store, Survey
from anvil_ctl.weights.manifest import Kept, Manifest
from tests.unit.doctor.surveys import found, healthy, reference, with_container, wrong

STARTER = "gguf/starter.gguf"


def store(survey: Survey) -> Store:
    assert isinstance(survey.store, Store)
    return survey.store


def with_model(survey: Survey, model: str, seen: ModelSeen | None) -> Survey:
    models = {name: each for name, each in store(survey).models.items() if name != model}
    changed = {**models, model: seen} if seen else models
    return replace(survey, store=replace(store(survey), models=changed))


def with_partial(survey: Survey, path: str, age_s: float) -> Survey:
    return replace(survey, store=replace(store(survey), partials=(Partial(path, 1000, age_s),)))


def test_a_volume_that_is_not_there_says_what_makes_it() -> None:
    (starter,) = found(replace(healthy(), volumes={}), "D50")
    (volume,) = found(replace(reference(), volumes={}), "D50")

    assert starter.remedy == "anvil-ctl pull starter"
    assert volume.remedy == "docker volume create fakoli-models"


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (None, "is not there"),
        (ModelSeen(0), "is empty"),
        (ModelSeen(9, frozenset({"gguf"}), dangling=2), "lacks 2 of its files"),
    ],
)
def test_weights_that_are_not_whole_are_a_failure(seen: ModelSeen | None, words: str) -> None:
    (said,) = found(with_model(healthy(), STARTER, seen), "D51")

    assert said.blocks
    assert words in said.observed
    assert said.remedy == "anvil-ctl pull starter"


def pulled(survey: Survey, path: str, seen: dict[str, int], kept: dict[str, int]) -> Survey:
    """With a manifest of the weights at `path`, and what the volume has of them now."""
    files = tuple(Kept(name, size, "a" * 64) for name, size in kept.items())
    known = (Manifest(path, "source", "1", files),)
    survey = with_model(survey, path, ModelSeen(9, frozenset({"gguf"}), files=seen))
    return replace(survey, store=replace(store(survey), manifests=known))


def test_weights_that_are_as_they_were_pulled_are_right() -> None:
    assert wrong(pulled(healthy(), STARTER, {"": 9}, {"starter.gguf": 9}), "D51") == []


def test_weights_that_are_not_as_they_were_pulled_are_a_failure_with_the_pull() -> None:
    (starter,) = found(pulled(healthy(), STARTER, {"": 8}, {"starter.gguf": 9}), "D51")
    assert starter.blocks
    assert "lacks 1 of the files that were pulled: itself" in starter.observed

    tier = next(each for each in reference().of_mode.tiers if each.revision)
    survey = pulled(reference(), tier.weights, {"a": 1}, {"a": 1, "b": 2})
    (said,) = [each for each in found(survey, "D51") if each.blocks]
    assert "lacks 1 of the files that were pulled: b" in said.observed
    assert said.remedy == f"anvil-ctl pull {tier.model}"


def test_weights_that_no_pull_has_checked_are_a_failure_with_the_pull() -> None:
    for known in ((), (Manifest("gguf", "source", "1", (Kept("other.gguf", 9, "a" * 64),)),)):
        survey = replace(healthy(), store=replace(store(healthy()), manifests=known))
        (said,) = found(survey, "D49")

        assert said.blocks
        assert said.observed == "fakoli-models: gguf/starter.gguf was not checked by a pull"
        assert said.remedy.startswith("anvil-ctl pull starter ")


def test_a_pull_that_runs_is_waited_for_and_one_that_was_cut_off_is_said() -> None:
    blob = "hub/models--openai--gpt-oss-20b/blobs/abc.incomplete"
    running, stale = with_partial(reference(), blob, 5), with_partial(reference(), blob, 9000)

    assert wrong(running, "D51", "D52", "D53") == [("D51", "fail"), ("D52", "warn")]
    assert wrong(stale, "D51", "D52", "D53") == [("D51", "fail"), ("D53", "warn")]


def test_a_part_beside_a_whole_file_does_not_spoil_it() -> None:
    assert wrong(with_partial(healthy(), f"{STARTER}.part", 5), "D51") == []


def test_a_volume_that_is_a_folder_of_the_host_is_slow() -> None:
    bound = replace(
        healthy(), volumes={"fakoli-models": VolumeSeen("fakoli-models", "/mnt/d/models")}
    )
    plan9 = replace(healthy(), store=replace(store(healthy()), file_system="v9fs"))

    assert wrong(bound, "D54") == [("D54", "warn")]
    assert wrong(plan9, "D54") == [("D54", "warn")]


def test_a_cache_that_belongs_to_another_user_is_a_failure() -> None:
    owners = dict.fromkeys(store(reference()).owners, (1000, 0o755))
    survey = replace(reference(), store=replace(store(reference()), owners=owners))
    (first, *_more) = found(survey, "D56")

    assert first.blocks
    assert "docker volume rm anvil-cache-sglang-cuda-0.5.23" in first.remedy


def test_a_write_that_failed_counts_more_than_the_owner() -> None:
    volume = "anvil-cache-sglang-cuda-0.5.23"
    survey = replace(reference(), deep=Deep(writes={volume: "read-only file system"}))

    assert [each.id for each in found(survey, "D56") if each.blocks] == ["D56"]


def test_a_container_without_its_cache_volume_is_said() -> None:
    assert wrong(with_container(reference(), "heavy-local-1", mounts=()), "D57") == [
        ("D57", "warn")
    ]


def test_weights_of_a_kind_that_the_engine_does_not_read_are_a_failure() -> None:
    survey = with_model(healthy(), STARTER, ModelSeen(9, frozenset({"safetensors"})))
    (said,) = [each for each in found(survey, "D59") if each.blocks]

    assert (
        said.observed
        == f"tier starter: llamacpp finds no weights in {STARTER} (it has safetensors)"
    )
