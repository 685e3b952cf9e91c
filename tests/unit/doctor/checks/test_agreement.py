from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from anvil_ctl.docker_look import Seen
from anvil_ctl.doctor.survey import Control, EngineSeen, JournalSeen, Survey
from anvil_ctl.errors import ConfigError
from tests.unit.definitions import cpu_text
from tests.unit.doctor.surveys import engines, found, healthy, reference, with_container, wrong


def with_files(survey: Survey, **texts: str | None) -> Survey:
    named = {name.replace("_", "."): text for name, text in texts.items()}
    return replace(survey, home=replace(survey.home, installed={**survey.home.installed, **named}))


def with_engine(survey: Survey, tier: str, seen: EngineSeen) -> Survey:
    assert isinstance(survey.engines, Mapping)
    return replace(survey, engines={**survey.engines, tier: seen})


def said(survey: Survey, check: str) -> str:
    (only,) = [each for each in found(survey, check) if not each.ok]
    return str(only)


def test_what_compose_refuses_is_said() -> None:
    assert "additional property" in said(replace(healthy(), refused="additional property x"), "D20")


def test_a_refusal_is_shown_by_one_check_and_unknown_to_the_others() -> None:
    error = ConfigError("context_limit 9 is over window 8", hint="lower it", rule="A08")
    survey = replace(healthy(), definition=error)

    assert [each.id for each in found(survey) if each.blocks] == ["D23"]
    assert wrong(survey, "D20") == [("D20", "unknown")]


def test_an_edit_that_is_not_applied_is_a_warning_with_what_applies_it() -> None:
    stale = with_files(healthy(), compose_yaml="name: old\n")
    other = replace(stale, home=replace(stale.home, installed={"compose.yaml": "name: old\n"}))

    assert "anvil-ctl up --mode agentic" in said(stale, "D21")
    assert said(other, "D21").endswith("anvil-ctl render --diff; anvil-ctl render")


def test_a_mode_that_was_never_rendered_is_only_said() -> None:
    assert wrong(with_files(healthy(), compose_yaml=None), "D21") == [("D21", "info")]


def test_an_engine_that_serves_another_name_is_found() -> None:
    survey = with_engine(healthy(), "starter", EngineSeen(200, ("other",)))

    assert said(survey, "D22").startswith("tier starter serves other")


def test_an_engine_that_takes_less_than_the_router_lets_through_is_found() -> None:
    survey = with_engine(reference(), "fast-local", EngineSeen(200, ("gpt-oss-20b",), 16384))

    assert "set context_limit = 16384" in said(survey, "D23")


def test_a_router_config_of_other_addresses_is_found() -> None:
    text = healthy().home.installed["router.toml"] or ""
    survey = with_files(healthy(), router_toml=text.replace("starter:8080", "starter:9999"))

    assert "starter at http://starter:9999" in said(survey, "D24")


def test_a_container_name_of_another_installation_is_found() -> None:
    (name,) = [each.name for each in engines(healthy().site, "agentic")]
    labels = {"com.docker.compose.project.working_dir": "/home/b"}
    survey = replace(healthy(), containers=(Seen(name, "i", "exited", labels=labels),))

    assert "belongs to /home/b" in said(survey, "D28")


def test_containers_that_another_installation_made_are_found() -> None:
    folder = "com.docker.compose.project.working_dir"
    labels = engines(healthy().site, "agentic")[0].labels
    theirs = {**labels, folder: "/home/b/.anvil/rendered/anvil-agentic"}
    own = {**labels, folder: "/home/a/.anvil/rendered/anvil-agentic"}

    assert wrong(with_container(healthy(), "starter-1", labels=own), "D28") == []
    assert "/home/b/.anvil" in said(with_container(healthy(), "starter-1", labels=theirs), "D28")


def test_two_modes_that_are_partly_there_need_recover() -> None:
    both = (*engines(healthy().site, "agentic"), *engines(healthy().site, "flexibility"))

    assert said(replace(healthy(), containers=both), "D30").endswith("next: anvil-ctl recover")


def test_a_mode_that_is_asked_for_and_not_live_is_a_warning() -> None:
    asked = replace(healthy(), requested=("flexibility", "ANVIL_MODE"))

    assert wrong(asked, "D30") == [("D30", "warn")]
    assert "anvil-ctl switch flexibility, or: unset ANVIL_MODE" in said(asked, "D30")


def test_a_router_of_another_mode_than_the_containers_is_a_failure() -> None:
    other = healthy(cpu_text(), "flexibility").home.installed["router.toml"]

    assert wrong(with_files(healthy(), router_toml=other), "D30") == [("D30", "fail")]


def test_a_journal_that_says_another_mode_is_a_warning() -> None:
    home = replace(healthy().home, journal=JournalSeen(recorded="flexibility"))

    assert wrong(replace(healthy(), home=home), "D30") == [("D30", "warn")]


def test_nothing_live_is_no_fault() -> None:
    assert wrong(replace(healthy(), containers=()), "D30") == [("D30", "info")]


def test_a_router_that_did_not_reload_is_a_failure() -> None:
    old = replace(healthy(), router=Control({"mode": "agentic", "config_hash": "older"}))
    silent = replace(healthy(), router=Control(None))

    assert "another config than the installed one" in said(old, "D31")
    assert wrong(silent, "D31") == [("D31", "unknown")]
    assert wrong(with_files(healthy(), router_toml=None), "D31") == [("D31", "fail")]
