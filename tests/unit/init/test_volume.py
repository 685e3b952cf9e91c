from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from anvil_ctl.init import VolumeState, see_to_volume


@dataclass
class FakeVolumes:
    """An engine that has volumes and runs nothing."""

    volumes: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def volume_exists(self, name: str) -> bool:
        return name in self.volumes

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        self.volumes[name] = labels

    def run(
        self,
        image: str,
        command: Sequence[str],
        volumes: Iterable[tuple[str, str, str]] = (),
        user: str | None = None,
    ) -> str:
        raise AssertionError("nothing is run for a volume")


def refuse() -> bool:
    return False


def accept() -> bool:
    return True


def test_a_volume_is_created_with_consent_only_and_once() -> None:
    docker = FakeVolumes()

    assert see_to_volume(docker, "models", refuse) is VolumeState.LEFT_OUT
    assert docker.volumes == {}
    assert see_to_volume(docker, "models", accept) is VolumeState.CREATED
    assert docker.volumes == {"models": {"dev.anvil.volume": "models"}}


def test_a_volume_that_is_there_asks_for_no_consent() -> None:
    def never() -> bool:
        raise AssertionError("nobody is to be asked")

    assert see_to_volume(FakeVolumes({"models": {}}), "models", never) is VolumeState.THERE
