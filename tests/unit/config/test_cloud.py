from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from anvil_ctl.config.change import change
from anvil_ctl.config.show import effective
from anvil_ctl.errors import ConfigError, UsageError
from anvil_ctl.router.judgement.work import Work
from tests.unit.clouds import CLOUD, cloudy, cloudy_text
from tests.unit.definitions import cpu, parse


def test_a_definition_has_no_cloud_unless_it_names_one() -> None:
    assert (cpu().clouds, cpu().router.metered_cloud, cpu().cloud_keys) == ([], [], ())


def test_a_preset_lists_a_cloud_beside_its_tiers() -> None:
    found = cloudy()

    (cloud,) = found.clouds
    assert (cloud.id, cloud.dialect, cloud.cost_out) == ("sonnet", "anthropic", 15)
    assert found.router.metered_cloud == [Work.PLANNING]
    assert found.cloud_keys == ("SONNET_KEY",)
    assert found.modes["flexibility"].presets["planning"] == ["quick", "sonnet"]
    assert [found.idle_clouds(mode) for mode in found.modes] == [[], []]


def said(text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        parse(text)
    return raised.value.message


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"sonnet"\nbase', '"starter"\nbase', "clouds: 'starter' is a tier of agentic too: give"),
        ('id = "sonnet"\nbase', 'id = "smollm2-135m-long"\nbase', "is a tier of flexibility too"),
        ('id = "sonnet"\nbase', 'id = "sonet"\nbase', "names tier 'sonnet'; tiers here: starter"),
        ('["planning"]', '["plannig"]', "'plannig' is no class of work; did you mean 'planning'?"),
        ('["planning"]', '["quick-edit"]', "classes: chat, chat-fast, bounded-edit"),
        ("https://api", "http://api", "clouds.0.base_url: http:// would send the key in clear"),
        ("https://api.example.com", "https://127.0.0.1:1", "127.0.0.1 is the router's own contain"),
        ("https://api.example.com", "http://localhost", "localhost is the router's own container"),
        ("https://api.example.com", "http://8.8.8.8", "http:// would send the key in clear"),
        ("https://api.example.com", "file:///etc/passwd", "must be an https:// URL"),
        ("https://api.example.com", "https://me:x@h", "must be an https:// URL"),
        ('"SONNET_KEY"', '"ANVIL_ROUTER_TOKEN"', "ANVIL_ROUTER_TOKEN opens something else"),
        ('"SONNET_KEY"', '"HF_TOKEN"', "HF_TOKEN opens something else"),
        ('"SONNET_KEY"', '"sonnet-key"', "clouds.0.key_env: "),
        ("cost_in = 3", "cost_in = -1", "clouds.0.cost_in: "),
        ("cost_in = 3", "cost_in = nan", "clouds.0.cost_in: "),
        ("cost_in = 3", "cost = 3", "clouds.0.cost: unknown key; did you mean 'cost_"),
        ("context_limit = 200000\n", "", "clouds.0.context_limit: required, and absent"),
    ],
)
def test_what_is_wrong_of_a_cloud_is_said_in_a_line(before: str, after: str, words: str) -> None:
    text = cloudy_text()
    assert text.count(before) == 1

    assert words in said(text.replace(before, after))


def test_two_clouds_have_two_ids() -> None:
    assert "clouds: two of them have id 'sonnet'" in said(cloudy_text(cloud=CLOUD + CLOUD))


@pytest.mark.parametrize("key", ["AKIAABCDEFGHIJKLMNOP", "sk-abcdefghijklmnopqrst"])
def test_a_key_in_the_place_of_its_variables_name_is_refused(key: str) -> None:
    assert "clouds.0.key_env" in said(cloudy_text().replace("SONNET_KEY", key))


def test_a_token_anywhere_in_a_cloud_is_refused_and_not_repeated() -> None:
    token = "sk-" + "a" * 30
    extra = f'extra_body = {{key = "{token}"}}\n'

    refused = said(cloudy_text(cloud=CLOUD + extra))

    assert "extra_body holds what looks like a token" in refused
    assert token not in refused


@pytest.mark.parametrize("host", ["172.17.0.1:4000", "192.168.1.9", "host.docker.internal:4000"])
def test_a_service_of_the_own_network_may_do_without_tls(host: str) -> None:
    text = cloudy_text().replace("https://api.example.com", f"http://{host}")

    assert parse(text).clouds[0].base_url == f"http://{host}"


def test_a_preset_that_lists_a_cloud_in_vain_is_told() -> None:
    (told,) = cloudy(metered='"chat"').idle_clouds("agentic")
    text = cloudy_text().replace("planning = [", "yolo = [")

    assert told == "preset 'planning' never gets to sonnet: metered_cloud does not list 'planning'"
    (own,) = parse(text).idle_clouds("agentic")
    assert "preset 'yolo' never gets to sonnet: a preset of your own has no class of work" in own


def test_a_preset_may_be_made_of_clouds_alone_where_they_may_answer_it() -> None:
    assert cloudy(planning='"sonnet"').modes["agentic"].presets["planning"] == ["sonnet"]
    assert (
        "modes.agentic: preset 'planning' lists clouds alone, and metered_cloud does not list"
        in (said(cloudy_text(metered="", planning='"sonnet"')))
    )


def test_keys_of_a_cloud_are_read_and_set_by_its_id(tmp_path: Path) -> None:
    path = tmp_path / "anvil.toml"
    path.write_text(cloudy_text(), encoding="utf-8")

    change(path, "clouds.sonnet.model", "big-2", {})
    change(path, "router.metered_cloud", '["planning", "review"]', {})

    written = tomllib.loads(path.read_text(encoding="utf-8"))
    assert written["clouds"][0]["model"] == "big-2"
    assert written["router"]["metered_cloud"] == ["planning", "review"]
    with pytest.raises(UsageError, match=r"metered_cloud: 'planing' is no .* you mean 'planning'"):
        change(path, "router.metered_cloud", '["planing"]', {})


def test_a_shown_definition_has_its_clouds() -> None:
    shown = effective(cloudy())

    assert shown["clouds"] == [
        {
            "id": "sonnet",
            "base_url": "https://api.example.com",
            "dialect": "anthropic",
            "model": "big-1",
            "key_env": "SONNET_KEY",
            "context_limit": 200000,
            "tool_support": True,
            "vision": False,
            "extra_body": {},
            "extra_body_defaults": {},
            "cost_in": 3.0,
            "cost_out": 15.0,
            "answer_timeout_s": 120.0,
        }
    ]
