"""decisions metrics as a user meets it: a file in, a table or JSON out, and an exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.test_main import run

GOOD = {"work_class": "chat", "tier": "a", "status": 200, "privacy": "local", "input_tokens": 7,
        "output_tokens": 3, "mode": "agentic"}  # fmt: skip


def log(folder: Path, *records: dict[str, object]) -> str:
    path = folder / "window.jsonl"
    path.write_text("".join(f"{json.dumps(each)}\n" for each in records), encoding="utf-8")
    return str(path)


def test_a_window_without_faults_passes(tmp_path: Path) -> None:
    done = run("decisions", "metrics", log(tmp_path, GOOD, GOOD), "--json")

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["gate_passed"] is True
    assert said["overall"]["cloud_tokens_saved"] == 20
    assert said["modes"] == ["agentic"]


def test_a_breach_ends_with_1_and_names_the_class(tmp_path: Path) -> None:
    wrong = {**GOOD, "ground_truth": "fail"}
    done = run("decisions", "metrics", log(tmp_path, GOOD, wrong))

    assert done.returncode == 1
    assert "chat: at or over the threshold of 1.00%" in done.stdout
    assert "50.00%" in done.stdout
    allowed = run("decisions", "metrics", log(tmp_path, GOOD, wrong), "--threshold", "0.6")
    assert allowed.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["missing.jsonl"], "cannot read missing.jsonl"),
     (["broken.jsonl"], "broken.jsonl: line 2 is no decision"),
     (["good.jsonl", "--threshold", "2"], "it must be from 0 to 1")],
)  # fmt: skip
def test_what_cannot_be_read_or_meant_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.jsonl").write_text("{}\n{", encoding="utf-8")
    (tmp_path / "good.jsonl").write_text("{}\n", encoding="utf-8")
    done = run("decisions", "metrics", *arguments)

    assert done.returncode == 2
    assert said in done.stderr


def test_without_a_file_the_live_router_is_asked() -> None:
    assert run("init", "--site", "cpu").returncode == 0
    done = run("decisions", "metrics")

    assert done.returncode == 2
    assert "the router does not answer" in done.stderr
