"""A Docker and a host that remember what they were asked, for tests of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anvil_ctl.errors import AnvilError
from anvil_ctl.events import Event
from anvil_ctl.proc import ProcessError


@dataclass
class FakeDocker:
    """An engine that knows the tags in `here` and can pull the references in `published`."""

    here: set[str] = field(default_factory=set)
    published: set[str] = field(default_factory=set)
    outputs: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    built: dict[str, list[str]] = field(default_factory=dict)
    build_args: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    imported: list[str] = field(default_factory=list)

    def info(self) -> Mapping[str, object]:
        return {"Architecture": "x86_64"}

    def has_image(self, tag: str) -> bool:
        return tag in self.here

    def pull(self, reference: str, timeout_s: float) -> bool:
        self.asked.append(reference)
        if reference in self.published:
            self.here.add(reference)
        return reference in self.published

    def build(
        self, context: Path, tag: str, build_args: Mapping[str, str], labels: Mapping[str, str]
    ) -> None:
        files = sorted(p.relative_to(context).as_posix() for p in context.rglob("*") if p.is_file())
        self.built[tag] = files
        self.build_args, self.labels = dict(build_args), dict(labels)
        self.here.add(tag)

    def import_rootfs(self, archive: Path, tag: str) -> None:
        self.imported.append(archive.read_text())
        self.here.add(tag)

    def tag(self, source: str, target: str) -> None:
        assert source in self.here
        self.here.add(target)

    def run(self, image: str, command: Sequence[str]) -> str:
        return self.outputs.get(command[0], "")


FRESH = "Suite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\n"


@dataclass
class FakeHost:
    """A host with the commands in `commands`; what it runs is kept in `ran`."""

    root: bool = True
    mirror_override: str = ""
    os_release: str = "ID=debian\nVERSION_CODENAME=bookworm\n"
    commands: set[str] = field(default_factory=lambda: {"apt-get", "mmdebstrap"})
    targets: str = "Debian|bookworm|main|http://mirror.test/debian/\n"
    pages: dict[str, str] = field(default_factory=dict)
    failing: str = ""
    ran: list[list[str]] = field(default_factory=list)

    def has(self, command: str) -> bool:
        return command in self.commands

    def run(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout_s: float = 600
    ) -> str:
        self.ran.append(list(argv))
        if self.failing and self.failing in argv:
            raise ProcessError(argv, 100, "E: nothing works\n")
        if "indextargets" in argv:
            return self.targets
        if argv[0] == "mmdebstrap":
            Path(next(each for each in argv if each.endswith(".tar"))).write_text("a root fs")
        if "--target" in argv:
            site = Path(argv[list(argv).index("--target") + 1])
            site.mkdir()
            (site / "wheel.py").write_text("x = 1\n")
        return ""

    def head(self, url: str) -> str:
        if url not in self.pages:
            raise AnvilError(f"cannot read {url}: not found")
        return self.pages[url]


@dataclass
class Heard:
    """A Report that keeps the events."""

    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def texts(self, state: str) -> list[str]:
        return [each.text for each in self.events if each.state == state]
