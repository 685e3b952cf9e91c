"""The host, its Docker engine and this program: what everything else rests on."""

from __future__ import annotations

from collections.abc import Iterator

from anvil_ctl.doctor.check import Check, looking
from anvil_ctl.doctor.finding import Finding, Status, fail, info, ok, warn
from anvil_ctl.doctor.survey import Look, Survey, Unknown, need
from anvil_ctl.renderer import ROOM
from anvil_ctl.versions import COMPOSE_MINIMUM

MIB, GIB = 1 << 20, 1 << 30
WSL_MINIMUM = (2, 7)
# A page cache above this is seen by Windows as memory that the virtual machine holds.
_LARGE_CACHE = 16 * GIB
_ROOM = 2 * GIB
# Without these a switch could not write its journal, or Docker its container.
_LEAST_AT_HOME, _LEAST_FOR_ENGINE = 16 * MIB, 512 * MIB
# Kernels and graphs that one GPU image compiles.
_ROOM_FOR_CACHE = 4 * GIB
_LARGEST_SKEW_S = 30
_NOT_ASCII = "\N{CHECK MARK}"


def _daemon(survey: Survey) -> Iterator[Finding]:
    found = survey.daemon
    if isinstance(found, Unknown):
        remedy = found.remedy or "sudo systemctl start docker"
        yield fail(found.reason, "a Docker daemon that answers", remedy)
    else:
        yield ok(f"Docker Engine {found.version} answers")


def _compose(survey: Survey) -> Iterator[Finding]:
    found = need(survey.compose)
    shown = ".".join(map(str, found)) or "none"
    if found >= COMPOSE_MINIMUM:
        yield ok(f"Docker Compose {shown}")
    else:
        wanted = ".".join(map(str, COMPOSE_MINIMUM))
        remedy = "pip install 'anvil-ctl[compose]'"
        yield fail(f"Docker Compose: {shown}", f"{wanted} or newer", remedy)


def _gpu_runtime(survey: Survey) -> Iterator[Finding]:
    roles = survey.site.config.machine.roles
    cards = [role.gpu_uuid for role in roles.values() if role.gpu_uuid]
    if not cards or not survey.here:
        return
    daemon = survey.engine
    install = "install nvidia-container-toolkit, then: sudo systemctl restart docker"
    if isinstance(survey.deep, Unknown):
        if "nvidia" in daemon.runtimes or daemon.cdi:
            yield ok("the engine lists a runtime for NVIDIA cards")
        else:
            seen = ", ".join(sorted(daemon.runtimes)) or "none"
            remedy = f"anvil-ctl doctor --deep    proves it; where it fails, {install}"
            yield warn(f"no NVIDIA runtime among those of the engine ({seen})", "nvidia", remedy)
        return
    for uuid in cards:
        said = need(survey.deep.cards.get(uuid, Unknown(f"{uuid} was not tried")))
        if said:
            yield fail(f"a container does not get {uuid}: {said}", "the card by its UUID", install)
        else:
            yield ok(f"a container gets {uuid}")


def _wsl(survey: Survey) -> Iterator[Finding]:
    host = survey.station.hardware
    if host.platform != "wsl2":
        return
    version = need(host.wsl_version or Unknown("neither wslinfo nor wsl.exe says its version"))
    shown = ".".join(map(str, version))
    if version >= WSL_MINIMUM:
        yield ok(f"WSL {shown}")
    else:
        expected = "2.7 or newer: before, first tokens took up to 41 s at times"
        yield warn(f"WSL {shown}", expected, "wsl --update    in Windows")


def _memory(survey: Survey) -> Iterator[Finding]:
    ram = survey.ledger.ram
    for said in ram.problems:
        yield fail(said, "memory for what the mode loads", ROOM)
    for said in ram.warnings:
        yield warn(said, "RAM for the weights", "raise machine.ram_mib, and memory in .wslconfig")
    if ram.problems or not survey.here:
        return
    have = survey.engine.memory >> 20
    need(have or Unknown("docker info does not say how much memory the engine's host has"))
    declared = survey.site.config.machine.ram_mib
    least = ram.in_turn if ram.one_by_one else ram.committed
    if least > have:
        held = f"models hold {least} MiB while they load, and there are {have}"
        remedy = "raise memory in .wslconfig, or choose a smaller model for that tier"
        yield fail(held, "memory for what the mode loads", remedy)
    elif declared is not None and declared > have:
        said = f"machine.ram_mib is {declared}, and the engine's host has {have}"
        set_it = f"anvil-ctl config set machine.ram_mib {have}"
        yield warn(said, "no more than there is", set_it)
    else:
        yield ok(f"models hold {least} MiB of {have} while they load")


