"""What is said of an engine that ended while it loaded."""

from __future__ import annotations

import pytest

from anvil_ctl.docker import Container
from anvil_ctl.lifecycle import starting

WORDS = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."


class Docker:
    """One container, and what it wrote."""

    def __init__(self, found: Container | None) -> None:
        self.found = found

    def container(self, _name: str) -> Container | None:
        return self.found

    def container_logs(self, _name: str, _lines: int) -> str:
        return f"loading\n{WORDS}\n"


def seen(status: str, code: int, restarts: int) -> Container:
    return Container("anvil-agentic-coder-1", "i", status, None, code, restarts=restarts)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (seen("exited", 1, 0), "exit status 1: "),
        (seen("restarting", 1, 1), "exit status 1: "),
        (seen("running", 0, 1), "ended, and started again by Docker: "),
        (seen("running", 0, 0), "running: "),
        (None, "removed: "),
    ],
)
def test_how_it_ended_is_said_with_what_it_wrote_last(found: Container | None, said: str) -> None:
    words = starting._last_words(Docker(found), "anvil-agentic-coder-1", 0, "vllm")  # type: ignore[arg-type]

    assert words.said == f"{said}loading / {WORDS}"
    assert "[D16]" in str(words)


def test_an_exit_status_of_before_says_nothing_of_a_container_that_runs_again() -> None:
    killed = Docker(seen("exited", 137, 0))
    again = Docker(seen("running", 137, 1))
    for each in (killed, again):
        each.container_logs = lambda _name, _lines: "loading"  # type: ignore[method-assign]

    told = [starting._last_words(each, "c", 0, "vllm").diagnosis for each in (killed, again)]  # type: ignore[arg-type]

    assert told[0] is not None
    assert told[1] is None
