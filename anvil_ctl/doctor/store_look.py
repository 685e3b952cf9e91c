"""The weights volume and the caches, seen from inside one throwaway container."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from anvil_ctl import docker_look
from anvil_ctl.doctor.survey import ModelSeen, Partial, Store
from anvil_ctl.store import TOOLBOX
from anvil_ctl.weights import manifest
from anvil_ctl.weights.manifest import Manifest

# One line for each fact, its kind first. Links are followed: a hub's snapshots are folders of
# links, and one that is still a link then leads nowhere.
_SCRIPT = r"""
echo "now $(date +%s)"
df -Pk /store | awk 'NR == 2 { print "free", $4 }'
echo "kind $(stat -f -c %T /store)"
find /store -type f \( -name '*.incomplete' -o -name '*.part' \) -printf 'partial %s %T@ %P\n'
for volume in /caches/*; do
    [ -d "$volume" ] && stat -c "owner %u %a $volume" "$volume"
done
for model; do
    [ -e "/store/$model" ] || continue
    echo "model $model"
    find -L "/store/$model" -type f -printf 'file %s %f/%P\n' -o -type l -printf 'dangling\n'
done
find /store/manifests -name '*.json' 2>/dev/null | while IFS= read -r each; do
    echo "manifest $(base64 -w 0 "$each")"
done
exit 0
"""


def look(volume: str, models: Sequence[str], caches: Sequence[str]) -> Store:
    """Look once; DockerError where the container cannot run. Volumes have to exist."""
    mounts = [(volume, "/store", "ro"), *((each, f"/caches/{each}", "ro") for each in caches)]
    said = docker_look.run(TOOLBOX, ["sh", "-c", _SCRIPT, "sh", *models], mounts=mounts)
    return parse(said)


@dataclass(slots=True)
class _Model:
    size: int = 0
    suffixes: set[str] = field(default_factory=set)
    dangling: int = 0
    files: dict[str, int] = field(default_factory=dict)


def parse(said: str) -> Store:
    """What the script printed."""
    models: dict[str, _Model] = {}
    partials: list[Partial] = []
    owners: dict[str, tuple[int, int]] = {}
    single: dict[str, str] = {}
    manifests: list[Manifest] = []
    now, model = 0.0, _Model()
    for kind, rest in (line.partition(" ")[::2] for line in said.splitlines()):
        match kind:
            case "model":
                model = models.setdefault(rest, _Model())
            case "file":
                size, _, name = rest.partition(" ")
                # A name has no slash in it; what follows is the path below the model.
                name, _, path = name.partition("/")
                model.size += int(size)
                model.suffixes.add(name.rpartition(".")[2].lower())
                model.files[path] = int(size)
            case "manifest":
                with contextlib.suppress(ValueError):
                    manifests.append(manifest.parse(json.loads(base64.b64decode(rest))))
            case "dangling":
                model.dangling += 1
            case "partial":
                size, at, path = rest.split(" ", 2)
                partials.append(Partial(path, int(size), now - float(at)))
            case "owner":
                user, mode, path = rest.split(" ", 2)
                owners[path.rpartition("/")[2]] = (int(user), int(mode, 8))
            case "now":
                now = float(rest)
            case _:
                single[kind] = rest
    return Store(
        models={
            name: ModelSeen(each.size, frozenset(each.suffixes), each.dangling, each.files)
            for name, each in models.items()
        },
        partials=tuple(partials),
        free=int(single["free"]) * 1024 if single.get("free", "").isdigit() else None,
        file_system=single.get("kind", ""),
        owners=owners,
        manifests=tuple(manifests),
    )
