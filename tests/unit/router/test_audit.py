"""A decision as a line of words, which nobody can forge."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anvil_ctl.router import audit
from tests.unit.router.checked import BROKEN, SOUND, ask, newest, says, stack

LABELS = ["intent", "work_class", "served", "verify", "fell_back", "tiers", "prompt", "completion",
          "id", "ms", "mode"]  # fmt: skip
SERVED = {
    "preset": "chat", "work_class": "chat", "outcome": "served", "tier": "b",
    "failed": [["a", "CodeParses"]], "input_tokens": 7, "output_tokens": 3, "decision_id": "d1",
    "total_ms": 12.6, "mode": "agentic",
}  # fmt: skip


def test_what_was_decided_is_said_in_one_line() -> None:
    assert audit.line(SERVED) == (
        "intent=chat work_class=chat served=b verify=pass fell_back=true tiers=a>b prompt=7"
        " completion=3 id=d1 ms=13 mode=agentic"
    )


@pytest.mark.parametrize("record", [{}, dict.fromkeys(SERVED), {"tier": "", "failed": []}])
def test_what_is_missing_is_a_dash(record: dict[str, object]) -> None:
    assert audit.line(record) == (
        "intent=- work_class=- served=- verify=fail fell_back=false tiers=- prompt=-"
        " completion=- id=- ms=- mode=-"
    )


def test_an_answer_that_was_cut_was_served_by_nobody() -> None:
    said = audit.line({**SERVED, "outcome": "cut"})

    assert "served=- verify=fail fell_back=true tiers=a>b" in said


HOSTILE = st.text() | st.sampled_from(
    ["x served=a", "x\nintent=y", "a>b", "\u2028", "\x85", "\u00a0", "\x1b[2J", " ", "\r\n>"]
)


@given(st.dictionaries(st.sampled_from(sorted(SERVED)), HOSTILE), HOSTILE)
def test_no_value_can_end_its_field_or_its_line(said: dict[str, str], tier: str) -> None:
    line = audit.line({**SERVED, **said, "failed": [[tier, "x"]]})

    fields = line.split(" ")
    assert [field.split("=", 1)[0] for field in fields] == LABELS
    assert len(line.splitlines()) == 1
    assert line.split() == fields
    values = dict(field.split("=", 1) for field in fields)
    assert all(values.values())
    assert values["tiers"].count(">") == 1
    assert ">" not in "".join(value for label, value in values.items() if label != "tiers")


@pytest.mark.parametrize("on", [True, False])
async def test_a_router_says_it_where_that_is_wanted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, on: bool
) -> None:
    caplog.set_level(logging.INFO)
    keys = "[router.log]\naudit = true\n" if on else ""
    async with stack(tmp_path, says(BROKEN), says(SOUND), keys=keys) as (client, _running, _e):
        await ask(client)
        record = await newest(client)
    said = [each.getMessage() for each in caplog.records if each.name == "anvil.audit"]

    assert said == ([audit.line(record)] if on else [])
    assert "served=b verify=pass fell_back=true tiers=a>b" in audit.line(record)
