from __future__ import annotations

import pytest

from anvil_ctl.errors import UsageError
from anvil_ctl.init import Gpu, parse_gpus, parse_platform
from tests.unit.definitions import FAST, HEAVY


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


def test_a_platform_is_one_of_two() -> None:
    assert parse_platform(None) is None
    assert parse_platform("wsl2") == "wsl2"
    with pytest.raises(UsageError, match="'mac' is not a platform; platforms: linux, wsl2"):
        parse_platform("mac")


def test_a_card_keeps_more_free_unless_it_is_known_to_have_no_display() -> None:
    assert Gpu(HEAVY, 32607, display=True).budget_mib == 27999
    assert Gpu(HEAVY, 32607).budget_mib == 27999
    assert Gpu(HEAVY, 32607, display=False).budget_mib == 30559
