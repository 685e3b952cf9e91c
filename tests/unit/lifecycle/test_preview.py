"""Plans as they are printed: golden texts, and what their hash is over."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from anvil_ctl.config import Mode
from anvil_ctl.lifecycle.observe import tier_goals
from anvil_ctl.lifecycle.plan import Goal, Observed, TierState, plan, plan_down
from anvil_ctl.lifecycle.preview import Facts, Preview, preview
from anvil_ctl.renderer import Renderer
from tests.unit.definitions import cpu, fakoli_dark_text, parse, recorded, renderer

NOTHING = Observed({}, None, None, None, None)
IMAGES: dict[str, str | None] = {
    "anvil/control:test": "sha256:c0ffee",
    "lmsysorg/sglang:v0.5.23": None,
    "vllm/vllm-openai:v0.33.0": "sha256:dec0de",
}
SECONDS = {
    "ready.flexibility.flex-gptoss-120b": 114.2,
    "ready.flexibility.flex-qwen36-27b": 41.0,
    "down.flexibility.agentic": 21.4,
}


def dark() -> Renderer:
    return renderer(parse(fakoli_dark_text("linux")))


def wanted(found: Renderer, mode: Mode) -> Goal:
    files = found.mode(mode)
    roles = found.config.machine.roles
    return Goal(
        mode,
        files.project,
        tier_goals(found.config, files),
        f"r-{mode}",
        f"g-{mode}",
        "c1",
        tuple(name for name, role in roles.items() if role.gpu_uuid),
    )


def live(found: Renderer, mode: Mode, **changed: TierState) -> Observed:
    goal = wanted(found, mode)
    tiers = {each.id: TierState("running", each.config_hash) for each in goal.tiers}
    tiers |= {name.replace("_", "-"): state for name, state in changed.items()}
    return Observed({mode: tiers}, "c1", goal.router_hash, goal.registry_hash, mode, True)


def shown(found: Renderer, verb: str, observed: Observed, target: Mode, **more: object) -> Preview:
    goal = wanted(found, target)
    facts = Facts(
        config=found.config,
        observed=observed,
        goal=goal,
        files=found.mode(target),
        ledger=found.ledger(target),
        images=IMAGES,
        seconds=SECONDS,
        way_back=observed.modes[0] if observed.modes else None,
    )
    return preview(verb, plan(observed, goal), replace(facts, **more))  # type: ignore[arg-type]


def printed(name: str, found: Preview) -> None:
    """Compare with the golden text; the hash follows from every rendered byte, and is left out."""
    recorded(name, f"{found}\n".replace(found.hash, "HASH"))


def test_a_switch_of_the_two_gpu_site_is_printed_as_recorded() -> None:
    found = dark()

    printed("plan-switch", shown(found, "switch", live(found, "agentic"), "flexibility"))


def test_a_first_start_is_printed_as_recorded_with_estimates_and_no_one_waiting() -> None:
    first = shown(dark(), "up", NOTHING, "agentic")

    printed("plan-up", first)
    assert first.wait_s == 0
    assert not any(step.measured for step in first.steps)


def test_tiers_that_swap_are_created_and_what_differs_is_replaced() -> None:
    found = renderer(cpu())
    observed = live(
        found, "flexibility", quick=TierState("exited", "older"), gone=TierState("exited", "x")
    )

    printed("plan-converge", shown(found, "up", observed, "flexibility"))


def test_down_is_printed_as_recorded() -> None:
    found = dark()
    observed = live(found, "agentic", gone=TierState("running", "x"))

    steps = plan_down(observed)

    printed("plan-down", preview("down", steps, Facts(found.config, observed)))


def test_what_runs_as_defined_needs_one_line() -> None:
    found = dark()

    assert str(shown(found, "up", live(found, "agentic"), "agentic")) == (
        "agentic runs as defined: nothing to do"
    )


def test_the_time_in_which_requests_wait_is_from_the_hold_to_the_release() -> None:
    found = dark()
    it = shown(found, "switch", live(found, "agentic"), "flexibility")

    measured = {f"{step.act.op} {step.act.target}" for step in it.steps if step.measured}
    assert measured == {"ready flex-gptoss-120b", "ready flex-qwen36-27b", "down agentic"}
    assert it.wait_s == it.total_s == pytest.approx(sum(step.seconds for step in it.steps), abs=0.1)


def test_json_has_the_figures_that_the_text_has() -> None:
    found = dark()
    said = json.loads(
        json.dumps(asdict(shown(found, "switch", live(found, "agentic"), "flexibility")))
    )
    heavy = said["moves"][0]

    assert heavy["role"] == "heavy"
    assert [heavy[key] for key in ("committed_mib", "reserve_mib", "memory_mib")] == [
        90112,
        2048,
        97887,
    ]
    assert [each["what"] for each in heavy["changes"]] == ["stop", "start"]
    assert said["files"][0] == {
        "name": "router config",
        "old": "r-agentic",
        "new": "r-flexibility",
    }
    assert len(said["hash"]) == 16


def test_the_hash_is_over_files_images_and_acts_and_over_nothing_else() -> None:
    found, other = (
        dark(),
        renderer(parse(fakoli_dark_text("linux").replace("slots = 4", "slots = 3"))),
    )
    observed = live(found, "agentic")
    first = shown(found, "switch", observed, "flexibility")
    faster = shown(found, "switch", observed, "flexibility", seconds={}, way_back=None)

    assert faster.hash == first.hash
    hashes = {
        first.hash,
        shown(other, "switch", observed, "flexibility").hash,
        shown(found, "switch", observed, "flexibility", images={**IMAGES, "x": "y"}).hash,
        shown(found, "switch", NOTHING, "flexibility").hash,
    }
    assert len(hashes) == 4
