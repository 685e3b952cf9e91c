"""Rendered files as the real Compose reads them. No container is started."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import Stack

HEAVY = "GPU-00000000-0000-4000-8000-00000000000a"
FAST = "GPU-00000000-0000-4000-8000-00000000000b"
DARK = ["--site", "fakoli-dark", "--gpu", f"heavy={HEAVY}", "--gpu", f"fast={FAST}"]
SITES = {
    "cpu": ["--site", "cpu"],
    "fakoli-dark": ["--site", "fakoli-dark", "--yes"],
    "fakoli-dark-wsl2": [*DARK, "--platform", "wsl2"],
    "fakoli-dark-linux": [*DARK, "--platform", "linux"],
    "single-gpu": [
        *("--site", "single-gpu", "--platform", "linux"),
        *("--gpu", f"gpu={HEAVY},32607,12.0"),
    ],
    "two-gpus": [
        *("--site", "two-gpus", "--platform", "linux"),
        *("--gpu", f"heavy={HEAVY},49140,8.9", "--gpu", f"fast={FAST},24564,8.9"),
    ],
}


@pytest.fixture(scope="module", params=sorted(SITES))
def rendered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    found = Stack(tmp_path_factory.mktemp("render") / "home", "anvil", 8000, 30000)
    found.run("init", *SITES[request.param])
    found.run("render", "--check")
    for mode in ("agentic", "flexibility"):
        found.run("render", "--mode", mode, "--out", str(found.home / "out"))
    return found


@pytest.fixture(params=["agentic", "flexibility"])
def model(rendered: Stack, request: pytest.FixtureRequest) -> dict[str, Any]:
    """One rendered Compose file as Compose understands it."""
    return compose_config(rendered.home / "out" / f"anvil-{request.param}" / "compose.yaml")


def compose_config(file: Path) -> dict[str, Any]:
    beside = Path(sys.executable).parent / "docker-compose"
    command = [beside] if beside.is_file() else ["docker", "compose"]
    done = subprocess.run(
        [*command, "-f", file, "config", "--format", "json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_engine_holds_one_card_by_uuid_and_by_environment(model: dict[str, Any]) -> None:
    for service in model["services"].values():
        devices = service.get("deploy", {}).get("resources", {}).get("reservations", {})
        held = [each["device_ids"] for each in devices.get("devices", [])]
        pinned = service.get("environment", {}).get("CUDA_VISIBLE_DEVICES")

        assert held == ([[pinned]] if pinned else [])


def test_every_container_is_bounded_and_published_on_loopback(model: dict[str, Any]) -> None:
    for service in model["services"].values():
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
        assert {port["host_ip"] for port in service["ports"]} == {"127.0.0.1"}
        assert service["init"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "container_name" not in service
        assert "depends_on" not in service


def test_weights_are_external_and_read_only_and_caches_keep_their_names(
    model: dict[str, Any],
) -> None:
    volumes = model["volumes"]

    assert volumes["models"] == {"name": "fakoli-models", "external": True}
    for key, volume in volumes.items():
        assert key == "models" or volume["name"].startswith("anvil-cache-")
    for service in model["services"].values():
        mounts = {mount["source"]: mount for mount in service["volumes"]}
        assert mounts["models"]["read_only"] is True
        assert mounts.keys() <= volumes.keys()


def test_a_health_check_reaches_the_shell_as_it_was_written(model: dict[str, Any]) -> None:
    for service in model["services"].values():
        assert service["healthcheck"]["test"][:3] == ["CMD", "bash", "-c"]
        assert service["healthcheck"]["start_period"]


def test_nothing_differs_after_writing_and_an_edit_does(rendered: Stack) -> None:
    out = str(rendered.home / "out")
    assert "nothing changes" in rendered.run("render", "--out", out, "--diff").stdout

    definition = rendered.home / "anvil.toml"
    before = definition.read_text(encoding="utf-8")
    definition.write_text(before.replace("slots = ", "slots = 1", 1), encoding="utf-8")
    said = rendered.run("render", "--out", out, "--diff").stdout
    definition.write_text(before, encoding="utf-8")

    assert "@@" in said
    assert "nothing changes" in said


GOLDEN = Path(__file__).parents[1] / "unit" / "golden"
RENDERED = sorted(
    each for each in GOLDEN.glob("*.txt") if "services:" in each.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("golden", RENDERED, ids=lambda each: each.stem)
def test_compose_takes_every_golden_file_and_reads_the_same_command_in_it(
    golden: Path, tmp_path: Path
) -> None:
    text = golden.read_text(encoding="utf-8").split("\n----------\n")[0]
    file = tmp_path / "compose.yaml"
    file.write_text(text, encoding="utf-8")

    services = compose_config(file)["services"]

    assert services
    for service in services.values():
        for argument in service["command"]:
            assert json.dumps(argument, ensure_ascii=False).replace("$", "$$") in text


def test_both_modes_of_every_kind_of_machine_have_a_golden_file() -> None:
    names = {each.stem for each in RENDERED}
    sites = ("fakoli-dark-wsl2", "fakoli-dark-linux", "single-gpu", "cpu")

    assert {f"{site}-{mode}" for site in sites for mode in ("agentic", "flexibility")} <= names
