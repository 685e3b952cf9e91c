"""Every error that anvil-ctl raises on purpose.

AnvilError              exit 1   tried and failed; what ran before still runs (or nothing did)
├── UsageError          exit 2   wrong input; nothing changed
│   └── ConfigError     exit 2   a configuration file is wrong; nothing changed
├── GateError           exit 3   a check refused before anything changed
├── BusyError           exit 4   another command holds the lock, or one was interrupted
├── StoppedError        exit 130 the user stopped it; what ran before runs again
├── NotRestoredError    exit 5   failed, and the former state is not proven back
└── DockerMissingError  exit 127 no docker command on this machine

The exit codes are listed for users in docs/reference/exit-codes.md.
"""

from __future__ import annotations


class AnvilError(Exception):
    """An expected failure: what happened, with which value, and what to type next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AnvilError):
    """The command was given something that it cannot use."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file is wrong; the message names the file, the key and the value.

    `rule` is the id of what decided, where that has one: docs/reference/rules.md lists them.
    """

    def __init__(self, message: str, *, hint: str = "", rule: str = "") -> None:
        super().__init__(f"{message} [rule {rule}]" if rule else message, hint=hint)
        self.rule = rule


class GateError(AnvilError):
    """A check refused, and nothing has been changed."""

    exit_code = 3


class BusyError(AnvilError):
    """Another command is changing the stack, or one was cut off while it did."""

    exit_code = 4


class NotRestoredError(AnvilError):
    """The operation failed and the former state could not be proven restored."""

    exit_code = 5


class StoppedError(AnvilError):
    """The user wanted an end; what had been begun is undone."""

    exit_code = 130


class DockerMissingError(AnvilError):
    """There is no docker command to talk to an engine with."""

    exit_code = 127
