"""Where Debian packages come from here: the host's own mirror, and how old its indexes are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from anvil_ctl.errors import AnvilError
from anvil_ctl.images.engine import Host
from anvil_ctl.proc import ProcessError

# A mirror that lags is common and harmless for weeks; beyond this it is dead or replayed.
MAX_STALE = timedelta(days=60)
TARGETS = ["apt-get", "indextargets", "--format"]
TARGET_FORMAT = "$(ORIGIN)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)"


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Base URIs of Debian's main and security archives; `security` may be unknown."""

    main: str
    security: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One suite of one mirror. `stale` is how long ago its index stopped being valid."""

    uri: str
    suite: str
    stale: timedelta = timedelta(0)

    @property
    def check_valid_until(self) -> bool:
        return self.stale <= timedelta(0)

    @property
    def line(self) -> str:
        """As a line of sources.list; signatures are verified in either case."""
        option = "" if self.check_valid_until else "[check-valid-until=no] "
        return f"deb {option}{self.uri} {self.suite} main"

    @property
    def warning(self) -> str:
        """What to tell the user of a source that is accepted though stale; "" if it is not."""
        if self.check_valid_until:
            return ""
        return (
            f"the mirror's index of {self.suite} expired {self.stale.days} days ago: "
            "signatures are verified, freshness is not"
        )


def mirrors_in(targets: Iterable[str], codename: str) -> Mirrors | None:
    """Debian's archives among apt's index targets (lines of TARGET_FORMAT).

    Before the first `apt-get update` apt knows no origin: then a `main` component of the
    host's own `codename` counts as Debian's.
    """
    main = security = None
    for line in targets:
        origin, release, component, uri = (*line.strip().split("|"), "", "", "")[:4]
        ours = origin == "Debian" or (not origin and codename and release.startswith(codename))
        if not ours or component != "main" or not uri.startswith(("http://", "https://")):
            continue
        if release.endswith("-security"):
            security = security or uri.rstrip("/")
        elif "-" not in release:
            main = main or uri.rstrip("/")
    return Mirrors(main, security) if main else None


def suites_in(targets: Iterable[str]) -> list[tuple[str, str]]:
    """The web archives among apt's index targets: URI and suite, each once."""
    found: dict[tuple[str, str], None] = {}
    for line in targets:
        _origin, release, _component, uri = (*line.strip().split("|"), "", "", "")[:4]
        if uri.startswith(("http://", "https://")):
            found[uri.rstrip("/"), release] = None
    return list(found)


def host_mirrors(host: Host) -> Mirrors | None:
    """The Debian mirror that this host's apt uses; None where apt has none or is missing."""
    if host.mirror_override:
        return Mirrors(host.mirror_override.rstrip("/"))
    if not host.has("apt-get"):
        return None
    debian = re.search(r"^ID=\"?debian\"?$", host.os_release, re.MULTILINE)
    named = re.search(r"^VERSION_CODENAME=\"?(\w+)", host.os_release, re.MULTILINE)
    codename = named[1] if debian and named else ""
    try:
        return mirrors_in(host.run([*TARGETS, TARGET_FORMAT]).splitlines(), codename)
    except ProcessError:
        return None


def valid_until(release: str) -> datetime | None:
    """The Valid-Until of a Release or InRelease file; None if it never expires."""
    found = re.search(r"^Valid-Until: (.+)$", release, re.MULTILINE)
    return parsedate_to_datetime(found[1].strip()) if found else None


def judge(uri: str, suite: str, release: str, now: datetime) -> Source:
    """The source with its staleness; AnvilError if it is staler than MAX_STALE.

    The text is not verified here: apt itself verifies the signature of what it then uses.
    """
    if "Codename:" not in release and "Suite:" not in release:
        raise AnvilError(f"{uri} does not serve a Debian suite {suite}")
    until = valid_until(release)
    stale = max(now - until, timedelta(0)) if until else timedelta(0)
    if stale > MAX_STALE:
        raise AnvilError(
            f"the Debian mirror {uri} is out of date: its index of {suite} expired "
            f"{stale.days} days ago (at most {MAX_STALE.days} are accepted)",
            hint="name a current mirror: ANVIL_DEBIAN_MIRROR=<uri> anvil-ctl images build",
        )
    return Source(uri, suite, stale)


def index_url(uri: str, suite: str) -> str:
    return f"{uri}/dists/{suite}/InRelease"


def source(host: Host, uri: str, suite: str, now: datetime) -> Source:
    """Ask a mirror about a suite; AnvilError if it does not answer or is too stale."""
    return judge(uri, suite, host.head(index_url(uri, suite)), now)
