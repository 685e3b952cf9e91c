"""Python packages for an image, fetched on the host and verified by their pinned hashes.

The classic builder knows no secrets, so a container that is being built cannot be given the
certificates, proxies and credentials that this host's pip knows. The host's pip does the work.
"""

from __future__ import annotations

import sys
from pathlib import Path

from anvil_ctl.errors import AnvilError
from anvil_ctl.images.engine import Host
from anvil_ctl.proc import ProcessError

PYTHON = "3.13"
FOLDER = "site"
# The base's C library runs everything built for this one or an older.
_GLIBC_MINORS = range(17, 42)


def pip_argv(requirements: Path, target: Path, machine: str) -> list[str]:
    """The pip call that unpacks wheels for the image's Python into `target`."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC_MINORS]
    return [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--no-compile", "--require-hashes", "--only-binary=:all:"),
        *("--implementation", "cp", "--python-version", PYTHON),
        *(f"--platform={tag}" for tag in [*tags, f"manylinux2014_{machine}"]),
        *("--target", str(target), "--requirement", str(requirements)),
    ]


def install_packages(host: Host, context: Path, machine: str) -> None:
    """Unpack the wheels of the context's requirements.txt into its folder `site`."""
    try:
        host.run(
            pip_argv(context / "requirements.txt", context / FOLDER, machine),
            env={"PIP_RESUME_RETRIES": "5"},
        )
    except ProcessError as error:
        raise AnvilError(
            f"the image's Python packages could not be fetched: {error.message}",
            hint=f"check the package index that pip uses: {sys.executable} -m pip config list",
        ) from error
