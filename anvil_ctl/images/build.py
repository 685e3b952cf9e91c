"""Bring an image about: already here, pulled as its makers publish it, or built."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from anvil_ctl.errors import AnvilError
from anvil_ctl.events import Event, Report, State
from anvil_ctl.history import History
from anvil_ctl.images.base import SUITE, ensure_base
from anvil_ctl.images.debian import (
    TARGET_FORMAT,
    TARGETS,
    Source,
    host_mirrors,
    index_url,
    judge,
    mirrors_in,
    source,
    suites_in,
)
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
    registries = registries or Registries()
    for base in image.bases:
        if base == BASE:
            ensure_base(docker, host, report, history, registries)
        else:
            _ensure_published(docker, image, base, report, registries)
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


def _ensure_published(
    docker: ImageEngine, image: Image, base: str, report: Report, registries: Registries
) -> None:
    """See that a base which others publish is here; AnvilError says what cannot be built, why."""
    if docker.has_image(base) or registries.pull(
        docker, base, OFFICIAL_PULL_S, _step(image), report
    ):
        return
    raise AnvilError(
        f"{image.name} cannot be built here: it starts from {base}, which no registry gives and "
        "nothing here makes",
        hint=f"on a machine that can pull: docker save {base} | ssh HOST docker load",
    )


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


def fetch(docker: ImageEngine, reference: str, report: Report, registries: Registries) -> str:
    """See that an image is here that only its makers build; AnvilError where none gives it."""
    if not docker.has_image(reference) and not registries.pull(
        docker, reference, OFFICIAL_PULL_S, f"image {reference}", report
    ):
        raise AnvilError(
            f"no registry gives {reference}, and it is not built here",
            hint=f"on a machine that can pull: docker save {reference} | ssh HOST docker load",
        )
    return reference


def build_arguments(
    docker: ImageEngine, host: Host, image: Image, report: Report
) -> dict[str, str]:
    """Values for those of our build arguments that the Dockerfile declares.

    APT_OPTIONS        lets apt use the base's own sources where the mirror's index is stale
    DEBIAN_MIRROR      the host's mirror, or the base's own where the host has none
    CHECK_VALID_UNTIL  `no` where that mirror's DEBIAN_SUITE is stale but acceptable
    """
    declared, found, warnings = image.arguments, dict[str, str](), list[str]()
    if not {"APT_OPTIONS", "DEBIAN_MIRROR"} & declared.keys():
        return {}
    targets = docker.run(BASE, [*TARGETS, TARGET_FORMAT]).splitlines()
    if "APT_OPTIONS" in declared:
        stale = stale_sources(host, targets)
        warnings += [each.warning for each in stale]
        found["APT_OPTIONS"] = "-o Acquire::Check-Valid-Until=no" if stale else ""
    if "DEBIAN_MIRROR" in declared:
        extra = suite_source(host, targets, declared["DEBIAN_SUITE"])
        warnings += [extra.warning] if extra.warning else []
        found["DEBIAN_MIRROR"] = extra.uri
        found["CHECK_VALID_UNTIL"] = "yes" if extra.check_valid_until else "no"
    for warning in warnings:
        report(Event(_step(image), warning, State.WARNING))
    return found


def stale_sources(host: Host, targets: Sequence[str]) -> list[Source]:
    """The base's own sources (apt's index targets) that have expired; too stale: AnvilError."""
    now, found = datetime.now(UTC), list[Source]()
    for uri, suite in suites_in(targets):
        try:
            release = host.head(index_url(uri, suite))
        except AnvilError:
            # Not to be seen from this host: apt inside the build will say whether it matters.
            continue
        found.append(judge(uri, suite, release, now))
    return [each for each in found if not each.check_valid_until]


def suite_source(host: Host, targets: Sequence[str], suite: str) -> Source:
    """A suite beside the base's own, on the host's mirror or else on the base's."""
    mirrors = host_mirrors(host) or mirrors_in(targets, SUITE)
    if mirrors is None:
        raise AnvilError(
            f"packages of Debian {suite} are needed, and no Debian mirror is known here",
            hint="name one: ANVIL_DEBIAN_MIRROR=<uri> anvil-ctl images build",
        )
    return source(host, mirrors.main, suite, datetime.now(UTC))


def machine(docker: ImageEngine) -> str:
    """The engine's architecture as wheels name it; the engine need not run on this host."""
    named = str(docker.info().get("Architecture", ""))
    return _MACHINES.get(named, named)


def _step(image: Image) -> str:
    return f"image {image.name.rpartition('/')[2]}"
