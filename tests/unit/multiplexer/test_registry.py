from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from anvil_ctl.errors import ConfigError
from anvil_ctl.multiplexer.registry import load, parse

GOOD = {
    "name": "smollm2-long",
    "tier": "flex-long",
    "role": "cpu",
    "container": "anvil-flexibility-flex-long-1",
    "url": "http://flex-long:8080",
    "health_path": "/health",
    "models_path": "/v1/models",
    "start_timeout_s": 120,
    "stop_timeout_s": 10,
    "drain_timeout_s": 30,
    "load_estimate_s": 3,
}


def said(*rows: object, version: object = 1) -> bytes:
    return json.dumps({"version": version, "mode": "flexibility", "models": rows}).encode()


def test_a_registry_is_read_with_its_digest(tmp_path: Path) -> None:
    file = tmp_path / "registry.json"
    file.write_bytes(said(GOOD))

    registry = load(file)

    assert registry.mode == "flexibility"
    assert registry.models[0].container == "anvil-flexibility-flex-long-1"
    assert registry.models[0].start_timeout_s == 120
    assert registry.digest == hashlib.sha256(file.read_bytes()).hexdigest()


def test_no_models_at_all_is_a_registry() -> None:
    assert parse(said(), "r.json").models == ()


def test_times_that_are_not_given_have_defaults() -> None:
    needed = {key: GOOD[key] for key in ("name", "tier", "role", "container", "url")}

    model = parse(said(needed), "r.json").models[0]

    assert (model.drain_timeout_s, model.health_path) == (30.0, "/health")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**GOOD, "name": ""}, "row 2, key name: expected `str` of length >= 1"),
        ({**GOOD, "role": 7}, "row 2 (smollm2-long), key role: expected `str`, got `int`"),
        ({**GOOD, "start_timeout_s": 0}, "row 2 (smollm2-long), key start_timeout_s: expected"),
        ({**GOOD, "stop_timeout_s": -1}, "row 2 (smollm2-long), key stop_timeout_s: expected"),
        ({**GOOD, "health_path": "health"}, "row 2 (smollm2-long), key health_path: expected"),
        ({**GOOD, "gpu": 0}, "row 2 (smollm2-long), key gpu: object contains unknown field"),
        (
            {key: value for key, value in GOOD.items() if key != "url"},
            "row 2 (smollm2-long), key url: object missing required field",
        ),
        ({**GOOD, "url": "flex:8080"}, "row 2 (smollm2-long), key url: 'flex:8080' is not"),
        ({**GOOD, "container": "../x"}, "row 2 (smollm2-long), key container: '../x' is no"),
        ({**GOOD, "container": "deadbeef"}, "row 2 (smollm2-long), key container: 'deadbeef'"),
        ("a string", "row 2: expected `object`, got `str`"),
        (GOOD, "row 2, key name: 'smollm2-long' is row 1's too"),
        ({**GOOD, "name": "other"}, "row 2, key container: 'anvil-flexibility-flex-long-1' is"),
    ],
)
def test_a_wrong_row_is_named_with_its_key(row: object, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(said(GOOD, row), "r.json")

    text = refusal.value.message.replace("row 2 ()", "row 2")
    assert text.startswith("the registry r.json: ")
    assert message in text
    assert refusal.value.hint


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"{", "not JSON"),
        (b"[]", "expected `object`, got `array`"),
        (b'{"version": 1}', "key models: object missing required field `models`"),
        (b'{"version": 1, "models": {}}', "key models: expected `array`, got `object`"),
        (said(version=2), "key version: 2 is not a version this program reads"),
        (b'{"version": 1, "models": [], "mdoels": []}', "key mdoels: object contains unknown"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(raw: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(raw, "r.json")

    assert message in refusal.value.message


def test_a_missing_file_is_an_error_with_a_way_on(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read: No such file") as refusal:
        load(tmp_path / "none.json")

    assert "anvil-ctl render" in refusal.value.hint
