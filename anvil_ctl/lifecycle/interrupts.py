"""Ctrl-C, SIGTERM and a lost terminal while what runs is being changed.

The first one is remembered until a place where the change can be undone; the second ends the
command where it is, and `recover` goes on from its journal.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from anvil_ctl.errors import StoppedError
from anvil_ctl.events import Event, Report, State

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Whether the user wants an end."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.asked: signal.Signals | None = None
        self._heeded = False

    def stop(self) -> None:
        """Raise StoppedError if an end is wanted, once: undoing is not stopped by the same wish."""
        if self.asked is not None and not self._heeded:
            self._heeded = True
            raise StoppedError(
                f"stopped by {self.asked.name}", hint="anvil-ctl status; what ran before runs again"
            )

    def take(self, number: int, _frame: FrameType | None) -> None:
        """A signal came."""
        if self.asked is not None:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number)
        text = f"{self.asked.name}: undoing at the next safe point; a second one ends this at once"
        self._report(Event("interrupt", text, State.WARNING))


@contextlib.contextmanager
def deferred(report: Report) -> Iterator[Interrupts]:
    """Signals are remembered while this lasts."""
    found = Interrupts(report)
    if threading.current_thread() is not threading.main_thread():
        yield found  # signals are the main thread's alone
        return
    before = {each: signal.signal(each, found.take) for each in _SIGNALS}
    try:
        yield found
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
