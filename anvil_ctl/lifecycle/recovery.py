"""What `recover` does about a command that was cut off. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from anvil_ctl.config import Mode
from anvil_ctl.config.modes import known
from anvil_ctl.lifecycle.journal import Interrupted


class Way(StrEnum):
    """The ways on from where a command was cut off."""

    NONE = "none"
    # Bring a mode up from whatever is there; `FINISH` takes the command back where that cannot be.
    UP = "up"
    FINISH = "finish"
    STOP = "stop"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class Recovery:
    """A way, and the mode that is live at its end where that is known."""

    way: Way
    mode: Mode | None = None


def recovery(cut_off: Interrupted | None, *, undo: bool) -> Recovery:
    """`undo`: what ran before is wanted, and not what the command was for."""
    if cut_off is None:
        return Recovery(Way.NONE)
    if cut_off.target == "down":
        before = cut_off.source[0] if undo and cut_off.source else None
        return Recovery(Way.UP, known(before, "the journal")) if before else Recovery(Way.STOP)
    if undo or cut_off.undoing:
        return Recovery(Way.UNDO)
    return Recovery(Way.FINISH, known(cut_off.target, "the journal"))
