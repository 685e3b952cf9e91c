"""Containers as the multiplexer sees them: looked at, started and stopped by name, never made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from anvil_ctl.errors import AnvilError


@dataclass(frozen=True, slots=True)
class ContainerState:
    """How a container stands. `run` differs from one start to the next.

    `config_hash` is its label, "" without one; `memory_limit_mib` its share of the host's RAM.
    """

    running: bool
    exit_code: int = 0
    run: str = ""
    oom_killed: bool = False
    config_hash: str = ""
    memory_limit_mib: int | None = None

    def described(self) -> str:
        """Why it isn't running, in words."""
        reason = " (out of memory)" if self.oom_killed else ""
        return f"exited with code {self.exit_code}{reason}"


class ContainerError(AnvilError):
    """The container engine, or the guard before it, did not do what it was asked."""


class NoSuchContainerError(ContainerError):
    """There is no container of this name."""


class Containers(Protocol):
    """The container engine. All methods raise ContainerError."""

    async def state(self, name: str) -> ContainerState:
        """How a container stands now; NoSuchContainerError if there is none."""

    async def start(self, name: str) -> None:
        """Start it; nothing happens if it runs."""

    async def stop(self, name: str, grace_s: float) -> None:
        """Ask it to end, and kill it after `grace_s` seconds; returns when that is done."""

    async def kill(self, name: str) -> None:
        """End it at once."""

    def exits(self) -> AsyncIterator[str]:
        """The names of containers as they exit, from now on, until the stream breaks."""

    async def close(self) -> None:
        """Give back what is held."""
