from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from anvil_ctl.doctor.checks import CHECKS
from anvil_ctl.doctor.fix import Fix, fixes
from anvil_ctl.doctor.report import examine
from anvil_ctl.doctor.survey import Survey
from anvil_ctl.paths import Home
from tests.unit.doctor.surveys import healthy, with_container


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path)
    found.secrets.write_text("ANVIL_ROUTER_TOKEN='kept'\n", encoding="utf-8")
    found.secrets.chmod(0o644)
    return found


def offered(survey: Survey, home: Home) -> list[Fix]:
    return list(fixes(survey, examine(survey, CHECKS), home))


def at(survey: Survey, home: Home) -> Survey:
    """The survey, of an installation in that folder."""
    return replace(survey, definition=replace(survey.site, home=home))


def test_nothing_is_offered_where_nothing_is_wrong(home: Home) -> None:
    assert offered(healthy(), home) == []


def test_secrets_are_made_private(home: Home) -> None:
    (fix,) = offered(replace(healthy(), home=replace(healthy().home, secrets_mode=0o644)), home)

    fix.act()

    assert fix.says == f"chmod 600 {home.secrets}"
    assert home.secrets.stat().st_mode & 0o777 == 0o600


def test_a_token_that_is_missing_is_made_and_the_others_stay(home: Home) -> None:
    site = replace(healthy().site, secrets={"ANVIL_ROUTER_TOKEN": "kept"})
    (fix,) = offered(replace(healthy(), definition=site), home)

    fix.act()

    text = home.secrets.read_text(encoding="utf-8")
    assert fix.says == f"write ANVIL_ADMIN_TOKEN to {home.secrets}"
    assert "ANVIL_ROUTER_TOKEN='kept'" in text
    assert "ANVIL_ADMIN_TOKEN='" in text


def test_a_compose_file_that_is_stale_is_rendered(home: Home) -> None:
    survey = at(healthy(), home)
    stale = replace(survey.home, installed={**survey.home.installed, "compose.yaml": "name: old\n"})
    (fix,) = offered(replace(survey, home=stale), home)

    fix.act()

    path = home.rendered / "anvil-agentic" / "compose.yaml"
    assert path.read_text(encoding="utf-8") == survey.home.installed["compose.yaml"]


def test_the_weights_volume_is_offered_where_it_is_missing(home: Home) -> None:
    offers = offered(replace(healthy(), volumes={}), home)

    assert [each.says for each in offers] == ["docker volume create fakoli-models"]


def test_containers_are_left_to_up_and_recover(home: Home) -> None:
    assert offered(with_container(healthy(), "starter-1", status="exited"), home) == []
