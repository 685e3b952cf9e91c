"""Records on disk: bounded, private, and never in a request's way."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from anvil_ctl.router.decision_log import DecisionLog, LogFile


def lines(path: Path) -> list[int]:
    return [json.loads(line)["n"] for line in path.read_text().splitlines()]


async def test_what_was_added_is_there_after_closing(tmp_path: Path) -> None:
    path = tmp_path / "state" / "decisions.jsonl"
    log = DecisionLog(LogFile(path, max_bytes=1000, keep=2))
    for number in range(3):
        log.add(b'{"n": %d}' % number)
    await log.close()

    assert lines(path) == [0, 1, 2]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_full_file_becomes_number_one_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    file = LogFile(path, max_bytes=20, keep=2)
    for number in range(8):
        file.append(b'{"n":%d}\n' % number)

    assert sorted(each.name for each in tmp_path.iterdir()) == ["d.jsonl", "d.jsonl.1", "d.jsonl.2"]
    assert lines(path) == [6, 7]
    assert lines(tmp_path / "d.jsonl.1") == [4, 5]
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) <= 60


def test_no_old_file_is_kept_where_none_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    file = LogFile(path, max_bytes=10, keep=0)
    file.append(b'{"n":1}\n')
    file.append(b'{"n":2}\n')

    assert [each.name for each in tmp_path.iterdir()] == ["d.jsonl"]
    assert lines(path) == [2]


async def test_what_comes_after_closing_is_lost_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    log = DecisionLog(LogFile(path, max_bytes=1000, keep=2))
    log.add(b'{"n": 0}')
    await log.close()
    log.add(b'{"n": 1}')
    await log.close()

    assert lines(path) == [0]
    assert log.dropped == 1


async def test_a_disk_that_takes_nothing_loses_records_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").mkdir()
    log = DecisionLog(LogFile(tmp_path / "d.jsonl", max_bytes=1_000_000, keep=2))
    log.add(b'{"n": 1}')
    await log.close()

    assert log.dropped == 1


async def test_more_than_the_disk_takes_is_dropped_and_counted(tmp_path: Path) -> None:
    log = DecisionLog(LogFile(tmp_path / "d.jsonl", max_bytes=10_000_000, keep=2))
    for number in range(10_005):
        log.add(b'{"n": %d}' % number)
    await log.close()

    assert log.dropped == 5
    assert len(lines(tmp_path / "d.jsonl")) == 10_000
