from __future__ import annotations

from pathlib import Path

import pytest

from anvil_ctl.errors import AnvilError
from anvil_ctl.history import History
from anvil_ctl.images.base import ensure_base
from anvil_ctl.images.engine import Registries
from anvil_ctl.images.image import BASE
from tests.unit.images.fakes import FRESH, FakeDocker, FakeHost, Heard

RELEASE = "http://mirror.test/debian/dists/trixie/InRelease"
STALE = "Codename: trixie\nSuite: trixie-security\nValid-Until: {}\n"


def _ensure(docker: FakeDocker, host: FakeHost, folder: Path) -> Heard:
    heard = Heard()
    ensure_base(docker, host, heard, History(folder / "history.json"), Registries())
    return heard


def test_a_base_that_is_here_is_left_alone(tmp_path: Path) -> None:
    docker, host = FakeDocker(here={BASE}), FakeHost()

    _ensure(docker, host, tmp_path)

    assert docker.asked == []
    assert host.ran == []


def test_a_base_is_pulled_where_a_registry_answers(tmp_path: Path) -> None:
    docker, host = FakeDocker(published={BASE}), FakeHost()

    _ensure(docker, host, tmp_path)

    assert docker.here == {BASE}
    assert host.ran == []


def test_without_a_registry_the_base_is_made_from_the_hosts_mirror(tmp_path: Path) -> None:
    docker, host = FakeDocker(), FakeHost(pages={RELEASE: FRESH})

    _ensure(docker, host, tmp_path)

    assert docker.asked == [BASE]
    assert docker.imported == ["a root fs"]
    made = next(argv for argv in host.ran if argv[0] == "mmdebstrap")
    assert made[-1] == "deb http://mirror.test/debian trixie main"
    assert "--variant=minbase" in made
    assert "apt-get install" not in " ".join(" ".join(argv) for argv in host.ran)


def test_security_updates_come_along_where_the_mirror_has_them(tmp_path: Path) -> None:
    host = FakeHost(
        targets="Debian|bookworm|main|http://mirror.test/debian/\n"
        "Debian|bookworm-security|main|http://mirror.test/security/\n",
        pages={
            RELEASE: FRESH,
            "http://mirror.test/security/dists/trixie-security/InRelease": FRESH,
        },
    )

    _ensure(FakeDocker(), host, tmp_path)

    made = next(argv for argv in host.ran if argv[0] == "mmdebstrap")
    assert made[-1] == "deb http://mirror.test/security trixie-security main"


def test_mmdebstrap_is_installed_by_root_where_it_is_missing_and_that_is_said(
    tmp_path: Path,
) -> None:
    docker, host = FakeDocker(), FakeHost(commands={"apt-get"}, pages={RELEASE: FRESH})

    heard = _ensure(docker, host, tmp_path)

    assert ["apt-get", "update", "-q"] in host.ran
    assert "install mmdebstrap with apt-get" in heard.texts("done")
    assert docker.here == {BASE}


def test_only_root_installs_packages(tmp_path: Path) -> None:
    host = FakeHost(root=False, commands={"apt-get"})

    with pytest.raises(
        AnvilError, match="mmdebstrap, which can make it, is not installed"
    ) as error:
        _ensure(FakeDocker(), host, tmp_path)

    assert error.value.hint == "sudo apt-get install mmdebstrap"
    assert not [argv for argv in host.ran if "install" in argv]


def test_a_host_that_can_neither_pull_nor_make_it_gets_one_line_of_advice(tmp_path: Path) -> None:
    with pytest.raises(AnvilError, match="no registry gives debian:trixie-slim") as error:
        _ensure(FakeDocker(), FakeHost(commands=set()), tmp_path)

    assert "docker load" in error.value.hint


def test_a_failing_mmdebstrap_leaves_no_image(tmp_path: Path) -> None:
    docker, host = FakeDocker(), FakeHost(pages={RELEASE: FRESH}, failing="mmdebstrap")

    with pytest.raises(AnvilError, match="nothing works"):
        _ensure(docker, host, tmp_path)

    assert docker.here == set()
