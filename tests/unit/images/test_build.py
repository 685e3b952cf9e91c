from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from anvil_ctl.errors import AnvilError
from anvil_ctl.history import History
from anvil_ctl.images.build import build, fetch, obtain
from anvil_ctl.images.engine import Registries
from anvil_ctl.images.image import BASE, Image
from tests.unit.images.fakes import FRESH, FakeDocker, FakeHost, Heard

PLAIN = Image("anvil/guard", {"Dockerfile": b"FROM debian:trixie-slim\n", "haproxy.cfg": b"x\n"})
ENGINE = Image(
    "anvil/engine-cpu",
    {
        "Dockerfile": b"FROM debian:trixie-slim\n"
        b"ARG DEBIAN_SUITE=forky\nARG DEBIAN_MIRROR=\nARG CHECK_VALID_UNTIL=yes\n"
    },
)
FORKY = "http://mirror.test/debian/dists/forky/InRelease"
OFFICIAL = "registry.test/engine@sha256:" + "0" * 64


def _history(folder: Path) -> History:
    return History(folder / "history.json")


def test_an_image_whose_tag_exists_is_not_built_again(tmp_path: Path) -> None:
    docker, heard = FakeDocker(here={PLAIN.tag}), Heard()

    assert build(docker, PLAIN, heard, _history(tmp_path), host=FakeHost()) == PLAIN.tag

    assert docker.built == {}
    assert heard.texts("skipped") == [f"{PLAIN.tag} is there"]


def test_a_built_image_has_its_context_and_carries_its_hash(tmp_path: Path) -> None:
    docker = FakeDocker(here={BASE})

    build(docker, PLAIN, Heard(), _history(tmp_path), host=FakeHost())

    assert docker.built == {PLAIN.tag: ["Dockerfile", "haproxy.cfg"]}
    assert docker.labels == {"dev.anvil.build": PLAIN.digest}
    assert docker.build_args == {}


def test_a_build_is_remembered_for_the_next_estimate(tmp_path: Path) -> None:
    build(FakeDocker(here={BASE}), PLAIN, Heard(), _history(tmp_path), host=FakeHost())

    assert "image guard" in _history(tmp_path).seconds()


def test_requirements_are_unpacked_on_the_host_for_the_images_python(tmp_path: Path) -> None:
    image = Image(
        "anvil/control", {"Dockerfile": b"FROM debian:trixie-slim\n", "requirements.txt": b"a==1\n"}
    )
    docker, host = FakeDocker(here={BASE}), FakeHost()

    build(docker, image, Heard(), _history(tmp_path), host=host)

    assert docker.built[image.tag] == ["Dockerfile", "requirements.txt", "site/wheel.py"]
    (pip,) = host.ran
    assert {"--require-hashes", "--only-binary=:all:", "--no-deps"} <= set(pip)
    assert "--platform=manylinux_2_17_x86_64" in pip


def test_packages_that_cannot_be_fetched_say_where_to_look(tmp_path: Path) -> None:
    image = Image(
        "anvil/control", {"Dockerfile": b"FROM debian:trixie-slim\n", "requirements.txt": b"a==1\n"}
    )
    docker = FakeDocker(here={BASE})

    with pytest.raises(AnvilError, match="could not be fetched") as error:
        build(docker, image, Heard(), _history(tmp_path), host=FakeHost(failing="pip"))

    assert "pip config list" in error.value.hint
    assert docker.built == {}


def test_a_dockerfile_with_a_suite_is_given_the_hosts_mirror(tmp_path: Path) -> None:
    docker, host = FakeDocker(here={BASE}), FakeHost(pages={FORKY: FRESH})

    build(docker, ENGINE, Heard(), _history(tmp_path), host=host)

    assert docker.build_args == {
        "DEBIAN_MIRROR": "http://mirror.test/debian",
        "CHECK_VALID_UNTIL": "yes",
    }


def test_a_stale_suite_is_built_from_and_warned_of(tmp_path: Path) -> None:
    ended = (datetime.now(UTC) - timedelta(days=16)).strftime("%a, %d %b %Y %H:%M:%S UTC")
    host = FakeHost(pages={FORKY: f"Codename: forky\nValid-Until: {ended}\n"})
    docker, heard = FakeDocker(here={BASE}), Heard()

    build(docker, ENGINE, heard, _history(tmp_path), host=host)

    assert docker.build_args["CHECK_VALID_UNTIL"] == "no"
    assert len(heard.texts("warning")) == 1


def test_a_host_that_is_not_debian_uses_the_mirror_of_the_base(tmp_path: Path) -> None:
    docker = FakeDocker(
        here={BASE}, outputs={"apt-get": "Debian|trixie|main|http://base.test/debian/\n"}
    )
    host = FakeHost(commands=set(), pages={"http://base.test/debian/dists/forky/InRelease": FRESH})

    build(docker, ENGINE, Heard(), _history(tmp_path), host=host)

    assert docker.build_args["DEBIAN_MIRROR"] == "http://base.test/debian"


