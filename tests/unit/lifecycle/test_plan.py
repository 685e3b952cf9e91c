from __future__ import annotations

from dataclasses import replace

from anvil_ctl.config import Mode
from anvil_ctl.lifecycle.plan import Goal, Observed, Op, TierGoal, TierState, plan, plan_down

NOTHING = Observed({}, None, None, None, None)

AGENTIC = Goal(
    "agentic", "anvil-agentic", (TierGoal("starter", "cpu", False, "s1"),), "ra", "ga", "c1"
)
FLEXIBILITY = Goal(
    "flexibility",
    "anvil-flexibility",
    (TierGoal("quick", "cpu", True, "q1"), TierGoal("long", "cpu", True, "l1")),
    "rf",
    "gf",
    "c1",
)
AGENTIC_LIVE = Observed(
    {"agentic": {"starter": TierState("running", "s1")}}, "c1", "ra", "ga", "agentic", True
)
FLEXIBILITY_LIVE = Observed(
    {"flexibility": {"quick": TierState("exited", "q1"), "long": TierState("running", "l1")}},
    "c1",
    "rf",
    "gf",
    "flexibility",
    True,
)


def text(*lines: str) -> str:
    return "\n".join(lines)


def test_the_first_start_holds_no_one_because_no_one_is_served() -> None:
    assert str(plan(NOTHING, AGENTIC)) == text(
        "plan: nothing -> agentic",
        " 1  install     agentic                  router config and registry of the mode",
        " 2  control     router, multiplexer, guard not running",
        " 3  up          agentic                  not as defined: starter",
        " 4  ready       starter                  engine ready, and the model by its exact name",
        " 5  multiplexer multiplexer              reads the registry and takes leases again",
        " 6  canary      starter                  one real token",
        " 7  router      router                   reads the config of the mode",
        " 8  prove       presets                  "
        "each answers through the router, before anybody's turn",
        " 9  release     router                   waiting requests are answered by the mode",
    )


def test_a_switch_stops_what_is_not_wanted_before_it_starts_what_is() -> None:
    assert str(plan(AGENTIC_LIVE, FLEXIBILITY)) == text(
        "plan: agentic -> flexibility",
        " 1  hold        router, multiplexer      new requests wait and lose nothing",
        " 2  drain       router, multiplexer      running answers finish first",
        " 3  retire      multiplexer              what it started goes with its mode",
        " 4  down        agentic                  flexibility takes its devices",
        " 5  install     flexibility              router config and registry of the mode",
        " 6  up          flexibility              not as defined: quick, long",
        " 7  multiplexer multiplexer              reads the registry and takes leases again",
        " 8  canary      quick                    one real token, loaded by the multiplexer (cpu)",
        " 9  router      router                   reads the config of the mode",
        "10  prove       presets                  "
        "each answers through the router, before anybody's turn",
        "11  release     router                   waiting requests are answered by the mode",
    )


def test_a_mode_that_runs_as_defined_needs_nothing() -> None:
    assert plan(AGENTIC_LIVE, AGENTIC).acts == ()
    assert plan(FLEXIBILITY_LIVE, FLEXIBILITY).acts == ()
    assert str(plan(AGENTIC_LIVE, AGENTIC)) == "agentic runs as defined: nothing to do"


def test_a_swapped_tier_need_not_run_and_a_fixed_one_must() -> None:
    stopped: dict[Mode, dict[str, TierState]] = {"agentic": {"starter": TierState("exited", "s1")}}

    steps = plan(replace(AGENTIC_LIVE, tiers=stopped), AGENTIC)

    assert [act.op for act in steps.acts].count(Op.UP) == 1
    assert Op.DOWN not in [act.op for act in steps.acts]


def test_a_changed_router_config_touches_no_engine() -> None:
    steps = plan(AGENTIC_LIVE, replace(AGENTIC, router_hash="other"))

    assert [act.op for act in steps.acts] == [
        Op.HOLD,
        Op.DRAIN,
        Op.INSTALL,
        Op.MULTIPLEXER,
        Op.ROUTER,
        Op.PROVE,
        Op.RELEASE,
    ]


