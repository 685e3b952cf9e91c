"""The base image: pulled where a registry answers, else made from the host's Debian mirror."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from anvil_ctl.errors import AnvilError
from anvil_ctl.events import Event, Report, State
from anvil_ctl.history import History
from anvil_ctl.images.debian import Mirrors, Source, host_mirrors, source
from anvil_ctl.images.engine import BASE_PULL_S, Host, ImageEngine, Registries
from anvil_ctl.images.image import BASE
from anvil_ctl.proc import ProcessError

SUITE = "trixie"
STEP = "image base"
# Documentation and translations are a quarter of a minimal Debian and no container reads them.
_LEFT_OUT = ("doc", "man", "info", "locale", "lintian", "linda", "groff")


def ensure_base(
    docker: ImageEngine, host: Host, report: Report, history: History, registries: Registries
) -> None:
    """See that BASE is there; AnvilError with one line of advice where nothing can give it."""
    if docker.has_image(BASE):
        return
    if registries.pull(docker, BASE, BASE_PULL_S, STEP, report):
        return
    mirrors = host_mirrors(host)
    if mirrors is None:
        raise AnvilError(
            f"no registry gives {BASE}, and this host has no Debian mirror to make it from",
            hint=f"on a machine that can pull: docker save {BASE} | ssh HOST docker load; "
            "or name a mirror: ANVIL_DEBIAN_MIRROR=<uri> anvil-ctl images build",
        )
    install_mmdebstrap(host, report, history)
    with tempfile.TemporaryDirectory(prefix="anvil-base-") as folder:
        archive = Path(folder) / "base.tar"
        sources = base_sources(host, mirrors, report)
        with history.step(report, STEP, f"make {BASE} from the host's Debian mirror", 30):
            try:
                host.run(mmdebstrap_argv(archive, sources), timeout_s=900)
            except ProcessError as error:
                raise AnvilError(
                    f"mmdebstrap could not make {BASE}: {error.message}",
                    hint="apt-get update, and look at what it says of your mirror",
                ) from error
            docker.import_rootfs(archive, BASE)


def base_sources(host: Host, mirrors: Mirrors, report: Report) -> list[Source]:
    """Main, and security updates where the mirror has them; stale ones are reported."""
    now = datetime.now(UTC)
    found = [source(host, mirrors.main, SUITE, now)]
    if mirrors.security:
        found.append(source(host, mirrors.security, f"{SUITE}-security", now))
    for each in found:
        if each.warning:
            report(Event(STEP, each.warning, State.WARNING))
    return found


def mmdebstrap_argv(archive: Path, sources: list[Source]) -> list[str]:
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--include=ca-certificates",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        SUITE,
        str(archive),
        *(each.line for each in sources),
    ]


def install_mmdebstrap(host: Host, report: Report, history: History) -> None:
    """Install the one tool that is needed to make a base, where it is missing."""
    if host.has("mmdebstrap"):
        return
    if not host.root:
        raise AnvilError(
            f"no registry gives {BASE}, and mmdebstrap, which can make it, is not installed",
            hint="sudo apt-get install mmdebstrap",
        )
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", "mmdebstrap"]
    try:
        with history.step(report, "mmdebstrap", "install mmdebstrap with apt-get", 12):
            host.run(["apt-get", "update", "-q"], env=quiet)
            host.run([*install, "debian-archive-keyring"], env=quiet)
    except ProcessError as error:
        raise AnvilError(
            f"mmdebstrap could not be installed: {error.message}", hint=" ".join(install)
        ) from error
