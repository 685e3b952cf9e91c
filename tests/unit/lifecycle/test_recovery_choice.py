"""What `recover` makes of each journal that a killed command can leave."""

from __future__ import annotations

import pytest

from anvil_ctl.errors import UsageError
from anvil_ctl.lifecycle.journal import Interrupted
from anvil_ctl.lifecycle.recovery import Recovery, Way, recovery

SWITCH = Interrupted(("agentic",), "flexibility")
UNDOING = Interrupted(("agentic",), "flexibility", undoing=True)
DOWN = Interrupted(("agentic",), "down")
DOWN_OF_NOTHING = Interrupted((), "down")


@pytest.mark.parametrize(
    ("cut_off", "plain", "undo"),
    [
        (None, Recovery(Way.NONE), Recovery(Way.NONE)),
        (SWITCH, Recovery(Way.FINISH, "flexibility"), Recovery(Way.UNDO)),
        (UNDOING, Recovery(Way.UNDO), Recovery(Way.UNDO)),
        (DOWN, Recovery(Way.STOP), Recovery(Way.UP, "agentic")),
        (DOWN_OF_NOTHING, Recovery(Way.STOP), Recovery(Way.STOP)),
    ],
)
def test_each_command_that_was_cut_off_has_its_way_on(
    cut_off: Interrupted | None, plain: Recovery, undo: Recovery
) -> None:
    assert recovery(cut_off, undo=False) == plain
    assert recovery(cut_off, undo=True) == undo


def test_a_journal_that_names_no_mode_is_said() -> None:
    with pytest.raises(UsageError, match="the journal: 'turbo' is not a mode"):
        recovery(Interrupted((), "turbo"), undo=False)
