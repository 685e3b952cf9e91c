"""What costs something to find out: containers that run for a moment, and CUDA in running ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from anvil_ctl import docker_look
from anvil_ctl.config import Tier
from anvil_ctl.docker_look import Seen, is_here
from anvil_ctl.doctor.survey import Unknown
from anvil_ctl.errors import AnvilError
from anvil_ctl.service import Service
from anvil_ctl.store import TOOLBOX

_UUID = re.compile(r"GPU-[0-9a-fA-F-]{36}")
_CARD_LIMIT_S = 60
# Asks CUDA itself, which heeds CUDA_VISIBLE_DEVICES where nvidia-smi does not; makes no context.
_CUDA = """
import ctypes, os, uuid
cuda = ctypes.CDLL("libcuda.so.1")
count, device, found = ctypes.c_int(), ctypes.c_int(), (ctypes.c_ubyte * 16)()
assert cuda.cuInit(0) == 0, "CUDA does not start"
cuda.cuDeviceGetCount(ctypes.byref(count))
for number in range(count.value):
    cuda.cuDeviceGet(ctypes.byref(device), number)
    cuda.cuDeviceGetUuid(ctypes.byref(found), device)
    os.write(1, f"GPU-{uuid.UUID(bytes=bytes(found))}\\n".encode())
"""


def card(uuid: str, image: str, here: Mapping[str, frozenset[str]]) -> str | Unknown:
    """Whether a container gets a card: "", what was said instead, or why it was not tried."""
    if not is_here(image, here):
        return Unknown(
            f"{image} is not here, so no container can be tried", "anvil-ctl images build"
        )
    try:
        said = docker_look.run(image, ["nvidia-smi", "-L"], card=uuid, time_limit_s=_CARD_LIMIT_S)
    except AnvilError as error:
        return error.message
    listed = [each.lower() for each in _UUID.findall(said)]
    return "" if uuid.lower() in listed else f"it lists {', '.join(listed) or 'no card'}"


def write(volume: str, service: Service) -> str:
    """Whether an engine's user can write into a cache volume: "", or what was said instead."""
    probe = "touch /cache/.anvil-probe && rm /cache/.anvil-probe"
    try:
        docker_look.run(
            TOOLBOX,
            ["sh", "-c", probe],
            mounts=[(volume, "/cache", "rw")],
            user=service.user or "0:0",
            # As the engine runs: root without this may not write what belongs to others.
            capabilities=False,
        )
    except AnvilError as error:
        return error.message
    return ""


def pins(container: Seen) -> tuple[str, ...] | Unknown:
    """The cards that a process in a running container can use, by UUID."""
    try:
        said = docker_look.exec_in(container.name, ["python3", "-c", _CUDA])
    except AnvilError as error:
        return Unknown(f"CUDA could not be asked in {container.name}: {error.message}")
    return tuple(_UUID.findall(said))


def images_by_card(tiers: Iterable[Tier], services: Mapping[str, Service]) -> dict[str, str]:
    """An image of a tier for each card that the mode uses."""
    chosen = (services[tier.id] for tier in tiers)
    return {each.gpu_uuid: each.image for each in chosen if each.gpu_uuid}