def test_a_base_whose_own_index_has_expired_since_is_still_built_on_with_a_warning(
    tmp_path: Path,
) -> None:
    image = Image("anvil/x", {"Dockerfile": b"FROM debian:trixie-slim\nARG APT_OPTIONS=\n"})
    ended = (datetime.now(UTC) - timedelta(days=3)).strftime("%a, %d %b %Y %H:%M:%S UTC")
    targets = "|trixie|main|http://m/debian/\n|trixie-security|main|http://m/security/\n"
    security = "http://m/security/dists/trixie-security/InRelease"
    docker, heard = FakeDocker(here={BASE}, outputs={"apt-get": targets}), Heard()
    host = FakeHost(pages={security: f"Suite: stable-security\nValid-Until: {ended}\n"})

    build(docker, image, heard, _history(tmp_path), host=host)

    assert docker.build_args == {"APT_OPTIONS": "-o Acquire::Check-Valid-Until=no"}
    assert "trixie-security expired 3 days ago" in heard.texts("warning")[0]


def test_a_fresh_base_is_built_on_with_all_of_apts_checks(tmp_path: Path) -> None:
    image = Image("anvil/x", {"Dockerfile": b"FROM debian:trixie-slim\nARG APT_OPTIONS=\n"})
    docker = FakeDocker(here={BASE}, outputs={"apt-get": "|trixie|main|http://m/debian/\n"})
    host = FakeHost(pages={"http://m/debian/dists/trixie/InRelease": FRESH})

    build(docker, image, Heard(), _history(tmp_path), host=host)

    assert docker.build_args == {"APT_OPTIONS": ""}


def test_an_official_image_is_pulled_and_found_under_our_tag(tmp_path: Path) -> None:
    docker = FakeDocker(published={OFFICIAL})

    tag = obtain(docker, ENGINE, OFFICIAL, Heard(), _history(tmp_path), host=FakeHost())

    assert tag == ENGINE.tag
    assert docker.here == {OFFICIAL, ENGINE.tag}
    assert docker.built == {}


def test_an_image_that_no_registry_gives_is_built(tmp_path: Path) -> None:
    docker, host = FakeDocker(here={BASE}), FakeHost(pages={FORKY: FRESH})

    assert obtain(docker, ENGINE, OFFICIAL, Heard(), _history(tmp_path), host=host) == ENGINE.tag

    assert docker.asked == [OFFICIAL]
    assert list(docker.built) == [ENGINE.tag]


def test_an_image_that_is_here_is_not_asked_for(tmp_path: Path) -> None:
    docker = FakeDocker(here={ENGINE.tag}, published={OFFICIAL})

    obtain(docker, ENGINE, OFFICIAL, Heard(), _history(tmp_path), host=FakeHost())

    assert docker.asked == []


def test_a_registry_that_did_not_answer_is_asked_once_a_run(tmp_path: Path) -> None:
    docker, host = FakeDocker(here={BASE}), FakeHost(pages={FORKY: FRESH})
    other = Image("anvil/other", {"Dockerfile": b"FROM debian:trixie-slim\n"})
    registries, history = Registries(), _history(tmp_path)

    obtain(docker, ENGINE, OFFICIAL, Heard(), history, registries=registries, host=host)
    elsewhere = "registry.test/other:1"
    obtain(docker, other, elsewhere, Heard(), history, registries=registries, host=host)

    assert docker.asked == [OFFICIAL]


def test_an_image_that_only_its_makers_build_is_pulled_once() -> None:
    docker, heard = FakeDocker(published={OFFICIAL}), Heard()

    for _ in range(2):
        assert fetch(docker, OFFICIAL, heard, Registries()) == OFFICIAL

    assert docker.asked == [OFFICIAL]


def test_an_image_that_nobody_gives_says_how_to_bring_it() -> None:
    with pytest.raises(AnvilError, match="it is not built here") as raised:
        fetch(FakeDocker(), OFFICIAL, Heard(), Registries())

    assert raised.value.hint.startswith("on a machine that can pull: docker save ")


CUDA = Image(
    "anvil/engine-cuda",
    {
        "Dockerfile": b"FROM nvidia/cuda:1-devel AS build\nRUN make\n"
        b"FROM nvidia/cuda:1-runtime\nCOPY --from=build /a /a\n"
    },
)


def test_a_base_that_others_publish_is_pulled_before_the_build(tmp_path: Path) -> None:
    docker = FakeDocker(published={"nvidia/cuda:1-devel", "nvidia/cuda:1-runtime"})

    build(docker, CUDA, Heard(), _history(tmp_path), host=FakeHost())

    assert docker.asked == ["nvidia/cuda:1-devel", "nvidia/cuda:1-runtime"]
    assert list(docker.built) == [CUDA.tag]


def test_what_cannot_be_built_is_said_with_the_base_that_is_missing(tmp_path: Path) -> None:
    docker = FakeDocker()

    with pytest.raises(AnvilError) as raised:
        build(docker, CUDA, Heard(), _history(tmp_path), host=FakeHost())

    assert "anvil/engine-cuda cannot be built here: it starts from nvidia/cuda:1-devel" in str(
        raised.value
    )
    assert "docker save nvidia/cuda:1-devel" in raised.value.hint
    assert docker.built == {}