def test_a_new_control_project_replaces_the_old_one_before_anything_is_held() -> None:
    """What waits in a router is lost when its container goes; what runs in it is finished."""
    goal = replace(AGENTIC, control_hash="c2")
    alone = plan(AGENTIC_LIVE, goal)
    with_a_tier = plan(
        AGENTIC_LIVE, replace(goal, tiers=(TierGoal("starter", "cpu", False, "s2"),))
    )

    assert [act.op for act in alone.acts] == [Op.INSTALL, Op.CONTROL]
    assert [act.op for act in with_a_tier.acts][:4] == [Op.INSTALL, Op.CONTROL, Op.HOLD, Op.DRAIN]


def test_both_modes_left_behind_by_a_killed_command_become_one() -> None:
    both = replace(FLEXIBILITY_LIVE, tiers={**AGENTIC_LIVE.tiers, **FLEXIBILITY_LIVE.tiers})

    steps = plan(both, FLEXIBILITY)

    assert [act.target for act in steps.acts if act.op is Op.DOWN] == ["agentic"]


def test_down_stops_everything_that_is_there_and_no_more() -> None:
    assert [act.op for act in plan_down(AGENTIC_LIVE).acts] == [
        Op.HOLD,
        Op.DRAIN,
        Op.RETIRE,
        Op.DOWN,
        Op.STOP,
    ]
    assert plan_down(NOTHING).acts == ()


def test_cards_are_free_before_the_next_engines_look_for_room() -> None:
    ops = [act.op for act in plan(AGENTIC_LIVE, replace(FLEXIBILITY, cards=("heavy",))).acts]
    first = [act.op for act in plan(NOTHING, replace(FLEXIBILITY, cards=("heavy",))).acts]

    assert ops.index(Op.DOWN) < ops.index(Op.FREE) < ops.index(Op.UP)
    assert Op.FREE not in first


def test_engines_load_one_after_the_other_where_memory_holds_no_two() -> None:
    two = (TierGoal("a", "heavy", False, "1"), TierGoal("b", "fast", False, "2"))
    swapped = (*two, TierGoal("c", "fast", True, "3"))

    def loading(goal: Goal) -> list[str]:
        loads = (Op.UP, Op.READY)
        return [f"{act.op} {act.target}" for act in plan(NOTHING, goal).acts if act.op in loads]

    goal = replace(AGENTIC, tiers=two)
    assert loading(goal) == ["up agentic", "ready a", "ready b"]
    in_turn = replace(goal, in_turn=True)
    assert loading(in_turn) == ["up a", "ready a", "up b", "ready b"]
    assert loading(replace(in_turn, tiers=swapped))[-1] == "up agentic"


def test_hooks_are_run_around_a_switch_and_at_no_other_time() -> None:
    goal = replace(FLEXIBILITY, hooks=("pre-switch", "post-switch"))

    acts = plan(AGENTIC_LIVE, goal).acts

    assert [acts[0].target, acts[-1].target] == ["pre-switch", "post-switch"]
    assert Op.HOOK not in [act.op for act in plan(NOTHING, goal).acts]


def test_what_a_command_that_was_cut_off_has_started_is_proved_before_anybody_meets_it() -> None:
    held = replace(AGENTIC_LIVE, held=True)
    steps = text(
        "plan: agentic -> agentic",
        " 1  hold        router, multiplexer      new requests wait and lose nothing",
        " 2  drain       router, multiplexer      running answers finish first",
        " 3  install     agentic                  router config and registry of the mode",
        " 4  ready       starter                  engine ready, and the model by its exact name",
        " 5  multiplexer multiplexer              reads the registry and takes leases again",
        " 6  canary      starter                  one real token",
        " 7  router      router                   reads the config of the mode",
        " 8  prove       presets                  "
        "each answers through the router, before anybody's turn",
        " 9  release     router                   waiting requests are answered by the mode",
    )

    assert str(plan(held, AGENTIC, proved=False)) == steps
    assert str(plan(AGENTIC_LIVE, AGENTIC, proved=False)) == steps


def test_requests_that_nobody_lets_go_on_are_drift() -> None:
    steps = plan(replace(FLEXIBILITY_LIVE, held=True), FLEXIBILITY)

    assert [str(act.op) for act in steps.acts if act.op not in (Op.HOLD, Op.DRAIN)] == [
        "install", "multiplexer", "canary", "router", "prove", "release",
    ]  # fmt: skip
