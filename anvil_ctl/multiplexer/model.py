"""What the multiplexer knows of a model, and what it says to whom it turns away."""

from __future__ import annotations

import msgspec

from anvil_ctl.errors import AnvilError


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One POST to an engine. `body` is sent as JSON; "{model}" in it is the served name."""

    path: str
    body: dict[str, object] = {}


class Flag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an engine says how it stands: GET `path`, and the JSON value at `key`.

    The keys on the way to a value are joined by dots; a list is searched for the served name.
    Any other value than these two is on the way from one to the other.
    """

    path: str
    key: str
    asleep: str | bool = True
    awake: str | bool = False


class Park(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a model leaves the card without its container exiting, and how it comes back.

    `asleep` is None for an engine that does not say whether it sleeps: its answers to the calls are
    taken for it. One that `starts_asleep` has to be woken after its container started, too. Asleep,
    it keeps `holds_mib` of the host's RAM and `leftover_mib` of the card.
    """

    name: str
    leave: tuple[Call, ...]
    enter: tuple[Call, ...]
    asleep: Flag | None = None
    starts_asleep: bool = False
    holds_mib: int = 0
    leftover_mib: int = 0


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model takes in MiB, where that is known; 0 is not known, and never refused.

    `card`: of the role's card. `copied`: of the host's RAM, beyond what can be given back.
    `mapped`: the size of files that are read through the page cache.
    """

    card: int = 0
    copied: int = 0
    mapped: int = 0


class Model(msgspec.Struct, frozen=True):
    """One row of the registry. Times are in seconds.

    `name` is what clients send and what the engine serves. Models with the same `role` share
    hardware, so at most one of them is awake. `fingerprint` names what a proof of its parking is
    about: the engine and its version, the model, quantization and drafting. `config_hash` is the
    label of the container that this row is about; "" takes any.
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
    park: Park | None = None
    memory: Memory = Memory()
    fingerprint: str = ""
    config_hash: str = ""


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
