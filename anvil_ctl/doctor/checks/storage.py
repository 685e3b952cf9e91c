"""The weights and the caches: that they are there, whole, and where engines read them fast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from anvil_ctl.config import Tier
from anvil_ctl.doctor.check import Check, looking
from anvil_ctl.doctor.checks.verdicts import of_rules
from anvil_ctl.doctor.finding import Finding, Status, fail, ok, warn
from anvil_ctl.doctor.survey import Look, ModelSeen, Partial, Survey, Unknown, need
from anvil_ctl.needs import of_tier
from anvil_ctl.weights.manifest import Manifest, covering

GIB = 1 << 30
# A download writes at least this often.
_ACTIVE_S = 300
_ROOM = GIB // 2
_SLOW = ("9p", "v9fs", "drvfs", "virtiofs", "fuse", "cifs", "nfs")
PULL_STARTER = "anvil-ctl pull starter"


def _weights_volume(survey: Survey) -> Iterator[Finding]:
    name = survey.site.config.machine.models_volume
    if name in need(survey.volumes):
        yield ok(f"the volume {name} is there")
    else:
        starter = survey.starter in {each.weights for each in survey.of_mode.tiers}
        remedy = PULL_STARTER if starter else f"docker volume create {name}"
        yield fail(f"no volume {name}", "the volume of the weights", remedy)


def _models(survey: Survey) -> Iterator[tuple[Tier, ModelSeen | None]]:
    """Each different model of the mode, with what the volume has of it."""
    seen, shown = need(survey.store).models, set[str]()
    for tier in survey.rendered.tiers:
        if tier.weights not in shown:
            shown.add(tier.weights)
            yield tier, seen.get(tier.weights)


def _kept(tier: Tier, found: ModelSeen, manifests: tuple[Manifest, ...]) -> dict[str, int] | None:
    """The sizes of the files that a pull has checked, by path; None where no pull has."""
    known = covering(manifests, tier.weights)
    if known is None:
        return None
    manifest, below = known
    if tier.weights != manifest.path:
        kept = manifest.of(below)
        return {"": kept.size} if kept else None
    if set(found.files) == {""}:
        return {"": manifest.files[0].size}
    return {kept.path: kept.size for kept in manifest.files}


def _weights(survey: Survey) -> Iterator[Finding]:
    volume = survey.site.config.machine.models_volume
    if volume not in need(survey.volumes):
        return
    partials, manifests = need(survey.store).partials, need(survey.store).manifests
    for tier, found in _models(survey):
        where, remedy = f"{volume}: {tier.weights}", of_tier(tier, survey.starter).command
        if found is None:
            yield fail(f"{where} is not there", "the model's weights", remedy)
        elif found.size == 0:
            yield fail(f"{where} is empty", "the model's weights", remedy)
        elif found.dangling:
            said = f"{where} lacks {found.dangling} of its files (links to nothing)"
            yield fail(said, "all of the model's weights", remedy)
        elif tier.revision and (unfinished := _unfinished(tier, partials)):
            said = f"{where} is not whole: {len(unfinished)} files are still being written"
            yield fail(said, "all of the model's weights", remedy)
        elif lost := _lost(found, _kept(tier, found, manifests)):
            said = f"{where} lacks {len(lost)} of the files that were pulled: {lost[0] or 'itself'}"
            yield fail(said, "all of the model's weights", remedy)
        else:
            yield ok(f"{where} ({found.size / 1e6:.0f} MB)")


def _lost(found: ModelSeen, kept: Mapping[str, int] | None) -> list[str]:
    """The files that a pull has brought and that are not as it left them."""
    return sorted(path for path, size in (kept or {}).items() if found.files.get(path) != size)


def _vouched(survey: Survey) -> Iterator[Finding]:
    volume = survey.site.config.machine.models_volume
    if volume not in need(survey.volumes):
        return
    for tier, found in _models(survey):
        if found is None or not found.size:
            continue
        where = f"{volume}: {tier.weights}"
        if _kept(tier, found, need(survey.store).manifests) is None:
            remedy = (
                f"{of_tier(tier, survey.starter).command}    checks what is there, and adopts it"
            )
            yield fail(f"{where} was not checked by a pull", "weights known to be whole", remedy)
        else:
            yield ok(f"{where} was checked by a pull")


def _unfinished(tier: Tier, partials: tuple[Partial, ...]) -> list[Partial]:
    """The files of a tier's model whose download has not ended."""
    folder = tier.weights.partition("/snapshots/")[0]
    return [each for each in partials if each.path.startswith(folder)]


def _active(survey: Survey) -> Iterator[Finding]:
    partials = need(survey.store).partials
    for tier, _found in _models(survey):
        active = [each for each in _unfinished(tier, partials) if each.age_s < _ACTIVE_S]
        if active:
            size = sum(each.size for each in active) / 1e6
            said = f"{tier.model} is being pulled ({size:.0f} MB so far)"
            yield warn(said, "a pull that has ended", "wait for it to end")
            return
    yield ok("nothing that the mode needs is being pulled")


