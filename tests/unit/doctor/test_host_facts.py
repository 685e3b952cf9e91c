from __future__ import annotations

import socket
from pathlib import Path

import pytest

from anvil_ctl.doctor.host_facts import docker_root, gather, is_debian, published_ports, taken


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ID=debian\n", True),
        ('NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n', True),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', True),
        ('ID=fedora\nHOME_URL="https://debian.test"\n', False),
        ("", False),
    ],
)
def test_debian_and_its_descendants_are_known(text: str, expected: bool) -> None:
    assert is_debian(text) is expected


def test_published_ports_are_read_with_their_ranges() -> None:
    listing = "127.0.0.1:8000->8000/tcp, 127.0.0.1:8001-8002->8001-8002/tcp\n9000/tcp\n"

    assert published_ports(listing) == {8000, 8001, 8002}


def test_dockers_data_folder_is_read() -> None:
    assert docker_root("28.2.2|/srv/docker\n") == "/srv/docker"


def test_a_port_that_something_listens_on_is_taken_and_then_free_again() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert taken([port]) == (port,)

    assert taken([port]) == ()


def test_the_ports_of_a_new_site_are_looked_at_and_a_site_that_exists_has_its_own(
    tmp_path: Path,
) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        environ = {"ANVIL_HOME": str(tmp_path)}

        assert gather(tmp_path, environ, download=False, ports=[port]).taken_ports == (port,)

        (tmp_path / "anvil.toml").write_text("")
        assert gather(tmp_path, environ, download=False, ports=[port]).taken_ports == ()


def test_the_index_is_asked_only_when_something_is_to_be_fetched(tmp_path: Path) -> None:
    assert gather(tmp_path, {"ANVIL_HOME": str(tmp_path)}, download=False).index is None


def test_needs_on_one_disk_are_added_up_and_a_first_run_needs_more(tmp_path: Path) -> None:
    environ = {"ANVIL_HOME": str(tmp_path / "not-yet" / "there")}

    later = gather(tmp_path, environ, download=False)

    assert len({disk.device for disk in later.disks}) == len(later.disks)
    assert sum(disk.needed for disk in later.disks) >= 100 << 20
