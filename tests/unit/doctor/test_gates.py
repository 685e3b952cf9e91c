from __future__ import annotations

from dataclasses import replace

import pytest

from anvil_ctl.doctor.gates import GATES, refuse
from anvil_ctl.doctor.report import looks
from anvil_ctl.doctor.survey import Look, Unknown
from anvil_ctl.errors import GateError
from anvil_ctl.hardware import Cards
from tests.unit.doctor.surveys import healthy, idle, reference, with_container


def test_a_machine_that_has_everything_passes() -> None:
    refuse(idle())
    refuse(reference())


def test_a_refusal_names_every_gate_with_its_check_and_its_remedy() -> None:
    broken = replace(idle(), images={}, taken_ports=frozenset({30000}))

    with pytest.raises(GateError) as raised:
        refuse(broken)

    assert raised.value.message.startswith("nothing was changed: port 30000 of tier starter")
    assert "anvil/guard:test is not here [D60]" in raised.value.message
    assert raised.value.hint.endswith("; anvil-ctl images build")


def test_a_docker_that_does_not_answer_is_never_taken_for_an_absence() -> None:
    with pytest.raises(GateError, match=r"the daemon is busy \[D43\]"):
        refuse(replace(idle(), containers=Unknown("the daemon is busy")))


def test_cards_that_nobody_can_list_do_not_refuse() -> None:
    refuse(replace(reference(), cards=Cards()))


def test_what_runs_badly_now_does_not_keep_the_other_mode_from_starting() -> None:
    refuse(with_container(healthy(), "starter-1", status="exited", exit_code=1))


def test_gates_ask_no_process_and_read_no_log() -> None:
    assert not looks(GATES) & {Look.ENDPOINTS, Look.LOGS, Look.DEEP}
