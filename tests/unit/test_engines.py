from __future__ import annotations

import re
from pathlib import Path

import pytest

from anvil_ctl import engines
from anvil_ctl.errors import ConfigError
from anvil_ctl.paths import bundle

ENGINES = bundle() / "engines"


def test_every_flag_of_our_own_argument_lists_is_one_that_the_engine_has() -> None:
    for engine in engines.load_all(bundle() / "engines").values():
        flags = [part for group in engine.file.args for part in group if part.startswith("-")]
        assert engine.unknown_flags(flags) == []


def test_an_unknown_flag_is_found_and_a_negative_number_is_none() -> None:
    engine = engines.load_all(bundle() / "engines")["llamacpp"]

    assert engine.unknown_flags(["--ctx-size", "-1", "--radix", "--alias=x"]) == ["--radix"]


@pytest.mark.parametrize("name", sorted(each.parent.name for each in ENGINES.glob("*/engine.toml")))
def test_a_folder_says_which_version_is_known_to_be_good(name: str) -> None:
    engine = engines.load_all(ENGINES)[name]
    readme = (ENGINES / name / "README.md").read_text(encoding="utf-8")

    assert f"Known good: **{engine.file.version}**" in " ".join(readme.split()).replace(
        "Known good: commit ", "Known good: "
    )
    assert set(re.findall(r"^\| `(\w+)` \|", readme, re.MULTILINE)) == set(engine.file.images)


@pytest.mark.parametrize(
    ("line", "said"),
    [("port = 0", "port"), ("prt = 1", "port: Field required"), ("port = = 1", "engine.toml")],
)
def test_a_mistake_names_the_file_and_the_key(tmp_path: Path, line: str, said: str) -> None:
    original = bundle() / "engines" / "llamacpp" / "engine.toml"
    folder = tmp_path / "wrong"
    folder.mkdir()
    text = original.read_text(encoding="utf-8").replace("port = 8080", line, 1)
    (folder / "engine.toml").write_text(text, encoding="utf-8")
    (folder / "flags.txt").write_text("", encoding="utf-8")

    with pytest.raises(ConfigError) as raised:
        engines.load_all(tmp_path)

    assert "engine.toml" in raised.value.message
    assert said in raised.value.message
