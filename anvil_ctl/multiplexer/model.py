"""What the multiplexer knows of a model, and what it says to whom it turns away."""

from __future__ import annotations

import msgspec

from anvil_ctl.errors import AnvilError


class Model(msgspec.Struct, frozen=True):
    """One row of the registry. Times are in seconds.

    `name` is what clients send and what the engine serves. Models with the same `role` share
    hardware, so at most one of them runs.
    """

    name: str
    tier: str
    role: str
    container: str
    url: str
    health_path: str = "/health"
    models_path: str = "/v1/models"
    start_timeout_s: float = 600.0
    stop_timeout_s: float = 10.0
    drain_timeout_s: float = 30.0
    load_estimate_s: float = 60.0


class Refusal(msgspec.Struct, frozen=True):
    """Why somebody doesn't get a model: the HTTP status, a code for programs, words for people."""

    status: int
    code: str
    message: str
    retry_after_s: int


class RefusedError(AnvilError):
    """A request for a model was turned away."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class UnknownModelError(AnvilError):
    """No row of the registry has this name; the message lists those there are."""

    def __init__(self, name: str, known: list[str]) -> None:
        listed = ", ".join(known) or "none"
        super().__init__(f"model {name!r} is not known; known models: {listed}")


def unavailable(message: str) -> Refusal:
    """The model can't be served now; another tier may be tried."""
    return Refusal(503, "backend_unavailable", message, 5)


def busy(message: str, retry_after_s: int) -> Refusal:
    """Too many wait, or one has waited too long."""
    return Refusal(503, "busy", message, retry_after_s)
