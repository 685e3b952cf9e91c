from __future__ import annotations

from dataclasses import replace

import pytest

from anvil_ctl.doctor.survey import Control, Survey
from tests.unit.clouds import cloudy_text
from tests.unit.doctor.surveys import found, healthy, wrong


def keyed(text: str = "", **secrets: str) -> Survey:
    """A machine that serves a definition with a cloud, with secrets beside the tokens."""
    survey = healthy(text or cloudy_text())
    known = {**survey.site.secrets, **secrets}
    return replace(survey, definition=replace(survey.site, secrets=known))


def routed(survey: Survey, *tiers: str) -> Survey:
    """The router's own word for which tiers it can ask."""
    assert isinstance(survey.router, Control)
    assert survey.router.said is not None
    said = {**survey.router.said, "tiers": [{"id": each} for each in tiers]}
    return replace(survey, router=Control(said))


def test_without_clouds_there_is_nothing_to_say() -> None:
    assert found(healthy(), "D46") == []


def test_a_cloud_with_its_key_is_right_and_the_key_is_not_shown() -> None:
    survey = routed(keyed(SONNET_KEY="s3cret-value"), "starter", "sonnet")

    (said,) = found(survey, "D46")

    assert said.ok
    assert said.observed == "sonnet: a key each, for planning"
    assert "s3cret-value" not in "".join(map(str, found(survey)))


def test_a_key_that_is_missing_is_named_with_the_line_to_write() -> None:
    (said,) = found(keyed(SONNET_KEY=" "), "D46")

    assert said.status == "warn"
    assert said.observed.startswith("cloud sonnet: SONNET_KEY is not set in /home/a/.anvil/.env")
    assert said.remedy == (
        "have a line SONNET_KEY='...' in /home/a/.anvil/.env, then: anvil-ctl up --mode agentic"
    )


@pytest.mark.parametrize("key", ["sk-\u2013dash", "two\nlines"])
def test_a_key_that_no_header_can_have_is_named_and_not_shown(key: str) -> None:
    survey = routed(keyed(SONNET_KEY=key), "starter")

    (said,) = found(survey, "D46")

    assert said.status == "warn"
    assert "SONNET_KEY in /home/a/.anvil/.env has characters that no header can" in said.observed
    assert key not in "".join(map(str, found(survey)))


def test_a_router_that_was_started_before_the_key_was_there_is_found() -> None:
    (said,) = found(routed(keyed(SONNET_KEY="k"), "starter"), "D46")

    assert said.observed.startswith("the router that runs has no key of sonnet")
    assert said.remedy == "anvil-ctl up --mode agentic"


def test_a_cloud_that_no_work_may_cost_money_for_is_said() -> None:
    (said,) = found(keyed(cloudy_text(metered=""), SONNET_KEY="k"), "D46")

    assert said.observed == "metered_cloud is empty: no cloud is ever asked"
    assert "config set router.metered_cloud" in said.remedy


def test_a_preset_that_lists_a_cloud_in_vain_is_said() -> None:
    first, second = found(keyed(cloudy_text(metered='"chat"'), SONNET_KEY="k"), "D46")

    assert first.observed.startswith("agentic: preset 'planning' never gets to sonnet")
    assert second.ok


def test_the_routers_address_of_a_cloud_is_the_definitions() -> None:
    survey = keyed(SONNET_KEY="k")
    text = survey.home.installed["router.toml"]
    assert text is not None
    elsewhere = text.replace("https://api.example.com", "https://api.example.net")
    files = {**survey.home.installed, "router.toml": elsewhere}

    assert wrong(survey, "D24") == []
    moved = replace(survey, home=replace(survey.home, installed=files))
    assert wrong(moved, "D24") == [("D24", "fail")]
