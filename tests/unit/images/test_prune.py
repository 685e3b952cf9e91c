from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from anvil_ctl.images.image import Image
from anvil_ctl.images.prune import prune

CURRENT = Image("anvil/guard", {"Dockerfile": b"FROM x\n"})


@dataclass
class FakeStore:
    tags: list[str]
    used: set[str]
    removed: list[str] = field(default_factory=list)

    def image_tags(self) -> Iterable[str]:
        return self.tags

    def images_in_use(self) -> Collection[str]:
        return self.used

    def remove_image(self, tag: str) -> None:
        self.removed.append(tag)


def test_prune_removes_what_neither_the_sources_nor_a_container_need() -> None:
    store = FakeStore(
        tags=[CURRENT.tag, "anvil/guard:old", "anvil/control:running", "debian:trixie-slim"],
        used={"anvil/control:running"},
    )

    assert prune(store, [CURRENT]) == ["anvil/guard:old"]
    assert store.removed == ["anvil/guard:old"]
