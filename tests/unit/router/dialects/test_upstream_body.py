"""What a tier's own settings do to the body that it gets."""

from __future__ import annotations

import pytest

from anvil_ctl.router.dialects.call import JSON, Dialect
from tests.unit.router.dialects.sending import ANTHROPIC, EVERYTHING, OPENAI, USER, sent

LIMIT, OLD_LIMIT = "max_completion_tokens", "max_tokens"
PERSONAL: JSON = {
    "user": "u", "metadata": {"user_id": "u"}, "store": False, "safety_identifier": "i",
    "prompt_cache_key": "k",
}  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "source", "field", "told"),
    [
        ({LIMIT: 9}, OPENAI, None, {LIMIT: 9}),
        ({OLD_LIMIT: 9}, OPENAI, None, {OLD_LIMIT: 9}),
        ({LIMIT: 9}, OPENAI, OLD_LIMIT, {OLD_LIMIT: 9}),
        ({OLD_LIMIT: 9}, OPENAI, LIMIT, {LIMIT: 9}),
        ({LIMIT: 9, OLD_LIMIT: 5}, OPENAI, OLD_LIMIT, {OLD_LIMIT: 9}),
        ({LIMIT: None, OLD_LIMIT: 5}, OPENAI, LIMIT, {LIMIT: 5}),
        ({}, OPENAI, LIMIT, {}),
        ({OLD_LIMIT: 9}, ANTHROPIC, LIMIT, {LIMIT: 9}),
        ({OLD_LIMIT: 9}, ANTHROPIC, None, {OLD_LIMIT: 9}),
    ],
)
@pytest.mark.parametrize("local", [True, False])
def test_a_bound_has_the_name_that_the_tier_takes(
    asked: JSON, source: Dialect, field: str | None, told: JSON, local: bool
) -> None:
    body = sent({"messages": [USER], **asked}, source, OPENAI, local=local, bound=field)

    assert {key: body[key] for key in (LIMIT, OLD_LIMIT) if key in body} == told


def test_an_anthropic_engine_takes_either_name_of_the_bound_and_the_newer_first() -> None:
    for asked, told in (({LIMIT: 9}, 9), ({OLD_LIMIT: 5}, 5), ({LIMIT: 9, OLD_LIMIT: 5}, 9)):
        body = sent({"messages": [USER], **asked}, OPENAI, ANTHROPIC, bound=LIMIT)

        assert body[OLD_LIMIT] == told
        assert LIMIT not in body


def test_a_pinned_bound_and_the_callers_never_stand_side_by_side() -> None:
    asked: JSON = {"messages": [USER], LIMIT: 9}
    soft = sent(asked, OPENAI, OPENAI, extra_body_defaults={OLD_LIMIT: 50})
    hard = sent(asked, OPENAI, OPENAI, extra_body={OLD_LIMIT: 50})

    assert {key: soft.get(key) for key in (LIMIT, OLD_LIMIT)} == {LIMIT: 9, OLD_LIMIT: None}
    assert {key: hard.get(key) for key in (LIMIT, OLD_LIMIT)} == {LIMIT: None, OLD_LIMIT: 50}
    assert sent({"messages": [USER]}, OPENAI, OPENAI, extra_body_defaults={LIMIT: 50})[LIMIT] == 50


@pytest.mark.parametrize(("dialect", "kept"), [(OPENAI, set(PERSONAL)), (ANTHROPIC, {"metadata"})])
def test_a_cloud_service_gets_what_tells_of_the_person_only_where_it_is_switched_on(
    dialect: Dialect, kept: set[str]
) -> None:
    asked = {**EVERYTHING[dialect], **PERSONAL}
    off = sent(asked, dialect, dialect, local=False)
    on = sent(asked, dialect, dialect, local=False, session_fields=True)

    assert not PERSONAL.keys() & off.keys()
    assert on == {**off, **{key: PERSONAL[key] for key in kept}}


@pytest.mark.parametrize("switched", [True, False])
def test_generation_knobs_pass_either_way_and_a_local_engine_gets_everything(
    switched: bool,
) -> None:
    asked: JSON = {"messages": [USER], "seed": 3, "logit_bias": {"5": 1}, **PERSONAL}
    cloud = sent(asked, OPENAI, OPENAI, local=False, session_fields=switched)
    local = sent(asked, OPENAI, OPENAI, session_fields=switched)

    assert (cloud["seed"], cloud["logit_bias"]) == (3, {"5": 1})
    assert asked.items() <= local.items()
