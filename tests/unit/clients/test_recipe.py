from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from anvil_ctl.clients import recipe as recipes
from anvil_ctl.clients.facts import Facts
from anvil_ctl.errors import ConfigError, UsageError
from anvil_ctl.paths import bundle

TEMPLATES = bundle() / "templates"
NAMES = recipes.names(TEMPLATES)
TOKEN = 't0ken\'with $trange "characters"'
FACTS = Facts(
    url="http://127.0.0.1:8000",
    model="chat",
    presets={"chat": 131072, "a.long": 262144},
    token=TOKEN,
    token_command="env ANVIL_HOME='/a b' anvil-ctl connect token",
)


def read(name: str) -> recipes.Recipe:
    return recipes.read(TEMPLATES, name, FACTS)


def test_every_client_of_the_product_has_a_recipe() -> None:
    wanted = {"claude-code", "codex", "openai", "anthropic", "aider", "openclaw", "env", "token"}

    assert wanted <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_only_the_recipes_that_are_for_it_print_the_token(name: str) -> None:
    shown = str(read(name)) + json.dumps(read(name).model_dump(mode="json"))

    assert (TOKEN in shown or json.dumps(TOKEN)[1:-1] in shown) == (name in {"env", "token"})


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"env", "token"}))
def test_a_recipe_names_the_model_its_window_and_whose_window_it_is(name: str) -> None:
    shown = str(read(name))

    assert "chat" in shown
    assert "131072" in shown
    assert FACTS.told in shown


def test_the_variables_survive_a_shell() -> None:
    script = f'{read("env")}\nprintf %s "$OPENAI_API_KEY|$ANTHROPIC_BASE_URL"'

    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == f"{TOKEN}|http://127.0.0.1:8000"


def test_claude_code_gets_its_token_from_a_command() -> None:
    settings = read("claude-code").settings

    assert settings is not None
    assert settings.values["apiKeyHelper"] == FACTS.token_command
    assert shlex.split(FACTS.token_command)[-2:] == ["connect", "token"]
    env = settings.values["env"]
    assert isinstance(env, dict)
    assert env["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:8000"
    assert env["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "131072"
    assert all(isinstance(each, str) for each in env.values())


def test_claude_code_is_told_of_a_window_that_is_too_small_for_it() -> None:
    small = Facts(FACTS.url, "chat", {"chat": 2048}, TOKEN, "x")

    assert "That is little" in str(recipes.read(TEMPLATES, "claude-code", small))
    assert "That is little" not in str(read("claude-code"))


def test_codex_is_given_toml_and_a_command_that_prints_the_token() -> None:
    shown = str(read("codex"))

    values = tomllib.loads(shown[shown.index("model =") :])
    provider = values["model_providers"][values["model_provider"]]
    assert values["model_context_window"] == 131072
    assert provider["base_url"] == "http://127.0.0.1:8000/v1"
    assert provider["wire_api"] == "responses"
    assert [provider["auth"]["command"], *provider["auth"]["args"]] == [
        "sh",
        "-c",
        FACTS.token_command,
    ]


def test_codex_is_told_of_a_window_that_is_too_small_for_it() -> None:
    small = Facts(FACTS.url, "chat", {"chat": 2048}, TOKEN, "x")

    assert "That is little" in str(recipes.read(TEMPLATES, "codex", small))
    assert "That is little" not in str(read("codex"))


def test_each_preset_has_its_own_window_where_a_client_lists_models() -> None:
    aider, openclaw = read("aider").settings, read("openclaw").settings

    assert aider is not None
    assert openclaw is not None
    assert {k: v["max_input_tokens"] for k, v in aider.values.items() if isinstance(v, dict)} == {
        "openai/chat": 131072,
        "openai/a.long": 262144,
    }
    assert '"contextWindow": 262144' in json.dumps(openclaw.values)
    assert '"apiKey": "${ANVIL_API_KEY}"' in json.dumps(openclaw.values)


def test_a_client_is_added_by_a_file_and_nothing_else(tmp_path: Path) -> None:
    shutil.copytree(TEMPLATES, tmp_path / "templates")
    (tmp_path / "templates" / "clients" / "new.toml.j2").write_text(
        'title = "a new one"\ntext = "ask {{ facts.model }} at {{ facts.url }}"\n',
        encoding="utf-8",
    )

    assert "new" in recipes.names(tmp_path / "templates")
    assert str(recipes.read(tmp_path / "templates", "new", FACTS)) == (
        "ask chat at http://127.0.0.1:8000"
    )


def test_a_recipe_that_is_wrong_is_named_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "clients" / "new.toml.j2"
    path.parent.mkdir()
    path.write_text("title = {{ facts.nothing }}\n", encoding="utf-8")

    with pytest.raises(ConfigError, match=re.escape(str(path))):
        recipes.read(tmp_path, "new", FACTS)


def test_a_client_without_a_recipe_is_answered_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'codex'.*clients: aider, "):
        read("codx")
