"""Clouds in what is rendered: the router's file, and the control project's keys."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from anvil_ctl import clouds
from anvil_ctl.clients.facts import windows
from anvil_ctl.docker import Socket
from anvil_ctl.errors import ConfigError
from anvil_ctl.paths import Home
from anvil_ctl.router import config as configs
from anvil_ctl.site import Site
from tests.unit.clouds import CLOUD, cloudy, cloudy_text
from tests.unit.definitions import cpu, parse, renderer

SOCKET = Socket("/var/run/docker.sock", 1)
PEM = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"


def site(folder: Path, text: str, **secrets: str) -> Site:
    return Site(Home(folder), parse(text), secrets, renderer(parse(text)), {})


@pytest.mark.parametrize("mode", ["agentic", "flexibility"])
def test_each_modes_router_is_told_of_every_cloud_by_the_name_of_its_key(mode: str) -> None:
    files = renderer(cloudy()).mode(mode)  # type: ignore[arg-type]

    loaded = configs.parse(files.router.encode(), "router.toml")

    tier = loaded.tiers[-1]
    assert (tier.id, tier.local, tier.auth_env) == ("sonnet", False, "SONNET_KEY")
    assert (tier.model, tier.dialect, tier.context_limit) == ("big-1", "anthropic", 200_000)
    assert (tier.cost_input, tier.cost_output, tier.first_byte_s) == (3, 15, 120)
    assert loaded.metered_cloud == {"planning"}
    assert loaded.warnings == ()
    # No engine's container knows of it.
    assert "sonnet" not in (files.compose + files.registry).lower()


def test_every_key_of_a_cloud_reaches_the_router() -> None:
    more = """max_output_tokens = 8000
max_tokens_field = "max_completion_tokens"
max_concurrency = 2
max_queue = 1
vision = true
answer_timeout_s = 30
extra_body = {a = 1}
extra_body_defaults = {b = 2}
"""
    text = renderer(cloudy(cloud=CLOUD + more)).mode("agentic").router

    tier = configs.parse(text.encode(), "router.toml").tiers[-1]

    assert (tier.max_output_tokens, tier.max_tokens_field) == (8000, "max_completion_tokens")
    assert (tier.max_concurrency, tier.max_queue, tier.vision) == (2, 1, True)
    assert (tier.first_byte_s, tier.extra_body, tier.extra_body_defaults) == (
        30,
        {"a": 1},
        {"b": 2},
    )


def test_keys_are_laid_over_the_router_alone_by_name(tmp_path: Path) -> None:
    found = site(tmp_path, cloudy_text(), SONNET_KEY="s3cret-value")

    control = found.control(SOCKET)

    assert control.keys is not None
    assert yaml.safe_load(control.keys) == {
        "services": {"router": {"environment": {"SONNET_KEY": "${SONNET_KEY:-}"}}}
    }
    assert "s3cret-value" not in control.keys + control.env + control.guard_list


def test_another_set_of_keys_is_another_control_project(tmp_path: Path) -> None:
    text = cloudy_text()
    same = text.replace("big-1", "big-2")
    other = text.replace("SONNET_KEY", "OTHER_KEY")
    hashes = [site(tmp_path, each, K="1").control(SOCKET).hash for each in (text, same, other)]

    assert hashes[0] == hashes[1] != hashes[2]
    assert site(tmp_path, text, K="2").control(SOCKET).hash != hashes[0]


def test_what_is_no_longer_wanted_leaves_the_control_projects_folder(tmp_path: Path) -> None:
    (tmp_path / "own.pem").write_text(PEM, encoding="ascii")
    with_ca = cloudy_text().replace("[router]\n", '[router]\nca_file = "own.pem"\n')
    found = site(tmp_path, with_ca)
    found.install(found.renderer.mode("agentic"), found.control(SOCKET))
    inside = found.control_folder / "control" / "ca.pem"

    assert inside.read_text(encoding="ascii") == PEM
    assert 'ca_file = "/etc/anvil/control/ca.pem"' in found.renderer.mode("agentic").router
    assert "SONNET_KEY" in found.control_keys.read_text(encoding="utf-8")

    plain = Site(Home(tmp_path), cpu(), {}, renderer(cpu()), {})
    plain.install(plain.renderer.mode("agentic"), plain.control(SOCKET))
    assert not inside.exists()
    assert not found.control_keys.exists()


def test_a_file_of_certificates_is_looked_at_before_a_router_is_given_it(tmp_path: Path) -> None:
    text = cloudy_text().replace("[router]\n", '[router]\nca_file = "own.pem"\n')
    with pytest.raises(ConfigError, match=r"own\.pem cannot be read: No such file"):
        site(tmp_path, text).control(SOCKET)

    (tmp_path / "own.pem").write_text(PEM, encoding="ascii")
    plain = site(tmp_path, cloudy_text()).control(SOCKET).hash
    assert site(tmp_path, text).control(SOCKET).hash != plain


@pytest.mark.parametrize(
    ("text", "words"),
    [("hello", "no certificate"), (PEM + "-----BEGIN PRIVATE KEY-----", "a private key")],
)
def test_what_is_no_certificate_is_never_copied(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        clouds.authorities(text, "own.pem")


def test_a_preset_has_the_window_of_a_cloud_that_may_answer_it() -> None:
    assert windows(cloudy())["planning"] == 200_000
    assert windows(cloudy(metered='"chat"'), "agentic")["planning"] == 8192
