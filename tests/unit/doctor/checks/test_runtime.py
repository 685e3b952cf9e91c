from __future__ import annotations

from dataclasses import replace

import pytest

from anvil_ctl.docker_look import Binding, Seen, is_here
from anvil_ctl.doctor.survey import Control, Deep, EngineSeen, JournalSeen, Survey
from tests.unit.definitions import FAST, cpu_text
from tests.unit.doctor.surveys import engines, found, healthy, reference, with_container, wrong

OUT_OF_CARD = (
    "INFO loading\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
)


def said(survey: Survey, check: str) -> str:
    (only,) = [each for each in found(survey, check) if not each.ok]
    return str(only)


def test_an_image_that_is_not_here_is_a_failure() -> None:
    assert wrong(replace(healthy(), images={}), "D60") == [("D60", "fail")] * 3


def test_published_images_are_to_be_locked() -> None:
    assert said(reference(), "D60").endswith("next: anvil-ctl images lock")


@pytest.mark.parametrize(
    ("reference_", "here"),
    [
        ("vllm/vllm-openai:v0.33.0", True),
        ("vllm/vllm-openai:v0.34.0", False),
        ("vllm/vllm-openai:v0.33.0@sha256:1", True),
        ("vllm/vllm-openai:v0.33.0@sha256:2", False),
        ("host:5000/engine@sha256:3", True),
    ],
)
def test_an_image_is_known_by_its_digest_where_it_has_one(reference_: str, here: bool) -> None:
    images = {
        "vllm/vllm-openai:v0.33.0": frozenset({"sha256:1"}),
        "vllm/vllm-openai@sha256:1": frozenset({"sha256:1"}),
        "host:5000/engine@sha256:3": frozenset({"sha256:3"}),
    }

    assert is_here(reference_, images) is here


def test_a_container_that_ended_is_a_failure_with_what_its_log_means() -> None:
    survey = with_container(reference(), "heavy-local-1", status="exited", exit_code=1)
    survey = replace(survey, logs={"anvil-agentic-heavy-local-1": OUT_OF_CARD})

    assert said(survey, "D61") == (
        "anvil-agentic-heavy-local-1 is exited (exit status 1): the card has too little free memory "
        "(torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.) [D16]. next: "
        "anvil-ctl doctor --only D16, then lower vram_mib, window or slots"
    )


def test_a_container_that_ran_out_of_the_hosts_memory_is_known_by_its_status() -> None:
    survey = with_container(
        healthy(), "starter-1", status="exited", exit_code=137, out_of_memory=True
    )

    assert "ran out of memory): the host's memory ran out" in said(survey, "D61")


def test_a_container_that_ended_for_no_known_reason_has_its_log() -> None:
    survey = with_container(healthy(), "-router-1", status="exited", exit_code=3)

    assert said(survey, "D61").endswith("next: anvil-ctl logs router")


def test_a_container_that_comes_back_again_and_again_is_a_warning() -> None:
    survey = with_container(healthy(), "starter-1", restarts=7)

    assert wrong(survey, "D61") == [("D61", "warn")]
    assert "restarted 7 times" in said(survey, "D61")


@pytest.mark.parametrize(("code", "statuses"), [(0, []), (143, []), (1, [("D61", "warn")])])
def test_a_swapped_engine_may_be_stopped_and_not_have_failed(
    code: int, statuses: list[tuple[str, str]]
) -> None:
    survey = with_container(
        healthy(cpu_text(), "flexibility"), "quick-1", status="exited", exit_code=code
    )

    assert wrong(survey, "D61") == statuses


def test_an_engine_that_runs_and_does_not_answer_is_a_failure_unless_it_loads() -> None:
    silent = replace(healthy(), engines={"starter": EngineSeen(None)})
    loading = with_container(silent, "starter-1", health="starting")

    assert "its port answers nothing" in said(silent, "D62")
    assert wrong(loading, "D62") == [("D62", "info")]


def test_one_token_is_asked_for_by_deep_alone() -> None:
    survey = replace(healthy(), deep=Deep(tokens={"starter": "one token was answered with 500"}))

    assert said(survey, "D62").startswith("one token was answered with 500")
    assert found(healthy(), "D62")[0].observed == "tier starter answers"


