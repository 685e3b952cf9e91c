from __future__ import annotations

from pathlib import Path

from anvil_ctl.images.image import BASE, Image, catalog
from anvil_ctl.paths import PACKAGE, bundle


def _image(**files: bytes) -> Image:
    return Image("anvil/thing", {"Dockerfile": b"FROM x\n", **files})


def test_the_tag_is_the_name_and_twelve_hex_digits() -> None:
    name, _, digest = _image().tag.partition(":")

    assert name == "anvil/thing"
    assert len(digest) == 12
    assert set(digest) <= set("0123456789abcdef")


def test_the_same_content_has_the_same_tag_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "copy").write_bytes(b"one")

    there = Image("anvil/thing", {"Dockerfile": b"FROM x\n", "a": tmp_path / "copy"})

    assert there.tag == _image(a=b"one").tag


def test_every_edit_gives_another_tag(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_bytes(b"one")
    plain = Image("anvil/thing", {"Dockerfile": b"FROM x\n", "a": script}).tag
    script.chmod(0o755)
    executable = Image("anvil/thing", {"Dockerfile": b"FROM x\n", "a": script}).tag

    tags = {plain, executable, _image().tag, _image(a=b"two").tag, _image(b=b"one").tag}

    assert len(tags) == 5


def test_bytes_that_move_between_two_files_change_the_tag() -> None:
    assert _image(a=b"12", b=b"3").tag != _image(a=b"1", b=b"23").tag


def test_a_base_is_named_by_an_arguments_default_or_as_it_is_and_a_stage_is_none() -> None:
    dockerfile = b"ARG CUDA=cuda:13\nFROM ${CUDA} AS one\nFROM $CUDA\nFROM one\nFROM debian:x\n"

    assert Image("anvil/thing", {"Dockerfile": dockerfile}).bases == ["cuda:13", "debian:x"]


def test_what_a_machine_without_a_registry_builds_starts_from_what_it_makes() -> None:
    found = catalog(bundle(), PACKAGE)

    assert {name: found[name].bases for name in ("control", "guard", "llamacpp-cpu")} == {
        name: [BASE] for name in ("control", "guard", "llamacpp-cpu")
    }


def test_build_arguments_are_read_with_their_defaults() -> None:
    image = Image(
        "x", {"Dockerfile": b"FROM y\nARG SUITE=forky\nARG MIRROR=\nARG BARE\nRUN ARG=1\n"}
    )

    assert image.arguments == {"SUITE": "forky", "MIRROR": "", "BARE": ""}


def test_a_context_is_readable_for_every_user_and_keeps_execute_bits(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_bytes(b"#!/bin/sh\n")
    script.chmod(0o700)
    folder = tmp_path / "context"
    folder.mkdir()

    Image("x", {"Dockerfile": b"FROM y\n", "bin/run": script}).write(folder)

    assert (folder / "bin" / "run").stat().st_mode & 0o777 == 0o755
    assert (folder / "Dockerfile").stat().st_mode & 0o777 == 0o644


def test_the_catalog_has_control_guard_and_one_image_per_engine_dockerfile(tmp_path: Path) -> None:
    for path in (
        "compose/control/Dockerfile",
        "compose/control/requirements.txt",
        "compose/guard/Dockerfile",
        "compose/store/Dockerfile",
        "compose/store/requirements.txt",
        "engines/one/Dockerfile",
        "engines/two/Dockerfile.cpu",
        "engines/two/context/patch.diff",
        "engines/two/engine.toml",
        "engines/three/engine.toml",
        "package/__init__.py",
        "package/errors.py",
        "package/docker.py",
        "package/router/app.py",
        "package/router/__pycache__/app.pyc",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)

    found = catalog(tmp_path, tmp_path / "package")

    assert {short: image.name for short, image in found.items()} == {
        "control": "anvil/control",
        "store": "anvil/store",
        "guard": "anvil/guard",
        "one": "anvil/one",
        "two-cpu": "anvil/two-cpu",
    }
    assert set(found["two-cpu"].files) == {"Dockerfile", "patch.diff"}
    assert set(found["control"].files) == {
        "Dockerfile",
        "requirements.txt",
        "anvil_ctl/__init__.py",
        "anvil_ctl/errors.py",
        "anvil_ctl/router/app.py",
    }


def test_the_real_control_image_carries_no_control_plane() -> None:
    files = catalog(bundle(), PACKAGE)["control"].files

    assert "anvil_ctl/router/__init__.py" in files
    parts = {path.split("/")[1] for path in files if path.startswith("anvil_ctl/")}
    assert parts == {"__init__.py", "errors.py", "serving", "upstream", "router", "multiplexer"}


def test_the_real_store_image_carries_what_works_on_weights_alone() -> None:
    files = catalog(bundle(), PACKAGE)["store"].files

    parts = {path.split("/")[1] for path in files if path.startswith("anvil_ctl/")}
    assert parts == {"__init__.py", "weights", "transfer"}


def test_every_real_image_starts_from_the_base_or_from_nvidias() -> None:
    for name, image in catalog(bundle(), PACKAGE).items():
        dockerfile = image.files["Dockerfile"]
        assert isinstance(dockerfile, Path)
        base = "nvidia/cuda:" if name.endswith("-cuda") else "debian:trixie-slim"
        assert base in dockerfile.read_text()
