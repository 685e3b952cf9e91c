from __future__ import annotations

import pytest

from anvil_ctl.weights.choice import Choice, Wish, choose, kind_of
from anvil_ctl.weights.listing import File, Listing, listing, missing
from anvil_ctl.weights.plan import HEADROOM_BYTES, PullPlan
from tests.unit.definitions import recorded
from tests.unit.weights import repositories
from tests.unit.weights.repositories import REPOSITORIES, files

WISHES = [
    ("openai/gpt-oss-120b", Wish()),
    ("openai/gpt-oss-120b", Wish(include=("metal/*",))),
    ("unsloth/Qwen3.6-27B-GGUF", Wish(("gguf",))),
    ("unsloth/Qwen3.6-27B-GGUF", Wish(("gguf",), quant="ud-q4_k_xl")),
    ("unsloth/Qwen3.6-27B-GGUF", Wish(("gguf",), quant="BF16")),
    ("unsloth/Qwen3.6-27B-GGUF", Wish(("gguf",), quant="Q5_K_S")),
    ("unsloth/Qwen3.6-27B-GGUF", Wish(("safetensors",))),
    ("org/two-formats", Wish()),
    ("org/two-formats", Wish(("bin",))),
    ("mistralai/Small", Wish()),
    ("org/parts", Wish()),
    ("org/unclear", Wish()),
    ("org/unclear", Wish(exclude=("int4/*",))),
    ("org/short", Wish()),
    ("org/parts", Wish(include=("*.gguf",))),
]


def names(choice: Choice) -> list[str]:
    return [each.path for each in choice.files]


def plan(repo: str, wish: Wish, **more: object) -> PullPlan:
    return PullPlan(repositories.listing(repo, **more), choose(files(repo), wish), "models")


def test_plans_are_as_recorded() -> None:
    """For each shape of repository: what is taken, what is left out and why, or what is asked."""
    said = []
    for repo, wish in WISHES:
        found = plan(repo, wish)
        asked = f"asked: {found.choice.problem}\n next: {found.choice.hint}"
        said.append(f"{repo} {wish}\n{asked if found.choice.problem else found}\n")

    recorded("pull-plans", "----------\n".join(said))


@pytest.mark.parametrize("repo", sorted(REPOSITORIES))
def test_every_file_is_taken_or_named_as_left_out(repo: str) -> None:
    for _repo, wish in [each for each in WISHES if each[0] == repo]:
        choice = choose(files(repo), wish)
        if not choice.problem:
            left = [file.path for each in choice.skipped for file in each.files]
            assert sorted([*names(choice), *left, ".gitattributes"]) == sorted(
                each.path for each in files(repo)
            )


def test_one_copy_of_gpt_oss_is_a_third_of_the_repository() -> None:
    choice = choose(files("openai/gpt-oss-120b"), Wish())

    assert sum(each.size for each in choice.weights) == 60_800_000_000
    assert sum(each.size for each in choice.skipped) > 121_600_000_000


def test_a_sharded_quantization_is_taken_whole_with_one_projector() -> None:
    choice = choose(files("unsloth/Qwen3.6-27B-GGUF"), Wish(quant="bf16"))

    assert [each.path for each in choice.weights] == [
        "BF16/Qwen3.6-27B-BF16-00001-of-00002.gguf",
        "BF16/Qwen3.6-27B-BF16-00002-of-00002.gguf",
        "mmproj-F16.gguf",
    ]


@pytest.mark.parametrize("wish", [Wish(quant="Q4_K_M"), Wish(include=("*Q4_K_M*",))])
def test_configuration_and_tokenizer_come_with_any_choice(wish: Wish) -> None:
    assert {"config.json", "tokenizer.json"} <= set(
        names(choose(files("unsloth/Qwen3.6-27B-GGUF"), wish))
    )


def test_a_pickle_of_arguments_is_no_weights_file() -> None:
    assert kind_of("training_args.bin") == ""
    assert kind_of("a/pytorch_model.bin") == "bin"
    assert kind_of("config.json") == ""


def test_a_plan_counts_what_is_there_and_what_room_it_leaves() -> None:
    large = File("model.safetensors", 10_000, "a" * 64, have=4_000)
    again = File("copy.safetensors", 10_000, "a" * 64, have=4_000)
    found = Listing("org/name", repositories.COMMIT, (large, again), free=6_000)
    known = PullPlan(found, Choice((large, again)), "models", headroom=100)

    assert known.to_move == 6_000
    assert known.lacking == 100


def test_nothing_to_move_needs_no_room() -> None:
    there = File("model.safetensors", 10, "a" * 64, have=10)
    found = Listing("org/name", repositories.COMMIT, (there,), free=0)

    assert PullPlan(found, Choice((there,)), "models").lacking == 0
    assert HEADROOM_BYTES > 0


def test_a_large_anonymous_pull_is_told_what_a_token_does() -> None:
    found = PullPlan(
        repositories.listing("openai/gpt-oss-120b", gated=True),
        choose(files("openai/gpt-oss-120b"), Wish()),
        "models",
        anonymous=True,
        rate=90e6,
    )

    assert "anonymous" in str(found)
    assert "about 11 min" in str(found)
    assert "apache-2.0, gated" in str(found)


def test_a_plan_for_programs_has_every_number() -> None:
    found = plan("org/two-formats", Wish()).as_dict()

    assert (
        found["to_move"] == found["size"] == missing(choose(files("org/two-formats"), Wish()).files)
    )
    assert {each["what"] for each in found["skipped"]} >= {"onnx/", "*.bin", "*.fp16.*"}
    assert found["lacking"] == 0


def test_a_listing_survives_the_way_through_json() -> None:
    known = repositories.listing("org/parts", tags=("text-generation",))

    assert listing(known.as_dict()) == known
