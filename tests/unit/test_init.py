from __future__ import annotations

from pathlib import Path

import pytest

from anvil_ctl.errors import UsageError
from anvil_ctl.init import Choices, Gpu, parse_gpus, parse_platform, write_definition
from anvil_ctl.paths import Home, bundle
from tests.unit.definitions import FAST, HEAVY


def write(home: Path, site: str, chosen: Choices) -> bool:
    return write_definition(Home(home), bundle() / "templates", site, "gguf/x.gguf", chosen)


def test_cards_are_named_as_nvidia_smi_prints_them() -> None:
    said = [f"heavy={HEAVY}", f"fast={FAST}, 32607, 12.0"]

    assert parse_gpus(said) == {"heavy": Gpu(HEAVY), "fast": Gpu(FAST, 32607, "12.0")}


@pytest.mark.parametrize(
    "option",
    ["heavy", "heavy=0", f"={HEAVY}", f"heavy={HEAVY},many", f"heavy={HEAVY},1,12.0,x"],
)
def test_a_card_that_is_not_named_right_shows_the_form(option: str) -> None:
    with pytest.raises(UsageError, match="NAME=UUID") as raised:
        parse_gpus([option])

    assert raised.value.hint.startswith("nvidia-smi ")


def test_a_card_is_said_once() -> None:
    with pytest.raises(UsageError, match="a name of its own"):
        parse_gpus([f"heavy={HEAVY}", f"heavy={FAST}"])


@pytest.mark.parametrize(
    ("site", "gpus", "said"),
    [
        ("fakoli-dark", {"heavy": Gpu(HEAVY)}, "needs --gpu fast=UUID$"),
        ("single-gpu", {"gpu": Gpu(HEAVY)}, "needs --gpu gpu=UUID,MIB,CAPABILITY$"),
        ("fakoli-dark", {"main": Gpu(HEAVY)}, "has no GPU 'main'; it has: fast, heavy"),
        ("cpu", {"heavy": Gpu(HEAVY)}, "has no GPU 'heavy'; it has: none"),
    ],
)
def test_a_site_says_which_card_it_lacks(
    tmp_path: Path, site: str, gpus: dict[str, Gpu], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        write(tmp_path, site, Choices(platform="linux", gpus=gpus))

    assert not (tmp_path / "anvil.toml").exists()


def test_a_site_for_gpus_has_no_platform_of_its_own(tmp_path: Path) -> None:
    gpus = {"heavy": Gpu(HEAVY), "fast": Gpu(FAST)}

    with pytest.raises(UsageError, match="needs --platform linux or --platform wsl2"):
        write(tmp_path, "fakoli-dark", Choices(gpus=gpus))


def test_a_platform_is_one_of_two() -> None:
    assert parse_platform(None) is None
    assert parse_platform("wsl2") == "wsl2"
    with pytest.raises(UsageError, match="'mac' is not a platform; platforms: linux, wsl2"):
        parse_platform("mac")
