"""Looking at everything on a Docker engine at once: few commands, each with a time limit.

docker.py acts, and asks about what is ours; this reads, for `doctor`, and for what is not ours too.
Whatever fails is a DockerError, never an empty answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anvil_ctl import proc
from anvil_ctl.docker_errors import DockerError, failure
from anvil_ctl.imagelock import digest_of

_TIME_LIMIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Binding:
    """A published port: the host's address and port, and the port inside."""

    address: str
    port: int
    inside: str


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount by its kind; `source` is a volume's name or a path of the host."""

    kind: str
    source: str
    target: str
    writable: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A container as `docker inspect` has it, cut to what checks need."""

    name: str
    image: str
    status: str
    health: str = ""
    exit_code: int = 0
    out_of_memory: bool = False
    restarts: int = 0
    restart_policy: str = "no"
    error: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    bindings: tuple[Binding, ...] = ()
    mounts: tuple[Mount, ...] = ()
    # UUIDs or numbers of the cards that it asked for; "all" where it asked for every one.
    devices: tuple[str, ...] = ()
    shares_memory: bool = False

    @property
    def running(self) -> bool:
        return self.status == "running"


@dataclass(frozen=True, slots=True)
class VolumeSeen:
    """A named volume; `device` is a folder of the host that it really is, "" for a real volume."""

    name: str
    device: str = ""


def containers() -> tuple[Seen, ...]:
    """Every container of the engine, running or not."""
    ids = re.findall(
        r"^[0-9a-f]{64}$", _asked("ps", "--all", "--quiet", "--no-trunc"), re.MULTILINE
    )
    if not ids:
        return ()
    try:
        said = _docker("inspect", "--type", "container", *ids)
    except proc.ProcessError as error:
        # One may have gone since it was listed: the others are printed all the same.
        lines = [line for line in error.output.splitlines() if "Error" in line]
        if not lines or not all("No such" in line for line in lines):
            raise failure(error.output) from error
        said = error.output
    return tuple(sorted((read(each) for each in _objects(said)), key=lambda each: each.name))


def image_references() -> Mapping[str, frozenset[str]]:
    """Every `repository:tag` on this engine, with its digests; also each `repository@digest`."""
    found: dict[str, set[str]] = {}
    lines = _asked("images", "--digests", "--no-trunc", "--format", "{{json .}}").splitlines()
    for row in (json.loads(line) for line in lines if line.startswith("{")):
        digest = "" if row["Digest"] == "<none>" else row["Digest"]
        if row["Tag"] != "<none>":
            found.setdefault(f"{row['Repository']}:{row['Tag']}", set()).add(digest)
        if digest:
            found.setdefault(f"{row['Repository']}@{digest}", set()).add(digest)
    return {name: frozenset(digests - {""}) for name, digests in found.items()}


def is_here(reference: str, here: Mapping[str, frozenset[str]]) -> bool:
    """Whether an image is on the engine: by its digest where the reference has one."""
    digest = digest_of(reference)
    if digest is None:
        return reference in here
    name = reference.partition("@")[0]
    # A colon after the last slash begins a tag; one before it, a registry's port.
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}@{digest}" in here


def volumes(wanted: Iterable[str]) -> Mapping[str, VolumeSeen]:
    """Those of the named volumes that exist."""
    there = set(_asked("volume", "ls", "--quiet").split())
    names = sorted(there & set(wanted))
    if not names:
        return {}
    rows = _objects(_asked("volume", "inspect", *names))
    found = [VolumeSeen(row["Name"], (row["Options"] or {}).get("device", "")) for row in rows]
    return {each.name: each for each in found}


def logs(name: str, lines: int) -> str:
    """The last lines that a container wrote, both streams."""
    return _asked("logs", "--tail", str(lines), name)


def run(
    image: str,
    command: Sequence[str],
    *,
    mounts: Iterable[tuple[str, str, str]] = (),
    user: str = "0:0",
    card: str = "",
    capabilities: bool = True,
    time_limit_s: float = 30,
) -> str:
    """What a one-off container printed: without network, gone when it ends. `card` is a UUID."""
    options = ["--rm", "--pull=never", "--network=none", "--entrypoint=", f"--user={user}"]
    options += [f"--volume={':'.join(each)}" for each in mounts]
    options += [f"--gpus=device={card}"] if card else []
    options += [] if capabilities else ["--cap-drop=ALL"]
    try:
        return _docker("run", *options, image, *command, time_limit_s=time_limit_s)
    except proc.ProcessError as error:
        if "unable to find image" in error.output.lower() or "No such image" in error.output:
            raise DockerError(f"{image} is not here", hint="anvil-ctl images build") from error
        raise failure(error.output) from error


def exec_in(name: str, command: Sequence[str]) -> str:
    """What a command printed in a running container."""
    return _asked("exec", name, *command)


def _docker(*arguments: str, time_limit_s: float = _TIME_LIMIT_S) -> str:
    return proc.run(["docker", *arguments], timeout_s=time_limit_s)


def _asked(*arguments: str, time_limit_s: float = _TIME_LIMIT_S) -> str:
    try:
        return _docker(*arguments, time_limit_s=time_limit_s)
    except proc.ProcessError as error:
        raise failure(error.output) from error


def _objects(said: str) -> list[dict[str, Any]]:
    """The list that `docker inspect` prints, whatever warnings stand around it."""
    found, _end = json.JSONDecoder().raw_decode(said[said.index("[") :])
    return list(found)


def read(row: Mapping[str, object]) -> Seen:
    """One object of `docker inspect`."""
    config, host, state = (_table(row, key) for key in ("Config", "HostConfig", "State"))
    policy = _table(host, "RestartPolicy")
    pairs = (str(each).partition("=") for each in _list(config, "Env"))
    return Seen(
        name=str(row["Name"]).lstrip("/"),
        image=str(config.get("Image", "")),
        status=str(state.get("Status", "")),
        health=str(_table(state, "Health").get("Status", "")),
        exit_code=int(str(state.get("ExitCode", 0))),
        out_of_memory=state.get("OOMKilled") is True,
        restarts=int(str(row.get("RestartCount", 0))),
        restart_policy=str(policy.get("Name") or "no"),
        error=str(state.get("Error", "")),
        labels={str(k): str(v) for k, v in _table(config, "Labels").items()},
        environment={name: value for name, _, value in pairs},
        bindings=tuple(_bindings(_table(host, "PortBindings"))),
        mounts=tuple(_mount(each) for each in _list(row, "Mounts") if isinstance(each, dict)),
        devices=tuple(_devices(_list(host, "DeviceRequests"))),
        shares_memory=host.get("IpcMode") == "host",
    )


def _bindings(published: Mapping[str, object]) -> Iterable[Binding]:
    for inside, hosts in published.items():
        for each in hosts if isinstance(hosts, list) else []:
            if each.get("HostPort"):
                yield Binding(each.get("HostIp") or "0.0.0.0", int(each["HostPort"]), inside)


def _mount(row: Mapping[str, object]) -> Mount:
    source = row.get("Name") or row.get("Source") or ""
    writable = row.get("RW") is True
    return Mount(str(row.get("Type")), str(source), str(row.get("Destination")), writable)


def _devices(requests: Iterable[object]) -> Iterable[str]:
    for each in requests:
        if isinstance(each, dict):
            yield from each.get("DeviceIDs") or (["all"] if each.get("Count") else [])


def _table(row: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = row.get(key)
    return found if isinstance(found, dict) else {}


def _list(row: Mapping[str, object], key: str) -> list[object]:
    found = row.get(key)
    return found if isinstance(found, list) else []
