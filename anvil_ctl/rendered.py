"""Rendered texts and where they lie: the installed files, or a folder that the user names."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from anvil_ctl.history import write_atomically
from anvil_ctl.renderer import ModeFiles
from anvil_ctl.site import Site


def installed(site: Site, files: ModeFiles) -> dict[Path, str]:
    """A mode's texts by the paths that the installation reads them from.

    The router and the multiplexer read the live mode's files: another mode's belong nowhere yet.
    """
    paths = {site.compose_file(files.mode): files.compose}
    folder = site.control_folder / "control"
    if f'mode = "{files.mode}"' in _read(folder / "router.toml"):
        paths |= {folder / "router.toml": files.router, folder / "registry.json": files.registry}
    return paths


def beside(folder: Path, files: ModeFiles) -> dict[Path, str]:
    """All of a mode's texts by paths in one folder of its own under `folder`."""
    own = folder / files.project
    return {
        own / "compose.yaml": files.compose,
        own / "router.toml": files.router,
        own / "registry.json": files.registry,
    }


def write(paths: Mapping[Path, str]) -> None:
    for path, text in paths.items():
        write_atomically(path, text)


def diff(paths: Mapping[Path, str]) -> str:
    """A unified diff from what is on disk to `paths`; "" where nothing would change."""
    lines: list[str] = []
    for path, text in paths.items():
        lines += difflib.unified_diff(
            _read(path).splitlines(),
            text.splitlines(),
            str(path),
            f"{path} (rendered)",
            lineterm="",
        )
    return "\n".join(lines)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
