"""Docker's own failures, translated in one place, each with what to type next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from python_on_whales.exceptions import DockerException

from anvil_ctl.errors import AnvilError


class DockerError(AnvilError):
    """Docker refused or failed; the message is its own last line."""


# What Docker says -> what to type next; the first that fits.
_REMEDIES = (
    ("permission denied", "sudo usermod -aG docker $USER, then log in again"),
    ("cannot connect to the docker daemon", "sudo systemctl start docker"),
    ("is the docker daemon running", "sudo systemctl start docker"),
    ("no space left on device", "free some space: docker system df; anvil-ctl images prune"),
    ("port is already allocated", "anvil-ctl doctor"),
)


def failure(said: str, prefix: str = "") -> DockerError:
    """Docker's last line as an error, with the remedy that is known for it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    text = lines[-1] if lines else "docker ended without a word"
    found = (remedy for sign, remedy in _REMEDIES if sign in said.lower())
    return DockerError(prefix + text, hint=next(found, "anvil-ctl doctor"))


@contextmanager
def translated(prefix: str = "") -> Iterator[None]:
    """Docker's own failures become DockerErrors here, and nowhere else."""
    try:
        yield
    except DockerException as error:
        raise failure(error.stderr or "", prefix) from error