def _stale(survey: Survey) -> Iterator[Finding]:
    stale = [each for each in need(survey.store).partials if each.age_s >= _ACTIVE_S]
    volume = survey.site.config.machine.models_volume
    if stale:
        size = sum(each.size for each in stale) / 1e6
        said = f"{volume}: {len(stale)} files of pulls that were cut off ({size:.0f} MB)"
        remedy = "anvil-ctl models rm --orphans    or pull the model again, to go on"
        yield warn(f"{said}: {stale[0].path}", "whole files alone", remedy)
    else:
        yield ok(f"{volume} holds no files of pulls that were cut off")


def _native(survey: Survey) -> Iterator[Finding]:
    name = survey.site.config.machine.models_volume
    found = need(survey.volumes).get(name)
    if found is None:
        return
    kind = need(survey.store).file_system
    remedy = f"docker volume create {name}-native, copy the weights, set machine.models_volume"
    if found.device.startswith("/"):
        said = f"the volume {name} is the folder {found.device} of the host"
        yield warn(said, "a volume of Docker's own: loads are 20 to 100 times faster", remedy)
    elif kind.startswith(_SLOW):
        said = f"the volume {name} lies on a {kind} file system"
        yield warn(said, "a native one: loads are 20 to 100 times faster", remedy)
    else:
        yield ok(f"the volume {name} lies on {kind or 'a native file system'}")


def _mmap(survey: Survey) -> Iterator[Finding]:
    yield from of_rules(survey, "D55")


def _writable(survey: Survey) -> Iterator[Finding]:
    """Caches are written by the engine's user, and Docker gives a new volume its image's owner."""
    owners = need(survey.store).owners
    for tier in survey.rendered.tiers:
        service = survey.rendered.services[tier.id]
        user = int((service.user or "0").partition(":")[0])
        for cache in service.caches:
            if cache.volume not in owners:
                continue
            remedy = f"docker volume rm {cache.volume}    it only holds what compiles again"
            deep = survey.deep
            said = "" if isinstance(deep, Unknown) else deep.writes.get(cache.volume, "")
            uid, mode = owners[cache.volume]
            if said:
                wrote = f"user {user} cannot write into {cache.volume}: {said}"
                yield fail(wrote, "a cache that its engine can write", remedy)
            elif not _may_write(user, uid, mode):
                owned = f"{cache.volume} belongs to user {uid} (mode {mode:o}), tier {tier.id} runs"
                yield fail(f"{owned} as {user}", "a cache that its engine can write", remedy)
            else:
                yield ok(f"{cache.volume} is writable for user {user}")


def _may_write(user: int, owner: int, mode: int) -> bool:
    # Root in our containers lacks the capability to write what belongs to others.
    return bool(mode & (0o200 if user == owner else 0o002))


def _caches(survey: Survey) -> Iterator[Finding]:
    for tier in survey.rendered.tiers:
        service, seen = survey.rendered.services[tier.id], survey.container(tier.id)
        if seen is None or not service.caches:
            continue
        mounted = {mount.target for mount in seen.mounts if mount.kind == "volume"}
        lost = [cache.target for cache in service.caches if cache.target not in mounted]
        if lost:
            said = f"tier {tier.id} keeps {', '.join(lost)} in its container alone"
            again = f"anvil-ctl up --mode {survey.mode}"
            yield warn(said, "a volume for what it compiles: 5 to 10 minutes at each start", again)
        else:
            yield ok(f"tier {tier.id} keeps what it compiles in a volume")


def _pinned(survey: Survey) -> Iterator[Finding]:
    yield from of_rules(survey, "D58")


def _formats(survey: Survey) -> Iterator[Finding]:
    yield from of_rules(survey, "D59")
    for tier, found in _models(survey):
        reads = survey.site.renderer.engines[tier.engine].file.weights
        if found is None or not found.size or not reads or found.suffixes & set(reads):
            continue
        kinds = ", ".join(sorted(found.suffixes))
        said = f"tier {tier.id}: {tier.engine} finds no weights in {tier.weights} (it has {kinds})"
        wanted = f"files of the kind {' or '.join(reads)}"
        yield fail(said, wanted, "choose another model, or another engine")


_VOLUMES = looking(Look.VOLUMES)

CHECKS = (
    Check("D49", "the weights are vouched for", Status.FAIL, _vouched, _VOLUMES, gates=True),
    Check("D50", "the weights volume is there", Status.FAIL, _weights_volume, _VOLUMES, gates=True),
    Check("D51", "the weights are there and whole", Status.FAIL, _weights, _VOLUMES, gates=True),
    Check("D52", "nothing needed is being pulled", Status.WARN, _active, _VOLUMES),
    Check("D53", "no files of pulls that were cut off", Status.WARN, _stale, _VOLUMES),
    Check("D54", "weights lie on a native volume", Status.WARN, _native, _VOLUMES),
    Check("D55", "weights are mapped, not copied", Status.FAIL, _mmap, gates=True),
    Check("D56", "caches are writable", Status.FAIL, _writable, _VOLUMES),
    Check(
        "D57",
        "what engines compile is kept",
        Status.WARN,
        _caches,
        looking(Look.CONTAINERS),
    ),
    Check("D58", "models are pinned and engines offline", Status.FAIL, _pinned, gates=True),
    Check(
        "D59", "engines can read the models' format", Status.FAIL, _formats, _VOLUMES, gates=True
    ),
)
