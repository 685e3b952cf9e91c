"""Every known cause of a failed switch is caught while the old mode still serves."""

from __future__ import annotations

import re

import pytest

from anvil_ctl.doctor.gates import GATES, refuse
from anvil_ctl.errors import GateError
from tests.unit.doctor.causes import CAUSES, Cause, wanted


def test_where_nothing_is_wrong_the_switch_may_begin() -> None:
    assert refuse(wanted()) == ()


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_it_is_refused_by_its_gate_with_what_to_do(cause: Cause) -> None:
    with pytest.raises(GateError) as raised:
        refuse(cause.broken())

    assert raised.value.message.startswith("nothing was changed: ")
    assert cause.gate in re.findall(r"\[(D\d\d)\]", raised.value.message)
    assert raised.value.hint


@pytest.mark.parametrize("cause", CAUSES[-5:], ids=lambda cause: cause.name)
def test_a_gate_that_is_named_can_be_skipped_and_says_what_it_found(cause: Cause) -> None:
    (said,) = refuse(cause.broken(), [cause.gate])

    assert said.startswith(f"{cause.gate}: ")


def test_the_table_has_forty_causes_or_more_and_names_only_gates() -> None:
    assert len({cause.name for cause in CAUSES}) == len(CAUSES) >= 40
    assert {cause.gate for cause in CAUSES} <= {check.id for check in GATES}
