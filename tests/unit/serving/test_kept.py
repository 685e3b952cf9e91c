"""A hold that outlives the process that held."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from anvil_ctl.serving.hold import Hold
from anvil_ctl.serving.kept import resume


async def test_who_starts_in_the_middle_of_a_hold_holds(tmp_path: Path) -> None:
    hold, path = Hold(), tmp_path / "hold.json"
    said = {"reason": "changing to b", "until": time.time() + 60, "expected_s": 9.0}
    path.write_text(json.dumps(said))

    resume(hold, path)

    assert (hold.held, hold.reason) == (True, "changing to b")
    assert hold.expected_s == pytest.approx(9.0, abs=1)
    hold.release()


@pytest.mark.parametrize("text", [None, "{", '{"until": 1}', '{"reason": "old", "until": 1.5}'])
async def test_without_one_that_is_meant_for_now_nobody_is_held(
    tmp_path: Path, text: str | None
) -> None:
    hold, path = Hold(), tmp_path / "hold.json"
    if text is not None:
        path.write_text(text)

    resume(hold, path)

    assert not hold.held
