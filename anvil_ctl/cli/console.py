"""The only place that prints. stdout carries results, stderr carries progress and errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from anvil_ctl.errors import AnvilError
from anvil_ctl.events import Event, Report, State

_STYLES = {
    State.DONE: ("ok", "green"),
    State.SKIPPED: ("--", "dim"),
    State.WARNING: ("!!", "yellow"),
    State.FAILED: ("no", "red"),
}

# Below this a step is over before a line about it could be read.
_WORTH_ANNOUNCING_S = 2.0
# Where there is no terminal, a step that goes on says so this often.
_WORTH_REPEATING_S = 10.0
_ROOM = 100
_WIDE = 10_000

# highlight would colour numbers inside answers; soft_wrap keeps lines whole for pipes.
_out = Console(highlight=False, soft_wrap=True)
# Rich cuts cells to make a table fit: a long line that wraps loses nothing.
_tables = Console(highlight=False, soft_wrap=True, width=_WIDE)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """One line, or several, of result."""
    _out.print(Text(text))


def raw(data: bytes) -> None:
    """Bytes of result as they are, at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def say_json(value: object) -> None:
    """A result for programs."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def say_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under headings; plain columns when stdout is no terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold" if _out.is_terminal else "")
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    _tables.print(table)


def note(text: str) -> None:
    """A line beside the result, on stderr."""
    _err.print(Text(text))


def confirm(question: str) -> bool:
    """Ask for a yes on a terminal. Without one, and at the end of input, the answer is no."""
    if not sys.stdin.isatty():
        return False
    _err.print(Text(f"{question} [y/N] "), end="")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def complain(error: AnvilError) -> None:
    """What went wrong, and what to type next."""
    _err.print(Text.assemble(("error: ", "bold red"), error.message))
    if error.hint:
        _err.print(Text.assemble(("  next: ", "bold"), error.hint))


class Progress(StrEnum):
    """How progress is shown: AUTO is live on a terminal, and plain elsewhere."""

    AUTO = "auto"
    PLAIN = "plain"
    JSON = "json"


@contextmanager
def progress(shown: Progress = Progress.AUTO) -> Iterator[Report]:
    """A Report for long work: live, one line per step, or one JSON object per event."""
    if shown is Progress.JSON:
        yield _as_json
        return
    if shown is Progress.PLAIN or not _err.is_terminal:
        yield _Plain()
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), _Bar(bar_width=30), _Expected())
    with Live(*columns, console=_err, transient=True) as live:
        yield _Live(live)


class _Bar(BarColumn):
    """For steps that know how far they are; nothing for the others."""

    def render(self, task: Task) -> ProgressBar | Text:  # type: ignore[override]
        return super().render(task) if task.total else Text()


class _Expected(TextColumn):
    """Seconds so far, of how many to expect."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        if task.total:
            # How much longer is in the text of such a step.
            return Text()
        elapsed, estimate = task.elapsed or 0.0, task.fields.get("estimate")
        of = f" of about {seconds(estimate)}" if estimate else ""
        return Text(f"{elapsed:.0f} s{of}", style="dim")


class _Live:
    """Shows the running step under the finished ones."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        if event.state is State.WORKING:
            told = f"{event.text}  {_short(event.detail)}" if event.detail else event.text
            self._show(event.step, told, event.fraction, event.estimate_s)
            shown = {f"{event.step}/{name}" for name, _done in event.parts}
            for each in [key for key in self._tasks if key.startswith(f"{event.step}/")]:
                if each not in shown:
                    self._live.remove_task(self._tasks.pop(each))
            for name, done in event.parts:
                self._show(f"{event.step}/{name}", f"  {name}", done, None)
            return
        if event.state is not State.WARNING:
            ended = [key for key in self._tasks if key.split("/", 1)[0] == event.step]
            for each in ended:
                self._live.remove_task(self._tasks.pop(each))
        self._live.console.print(_line(event))

    def _show(self, key: str, text: str, fraction: float | None, estimate: float | None) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._live.add_task(text, total=None, estimate=estimate)
        total = None if fraction is None else 1.0
        self._live.update(
            self._tasks[key], description=text, estimate=estimate, total=total, completed=fraction
        )


class _Plain:
    """A line when a long step begins, now and then while it goes on, and when it has ended."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        if event.state is not State.WORKING:
            self._said.pop(event.step, None)
            _err.print(_line(event))
        elif event.elapsed_s == 0.0:
            self._said[event.step] = 0.0
            estimate = event.estimate_s or 0.0
            if event.fraction is None and estimate >= _WORTH_ANNOUNCING_S:
                _err.print(Text(f".. {event.text} (about {seconds(estimate)})"))
        elif event.elapsed_s - self._said.get(event.step, 0.0) >= _WORTH_REPEATING_S:
            self._said[event.step] = event.elapsed_s
            _err.print(Text(f".. {_going_on(event)}"))


def _going_on(event: Event) -> str:
    """A step that knows how far it is says so itself; of another, how long it has been."""
    if event.fraction is not None:
        return event.text
    said = f": {_short(event.detail)}" if event.detail else ""
    return f"{event.text}, {seconds(event.elapsed_s)} so far{said}"


def _as_json(event: Event) -> None:
    sys.stderr.write(json.dumps(asdict(event)) + "\n")
    sys.stderr.flush()


def _short(text: str) -> str:
    """The last line of a text, cut to what a line has room for."""
    line = text.splitlines()[-1].strip() if text.strip() else ""
    printable = "".join(c for c in line if c.isprintable())
    return printable if len(printable) <= _ROOM else printable[: _ROOM - 3] + "..."


def _line(event: Event) -> Text:
    mark, style = _STYLES[event.state]
    took = f"  {seconds(event.elapsed_s)}" if event.elapsed_s >= 0.05 else ""
    return Text.assemble((mark, style), f" {event.text}", (took, "dim"))


def seconds(value: float) -> str:
    """A duration as people say it: 0.4 s, 12 s, 3 min 20 s."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    return f"{value // 60:.0f} min {value % 60:.0f} s"
