"""A hub of one repository in a process of its own: prints its address, serves until input ends.

usage: python -m tests.hub REPOSITORY FOLDER [xet]
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.hub import xet
from tests.hub.repository import Repository
from tests.hub.server import Hub


def main(name: str, folder: Path, *, by_xet: bool) -> None:
    found = sorted(each for each in folder.rglob("*") if each.is_file())
    files: dict[str, bytes | Path] = {}
    for each in found:
        small = each.stat().st_size < 1 << 16
        files[each.relative_to(folder).as_posix()] = each.read_bytes() if small else each
    with Hub.serving([Repository(name, files, xet=by_xet)]) as hub:
        for entry in hub.repositories[name].entries.values():
            _hashed = entry.etag
            if by_xet and entry.large:
                _laid_out = xet.stored(entry).terms
        print(hub.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), by_xet=sys.argv[3:] == ["xet"])
