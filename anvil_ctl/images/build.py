"""Bring an image about: already here, pulled as its makers publish it, or built."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from anvil_ctl.errors import AnvilError
from anvil_ctl.events import Event, Report, State
from anvil_ctl.history import History
from anvil_ctl.images.base import ensure_base
from anvil_ctl.images.debian import TARGET_FORMAT, TARGETS, host_mirrors, mirrors_in, source
from anvil_ctl.images.engine import OFFICIAL_PULL_S, Host, ImageEngine, LocalHost, Registries
from anvil_ctl.images.image import BASE, BUILD_LABEL, Image
from anvil_ctl.images.packages import install_packages

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_DEFAULT_BUILD_S = 20.0


def build(
    docker: ImageEngine,
    image: Image,
    report: Report,
    history: History,
    *,
    registries: Registries | None = None,
    host: Host | None = None,
) -> str:
    """Build `image` unless its tag exists, and return the tag."""
    tag, name = image.tag, _step(image)
    if docker.has_image(tag):
        report(Event(name, f"{tag} is there", State.SKIPPED))
        return tag
    host = host or LocalHost()
    ensure_base(docker, host, report, history, registries or Registries())
    with tempfile.TemporaryDirectory(prefix="anvil-build-") as folder:
        context = Path(folder)
        image.write(context)
        if "requirements.txt" in image.files:
            with history.step(report, f"{name} packages", f"fetch packages for {image.name}", 6):
                install_packages(host, context, machine(docker))
        arguments = build_arguments(docker, host, image, report)
        with history.step(report, name, f"build {tag}", _DEFAULT_BUILD_S):
            docker.build(context, tag, arguments, {BUILD_LABEL: image.digest})
    return tag


def obtain(
    docker: ImageEngine,
    image: Image,
    official: str | None,
    report: Report,
    history: History,
    *,
    registries: Registries | None = None,
    host: Host | None = None,
) -> str:
    """Like `build`, but take the `official` image (a reference by digest) where one can.

    The pulled image gets our tag too, so that whatever names the tag finds either.
    """
    tag, name = image.tag, _step(image)
    registries = registries or Registries()
    wanted = "" if docker.has_image(tag) else official
    if wanted and registries.pull(docker, wanted, OFFICIAL_PULL_S, name, report):
        docker.tag(wanted, tag)
        return tag
    return build(docker, image, report, history, registries=registries, host=host)


def build_arguments(
    docker: ImageEngine, host: Host, image: Image, report: Report
) -> dict[str, str]:
    """Values for the build arguments that a Dockerfile with a Debian suite declares.

    DEBIAN_MIRROR is the host's mirror, or the base's own where the host has none;
    CHECK_VALID_UNTIL is `no` where that mirror's DEBIAN_SUITE is stale but acceptable.
    """
    declared = image.arguments
    suite = declared.get("DEBIAN_SUITE")
    if not suite or "DEBIAN_MIRROR" not in declared:
        return {}
    mirrors = host_mirrors(host) or mirrors_in(
        docker.run(BASE, [*TARGETS, TARGET_FORMAT]).splitlines(), "trixie"
    )
    if mirrors is None:
        raise AnvilError(
            f"{image.name} needs packages of Debian {suite}, and no Debian mirror is known here",
            hint="name one: ANVIL_DEBIAN_MIRROR=<uri> anvil-ctl images build",
        )
    found = source(host, mirrors.main, suite, datetime.now(UTC))
    if found.warning:
        report(Event(_step(image), found.warning, State.WARNING))
    return {
        "DEBIAN_MIRROR": found.uri,
        "CHECK_VALID_UNTIL": "yes" if found.check_valid_until else "no",
    }


def machine(docker: ImageEngine) -> str:
    """The engine's architecture as wheels name it; the engine need not run on this host."""
    named = str(docker.info().get("Architecture", ""))
    return _MACHINES.get(named, named)


def _step(image: Image) -> str:
    return f"image {image.name.rpartition('/')[2]}"
