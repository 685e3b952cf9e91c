"""What keeps a transfer from ending well, as the command line is told."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """Why it failed; the command line has the exit code and the next step for each."""

    GATED = "gated"
    NO_REPO = "no-repo"
    NO_REVISION = "no-revision"
    BUSY = "busy"
    SPACE = "space"
    NETWORK = "network"
    DAMAGED = "damaged"
    STOPPED = "stopped"
    OTHER = "other"


class Problem(Exception):  # noqa: N818 - the command line makes an error of it
    """An expected failure. `text` says what happened and with which value."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text
