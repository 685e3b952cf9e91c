from __future__ import annotations

from dataclasses import replace

from anvil_ctl.docker_look import Binding, Seen
from anvil_ctl.doctor.survey import Store, Survey
from tests.unit.definitions import cpu_text
from tests.unit.doctor.surveys import found, healthy, reference, with_container, wrong


def with_secrets(survey: Survey, **secrets: str) -> Survey:
    known = {**survey.site.secrets, **secrets}
    return replace(survey, definition=replace(survey.site, secrets=known))


def test_an_engine_that_the_network_reaches_is_a_failure() -> None:
    survey = with_container(
        healthy(), "starter-1", bindings=(Binding("0.0.0.0", 30000, "8080/tcp"),)
    )

    assert wrong(survey, "D40") == [("D40", "fail")]


def test_a_router_that_the_network_reaches_needs_a_token() -> None:
    text = cpu_text().replace('publish = "127.0.0.1"', 'publish = "0.0.0.0"')

    assert wrong(healthy(text), "D41") == []
    assert wrong(with_secrets(healthy(text), ANVIL_ROUTER_TOKEN=""), "D41") == [("D41", "fail")]
    assert wrong(with_secrets(healthy(), ANVIL_ROUTER_TOKEN=""), "D41") == []


def test_tokens_are_there_and_long_and_never_shown() -> None:
    short = with_secrets(healthy(), ANVIL_ADMIN_TOKEN="hunter2")
    absent = with_secrets(healthy(), ANVIL_ADMIN_TOKEN=" ")

    assert wrong(short, "D42") == [("D42", "warn")]
    assert wrong(absent, "D42") == [("D42", "fail")]
    assert "hunter2" not in "".join(map(str, found(short)))


def test_a_port_of_ours_is_not_taken() -> None:
    assert wrong(replace(healthy(), taken_ports=frozenset({8000, 30000})), "D43") == []


def test_who_has_a_port_is_named_where_it_is_a_container() -> None:
    stranger = Seen("web", "nginx", "running", bindings=(Binding("0.0.0.0", 30000, "80/tcp"),))
    survey = replace(healthy(), containers=(stranger,), taken_ports=frozenset({30000, 8001}))
    control, engine = [each for each in found(survey, "D43") if each.blocks]

    assert "another program" in control.observed
    assert "ss -ltnp 'sport = :8001'" in control.remedy
    assert engine.observed == "port 30000 of tier starter is held by container web"
    assert engine.remedy.startswith("docker stop web")


def test_the_hubs_token_matters_while_a_model_is_still_to_be_pulled() -> None:
    absent = replace(reference(), store=Store({}))

    assert wrong(reference(), "D44") == []
    assert wrong(absent, "D44") == [("D44", "warn")]
    assert wrong(with_secrets(absent, HF_TOKEN="hf_x"), "D44") == []


def test_secrets_that_others_may_read_are_a_failure() -> None:
    survey = replace(healthy(), home=replace(healthy().home, secrets_mode=0o644))
    (said,) = found(survey, "D45")

    assert said.blocks
    assert said.remedy == "chmod 600 /home/a/.anvil/.env"
