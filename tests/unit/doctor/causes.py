"""What is known to make a switch fail, as data: what is wrong, and the gate that must say so.

Each is done to a machine that is right: the reference machine, agentic live, flexibility wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from anvil_ctl import config
from anvil_ctl.docker_look import Binding, Seen
from anvil_ctl.doctor.survey import ModelSeen, Partial, Store, Survey, Unknown
from anvil_ctl.errors import ConfigError
from anvil_ctl.hardware import Cards
from tests.unit.definitions import FAST, fakoli_dark_text
from tests.unit.doctor.surveys import BLACKWELL, GEFORCE, healthy, idle, site

TEXT = fakoli_dark_text("linux")
SILENT = Unknown("the daemon is busy")


@cache
def wanted(text: str = TEXT) -> Survey:
    """Flexibility as the target, while agentic is live."""
    target, live = idle(text, "flexibility"), healthy(TEXT, "agentic")
    assert isinstance(target.images, dict)
    assert isinstance(live.images, dict)
    assert isinstance(target.store, Store)
    assert isinstance(live.store, Store)
    models = {**live.store.models, **target.store.models}
    return replace(
        target,
        containers=live.containers,
        home=live.home,
        images={**live.images, **target.images},
        store=replace(target.store, models=models),
    )


@dataclass(frozen=True)
class Cause:
    """What is wrong, the gate that refuses, and how it is done to a survey that is right."""

    name: str
    gate: str
    broken: Callable[[], Survey]


def _changed(name: str, gate: str, **changes: Any) -> Cause:
    return Cause(name, gate, lambda: replace(wanted(), **changes))


def _written(name: str, gate: str, before: str, after: str) -> Cause:
    """Wrong in the definition: in its last place, which is of flexibility or of all."""

    def broken() -> Survey:
        assert before in TEXT, before
        text = after.join(TEXT.rsplit(before, 1))
        try:
            config.parse(text, Path("anvil.toml"))
        except ConfigError as error:
            return replace(wanted(), definition=error)
        return wanted(text)

    return Cause(name, gate, broken)


def _card(**changes: Any) -> Cards:
    return Cards((GEFORCE, replace(BLACKWELL, **changes)), "/usr/bin/nvidia-smi")


def _models(
    change: Callable[[dict[str, ModelSeen]], object], partials: tuple[Partial, ...] = ()
) -> Survey:
    store = wanted().store
    assert isinstance(store, Store)
    models = dict(store.models)
    change(models)
    return replace(wanted(), store=replace(store, models=models, partials=partials))


def _unvouched() -> Survey:
    store = wanted().store
    assert isinstance(store, Store)
    return replace(wanted(), store=replace(store, manifests=()))


def _weights() -> str:
    return next(tier.weights for tier in wanted().of_mode.tiers)


def _old_weights() -> str:
    return wanted().site.config.modes["agentic"].enabled[0].weights


def _without_image(part: str) -> Survey:
    images = wanted().images
    assert isinstance(images, dict)
    left = {name: digests for name, digests in images.items() if part not in name}
    assert left != images
    return replace(wanted(), images=left)


def _installed(**files: str | None) -> Survey:
    home = wanted().home
    return replace(wanted(), home=replace(home, installed={**home.installed, **files}))


def _secrets(text: str = TEXT, **values: str) -> Survey:
    found = site(text)
    secrets = {**found.secrets, **values}
    return replace(wanted(), definition=replace(found, secrets=secrets))


def _status(status: str) -> Survey:
    containers = wanted().containers
    assert isinstance(containers, tuple)
    return replace(wanted(), containers=(*containers[:-1], replace(containers[-1], status=status)))


def _stranger(**seen: Any) -> Survey:
    containers = wanted().containers
    assert isinstance(containers, tuple)
    stranger = Seen("stranger", "busybox", "running", **seen)
    return replace(wanted(), containers=(*containers, stranger))


def _foreign_name() -> Survey:
    service = next(iter(wanted().of_mode.services.values()))
    return replace(_stranger(), containers=(Seen(service.container, "busybox", "exited"),))


def _held_by_a_container() -> Survey:
    port = wanted().of_mode.tiers[0].port
    held = _stranger(bindings=(Binding("127.0.0.1", port, "80/tcp"),))
    return replace(held, taken_ports=frozenset({port}))


CAUSES: tuple[Cause, ...] = (
    # The engine and its tools.
    _changed("the daemon does not answer", "D01", daemon=SILENT),
    _changed("no Compose", "D02", compose=()),
    _changed("a Compose that is too old", "D02", compose=(2, 17, 0)),
    _changed("Compose refuses the rendered file", "D20", refused="services.x: bad"),
    _changed("containers cannot be listed", "D43", containers=SILENT),
    _changed("images cannot be listed", "D60", images=SILENT),
    _changed("volumes cannot be listed", "D50", volumes=SILENT),
    _changed("the weights cannot be looked at", "D51", store=SILENT),
    # Cards and memory.
    _changed("no card is seen", "D10", cards=Cards((), "/usr/bin/nvidia-smi")),
    _changed("one of two cards has gone", "D10", cards=Cards((GEFORCE,), "/usr/bin/nvidia-smi")),
    _written("a UUID that no card has", "D10", FAST, "GPU-00000000-0000-4000-8000-0000000000ff"),
    _changed("a card of another generation", "D13", cards=_card(compute_capability="9.0")),
    _changed("a card that is smaller than declared", "D12", cards=_card(memory_mib=48000)),
    _changed("a foreign process fills the card", "D16", containers=(), cards=_card(used_mib=60000)),
    _changed("a driver that is too old", "D17", cards=Cards((replace(GEFORCE, driver="535.1"), BLACKWELL), "x")),
    Cause("the host has too little memory", "D05", lambda: replace(wanted(), daemon=replace(_daemon(), memory=1 << 30), of_mode=_hungry())),
    _written("an over-committed card", "D12", "vram_mib = 90112", "vram_mib = 99112"),
    _written("a quantisation that the card cannot run", "D13", 'model = "nvidia/Qwen3.6-27B-NVFP4"', 'model = "nvidia/Qwen3.6-35B-A3B-NVFP4"'),
    # Images, and the way back.
    Cause("the new mode's image is absent", "D60", lambda: _without_image("vllm")),
    Cause("the control image is absent", "D60", lambda: _without_image("anvil/control")),
    Cause("the guard's image is absent", "D60", lambda: _without_image("anvil/guard")),
    Cause("the old mode's image has gone", "D71", lambda: _without_image("sglang")),
    Cause("the old mode's weights have gone", "D71", lambda: _models(lambda m: m.pop(_old_weights()))),
    Cause("the installed router config has gone", "D71", lambda: _installed(**{"router.toml": None})),
    Cause("the installed registry has gone", "D71", lambda: _installed(**{"registry.json": None})),
    # Weights.
    _changed("no weights volume", "D50", volumes={}),
    Cause("weights are absent", "D51", lambda: _models(lambda m: m.pop(_weights()))),
    Cause("weights are empty", "D51", lambda: _models(lambda m: m.update({_weights(): ModelSeen(0)}))),
    Cause("links of a snapshot lead to nothing", "D51", lambda: _models(lambda m: m.update({_weights(): ModelSeen(9, frozenset({"safetensors"}), dangling=2)}))),
    Cause("a pull of the weights was cut off", "D51", lambda: _models(len, (Partial(f"{_weights().partition('/snapshots/')[0]}/blobs/x.incomplete", 5, 9e3),))),
    Cause("a pull of the weights goes on", "D51", lambda: _models(len, (Partial(f"{_weights().partition('/snapshots/')[0]}/blobs/x.incomplete", 5, 1),))),
    Cause("no pull has checked the weights", "D49", _unvouched),
    Cause("weights of a format that the engine does not read", "D59", lambda: _models(lambda m: m.update({_weights(): ModelSeen(9, frozenset({"pth"}))}))),
    # Ports, names and tokens.
    Cause("a program holds the engine's port", "D43", lambda: replace(wanted(), taken_ports=frozenset({wanted().of_mode.tiers[0].port}))),
    Cause("a stranger's container holds the engine's port", "D43", _held_by_a_container),
    Cause("a container of that name is somebody else's", "D28", _foreign_name),
    _written("two tiers on one port", "D28", "port = 30003", "port = 30002"),
    _written("an address that is localhost", "D27", 'publish = "127.0.0.1"', 'publish = "localhost"'),
    Cause("no token for the router", "D42", lambda: _secrets(ANVIL_ROUTER_TOKEN="")),
    Cause("no token for the administrator", "D42", lambda: _secrets(ANVIL_ADMIN_TOKEN="")),
    Cause("the network reaches a router with a short token", "D41", lambda: _secrets(TEXT.replace('publish = "127.0.0.1"', 'publish = "0.0.0.0"'), ANVIL_ROUTER_TOKEN="short")),
    _written("a secret in the definition", "D42", "vram_mib = 27999", 'vram_mib = 27999\nenv = {HF_TOKEN = "hf_x"}'),
    # What the definition says to an engine.
    _written("a flag that the engine does not know", "D20", '"--async-scheduling"', '"--swap-space", "4"'),
    _written("tools without their parser", "D25", 'parsers = {tool = "openai"}\n', ""),
    # Containers that cannot be left, and disks that cannot be written.
    Cause("a container is paused", "D70", lambda: _status("paused")),
    Cause("a container is dead", "D70", lambda: _status("dead")),
    Cause("a container is being removed", "D70", lambda: _status("removing")),
    Cause("the journal's disk is full", "D07", lambda: replace(wanted(), home=replace(wanted().home, free=1 << 20))),
    Cause("the engine's disk is full", "D07", lambda: replace(wanted(), daemon=replace(_daemon(), root_free=1 << 20))),
)  # fmt: skip


def _daemon() -> Any:
    return wanted().daemon


def _hungry() -> Any:
    """The mode, with a model that a copying loader holds in memory."""
    derived = wanted().of_mode
    assert derived.ledger is not None
    first, *others = derived.ledger.ram.claims
    ram = replace(derived.ledger.ram, claims=(replace(first, loader="copy", weights=9000), *others))
    return replace(derived, ledger=replace(derived.ledger, ram=ram))