def test_a_mode_that_does_not_run_says_what_starts_it() -> None:
    other = replace(healthy(), containers=tuple(engines(healthy().site, "flexibility")))

    assert said(replace(healthy(), containers=()), "D62").endswith("anvil-ctl up --mode agentic")
    assert said(other, "D62").endswith("anvil-ctl switch agentic")


def test_a_port_that_leads_to_another_tier_is_a_failure() -> None:
    survey = with_container(
        reference(), "fast-local-1", bindings=(Binding("127.0.0.1", 30000, "x"),)
    )
    swapped = with_container(survey, "heavy-local-1", bindings=())

    assert "port 30000 of tier heavy-local leads to anvil-agentic-fast-local-1" in said(
        swapped, "D63"
    )


def test_the_other_modes_containers_beside_this_ones_are_a_failure() -> None:
    both = (*engines(healthy().site, "agentic"), *engines(healthy().site, "flexibility"))
    running = tuple(replace(each, status="running") for each in both)

    assert wrong(replace(healthy(), containers=running), "D64") == [("D64", "fail")]
    assert wrong(replace(healthy(), containers=both), "D64") == [("D64", "warn")]


def test_a_stranger_on_a_roles_card_is_a_warning() -> None:
    game = Seen("game", "i", "running", devices=(FAST,), restart_policy="always")
    assert isinstance(reference().containers, tuple)
    survey = replace(reference(), containers=(*reference().containers, game))  # type: ignore[misc]

    assert said(survey, "D64").endswith("next: docker stop game")
    assert said(survey, "D65").endswith("next: docker update --restart no game")


def test_a_swapped_engine_that_comes_back_by_itself_is_a_warning() -> None:
    survey = with_container(
        healthy(cpu_text(), "flexibility"), "quick-1", restart_policy="unless-stopped"
    )

    assert wrong(survey, "D65") == [("D65", "warn")]


def test_a_command_that_was_cut_off_needs_recover_and_one_that_works_does_not() -> None:
    cut = JournalSeen("agentic -> flexibility")
    works = replace(cut, lock_holder="anvil-ctl switch (process 7)")
    home = healthy().home

    assert said(replace(healthy(), home=replace(home, journal=cut)), "D66").endswith("recover")
    assert wrong(replace(healthy(), home=replace(home, journal=works)), "D66") == [("D66", "info")]


def test_what_engines_left_in_shared_memory_is_said_where_none_shares_it() -> None:
    left = replace(healthy(), station=replace(healthy().station, shared_memory={"psm_1": 10**9}))
    shared = with_container(left, "starter-1", shares_memory=True)

    assert "1 files of engines that have ended (1000 MB)" in said(left, "D68")
    assert found(shared, "D68") == []


def test_a_multiplexer_that_has_other_models_or_a_failed_swap_is_said() -> None:
    survey = healthy(cpu_text(), "flexibility")
    roles = {"cpu": {"state": "idle", "resident": None, "last_error": "quick did not load"}}
    rows = [{"tier": "quick"}, {"tier": "long"}]

    assert wrong(replace(survey, multiplexer=Control({"models": [], "roles": {}})), "D69") == [
        ("D69", "fail")
    ]
    assert "quick did not load" in said(
        replace(survey, multiplexer=Control({"models": rows, "roles": roles})), "D69"
    )
    assert wrong(replace(survey, multiplexer=Control(None)), "D69") == [("D69", "unknown")]


def test_a_model_that_did_not_wake_as_it_was_is_a_warning_with_the_reason() -> None:
    survey = healthy(cpu_text(), "flexibility")
    rows = [{"tier": "quick"}, {"tier": "long"}]
    parking = {"quick": {"way": "sleep", "state": "given up", "reason": "it says '!!!'"}}
    status = {"models": rows, "roles": {}, "parking": parking}

    assert wrong(replace(survey, multiplexer=Control(status)), "D69") == [("D69", "warn")]
    assert "it says '!!!'" in said(replace(survey, multiplexer=Control(status)), "D69")
