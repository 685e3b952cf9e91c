"""A window of decisions added up: what local tiers took on, and what of it was wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anvil_ctl import acceptance
from anvil_ctl.acceptance import Record, Report, report
from anvil_ctl.errors import UsageError


def local(work: str | None = "chat", **more: object) -> Record:
    said = {"work_class": work, "tier": "a", "status": 200, "privacy": "local", **more}
    return next(iter(acceptance.read([json.dumps(said).encode()], "log")))


def counted(*records: Record, threshold: float = 0.01) -> Report:
    return report(records, threshold)


def test_the_classes_and_all_together_are_counted() -> None:
    found = counted(
        local(input_tokens=10, output_tokens=5, cost_usd=0.25, mode="agentic"),
        local(input_tokens=7, mode="flexibility"),
        local("review", privacy="cloud", input_tokens=100, output_tokens=100, cost_usd=2.0),
        local(None, status=503, tier=None, privacy=None),
    )

    assert list(found.classes) == ["(unclassified)", "chat", "review"]
    chat = found.classes["chat"]
    assert (chat.total, chat.accepted_local, chat.accept_rate) == (2, 2, 1.0)
    assert (chat.cloud_tokens_saved, chat.cost_usd) == (22, 0.25)
    assert found.classes["review"].cloud_tokens_saved == 0
    assert (found.overall.total, found.overall.accepted_local) == (4, 2)
    assert (found.overall.accept_rate, found.overall.cost_usd) == (0.5, 2.25)
    assert found.modes == ("agentic", "flexibility")
    assert found.gate_passed


@pytest.mark.parametrize(
    "said",
    [{"privacy": None}, {"privacy": "cloud"}, {"tier": None}, {"status": 503}, {"cut": True},
     {"cancelled": True}],
)  # fmt: skip
def test_only_a_whole_answer_of_a_local_tier_was_accepted(said: dict[str, Any]) -> None:
    found = counted(local(**said, ground_truth="fail", silent_failure=True)).overall

    assert (found.accepted_local, found.silent_failures) == (0, 0)
    # Nobody was answered by a local tier, so no share of them was answered wrongly.
    assert found.silent_failure_rate == 0.0


@pytest.mark.parametrize(
    ("said", "wrong"),
    [({}, 0), ({"ground_truth": "pass"}, 0), ({"ground_truth": "fail"}, 1),
     ({"silent_failure": True}, 1), ({"silent_failure": False, "ground_truth": "fail"}, 0),
     ({"silent_failure": True, "ground_truth": "pass"}, 1)],
)  # fmt: skip
def test_an_answer_was_wrong_where_somebody_says_so(said: dict[str, Any], wrong: int) -> None:
    assert counted(local(**said)).overall.silent_failures == wrong


def test_a_share_at_the_threshold_is_a_breach_of_its_class_and_one_below_is_none() -> None:
    bad = [local("review", silent_failure=True), *[local("review")] * 9]
    good = [local("chat")] * 90

    assert counted(*bad, *good, threshold=0.1).breaches == ("review",)
    assert counted(*bad, *good, threshold=0.01).breaches == ("review", "overall")
    assert counted(*bad, *good, threshold=0.11).gate_passed


RECORDS = st.builds(
    Record,
    work_class=st.sampled_from([None, "chat", "review"]),
    tier=st.sampled_from([None, "a"]),
    status=st.sampled_from([200, 503]),
    privacy=st.sampled_from([None, "local", "cloud"]),
    input_tokens=st.none() | st.integers(0, 100),
    output_tokens=st.none() | st.integers(0, 100),
    cost_usd=st.floats(0, 10),
    mode=st.sampled_from([None, "agentic", "flexibility"]),
    cut=st.booleans(),
    ground_truth=st.sampled_from([None, "pass", "fail"]),
    silent_failure=st.sampled_from([None, True, False]),
)


@given(st.lists(RECORDS, max_size=30), st.floats(0, 1), st.randoms())
def test_classes_add_up_to_all_and_the_order_of_lines_changes_nothing(
    records: list[Record], threshold: float, random: object
) -> None:
    found = report(records, threshold)
    for name in ("total", "accepted_local", "silent_failures", "cloud_tokens_saved"):
        parts = [getattr(group, name) for group in found.classes.values()]
        assert sum(parts) == getattr(found.overall, name)
    groups = {**found.classes, "overall": found.overall}
    for name, group in groups.items():
        assert 0 <= group.silent_failures <= group.accepted_local <= group.total
        assert (name in found.breaches) is (group.silent_failure_rate >= threshold)
    shuffled = sorted(records, key=lambda _each: random.random())  # type: ignore[attr-defined]
    assert json.dumps(report(shuffled, threshold).as_json()) == json.dumps(found.as_json())


def test_the_report_names_its_schema_and_its_gate() -> None:
    said = counted(local(silent_failure=True)).as_json()

    assert (said["schema"], said["gate_passed"], said["threshold"]) == (
        "anvil-ctl.decisions/1",
        False,
        0.01,
    )
    assert json.loads(json.dumps(said))["breaches"] == ["chat", "overall"]


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"status": "200"}', b"\xff", b'{"cost_usd": []}'])
def test_a_line_that_is_no_decision_is_named_by_its_number(line: bytes) -> None:
    with pytest.raises(UsageError, match=r"log: line 3 is no decision"):
        list(acceptance.read([b"{}", b"", line], "log"))


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_threshold_is_a_share(value: float) -> None:
    with pytest.raises(UsageError, match="from 0 to 1"):
        acceptance.threshold_of(value)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_every_share_can_be_one(value: float) -> None:
    assert acceptance.threshold_of(value) == value


def test_the_table_has_a_row_for_each_class_and_one_for_all() -> None:
    rows: Iterable[tuple[str, ...]] = counted(local(), local("review")).rows()

    assert [row[0] for row in rows] == ["chat", "review", "overall"]
    assert {len(row) for row in counted(local()).rows()} == {len(acceptance.HEADS)}