def _page_cache(survey: Survey) -> Iterator[Finding]:
    if survey.station.hardware.platform != "wsl2":
        return
    cached = need(survey.station.page_cache or Unknown("/proc/meminfo does not say"))
    if cached <= _LARGE_CACHE:
        yield ok(f"the page cache is {cached / GIB:.1f} GiB")
    else:
        remedy = "when nothing loads: sync; echo 1 | sudo tee /proc/sys/vm/drop_caches"
        yield warn(
            f"the page cache is {cached / GIB:.1f} GiB, which Windows does not get back",
            f"at most {_LARGE_CACHE / GIB:.0f} GiB while nothing loads",
            remedy,
        )


def _disk(survey: Survey) -> Iterator[Finding]:
    daemon = survey.engine
    if (own := survey.home.free) is not None and own < _LEAST_AT_HOME:
        folder = survey.home.definition.rpartition("/")[0]
        said = f"{own / MIB:.0f} MiB free where {folder} is: no journal could be written"
        yield fail(said, f"{_LEAST_AT_HOME / MIB:.0f} MiB", f"df -h {folder}")
    free = need(Unknown("no disk is seen") if daemon.root_free is None else daemon.root_free)
    caches = {each.image for each in survey.rendered.services.values() if each.caches}
    wanted = _ROOM + len(caches) * _ROOM_FOR_CACHE
    where = f"where the engine keeps its data ({daemon.root})"
    remedy = "docker system df; anvil-ctl images prune"
    if free < _LEAST_FOR_ENGINE:
        said = f"{free / MIB:.0f} MiB free {where}: no container could be made"
        yield fail(said, f"{_LEAST_FOR_ENGINE / MIB:.0f} MiB", remedy)
    elif free >= wanted:
        yield ok(f"{free / GIB:.1f} GiB free {where}")
    else:
        expected = f"{wanted / GIB:.0f} GiB for logs and for what engines compile"
        yield warn(f"{free / GIB:.1f} GiB free {where}", expected, remedy)


def _console(survey: Survey) -> Iterator[Finding]:
    skew = survey.engine.skew_s
    if abs(skew) > _LARGEST_SKEW_S:
        remedy = "sudo hwclock -s    under WSL2; else check NTP: timedatectl"
        yield info(f"the engine's clock is {skew:+.0f} s from this one's", "one time", remedy)
    encoding = survey.station.encoding
    try:
        _NOT_ASCII.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        remedy = "export LC_ALL=C.UTF-8    for names in other scripts"
        yield info(f"the console speaks {encoding}: output is plain ASCII", "utf-8", remedy)
    else:
        yield ok(f"the console speaks {encoding}; the engine's clock agrees")


def _release(survey: Survey) -> Iterator[Finding]:
    station, expected = survey.station, "one release of program and stack"
    if station.installed_version not in ("", station.version):
        said = f"anvil-ctl {station.version} runs from an installation of"
        reinstall = f"pip install --force-reinstall {station.package}"
        yield warn(f"{said} {station.installed_version}", expected, reinstall)
    elif station.temporary:
        said = f"anvil-ctl runs from {station.package}, a folder for temporary files"
        yield warn(said, "an installation that stays", "pip install anvil-ctl    elsewhere")
    else:
        yield ok(f"anvil-ctl {station.version}")


CHECKS = (
    Check("D01", "the Docker daemon answers", Status.FAIL, _daemon, gates=True),
    Check("D02", "Compose is new enough", Status.FAIL, _compose, looking(Look.COMPOSE), gates=True),
    Check("D03", "containers get NVIDIA cards", Status.FAIL, _gpu_runtime),
    Check("D04", "WSL is new enough", Status.WARN, _wsl),
    Check("D05", "the host's memory holds what the mode loads", Status.FAIL, _memory, gates=True),
    Check("D06", "the page cache leaves Windows its memory", Status.WARN, _page_cache),
    Check("D07", "the disks have room", Status.FAIL, _disk, gates=True),
    Check("D08", "clock and console", Status.INFO, _console),
    Check("D09", "program and installation are one release", Status.WARN, _release),
)
