from __future__ import annotations

import itertools

import pytest

from anvil_ctl.multiplexer.role import TRANSITIONS, IllegalTransitionError, Role, State

STEPS = list(itertools.product(State, State))


@pytest.mark.parametrize(("old", "new"), STEPS, ids=[f"{a}-{b}" for a, b in STEPS])
def test_a_role_goes_where_the_table_leads_and_nowhere_else(old: State, new: State) -> None:
    role = Role("cpu", {}, state=old)

    if new in TRANSITIONS[old]:
        role.become(new, 7.0)
        assert (role.state, role.since) == (new, 7.0)
    else:
        with pytest.raises(IllegalTransitionError, match=f"{old} does not lead to {new}"):
            role.become(new, 7.0)
        assert role.state is old


def test_no_state_is_a_dead_end() -> None:
    assert all(TRANSITIONS[state] for state in State)


def test_two_models_can_not_follow_each_other_without_a_stop() -> None:
    before_loading = {state for state, after in TRANSITIONS.items() if State.LOADING in after}

    # READY is there because a resident that died is loaded again.
    assert before_loading == {State.IDLE, State.FAILED, State.STOPPING, State.READY}
