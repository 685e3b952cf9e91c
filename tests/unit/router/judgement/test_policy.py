"""Filters, then order: what holds for every configuration, request and moment."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anvil_ctl.router.config import Config, Tier
from anvil_ctl.router.dialects.call import Dialect
from anvil_ctl.router.judgement import intent as intents
from anvil_ctl.router.judgement.intent import Hints, Intent, Source
from anvil_ctl.router.judgement.plan import Handling, handling
from anvil_ctl.router.judgement.policy import (
    Circumstances,
    Decision,
    Drop,
    Needs,
    notes,
    reasons,
    route,
)
from anvil_ctl.router.judgement.reading import Reading, read
from anvil_ctl.router.judgement.settings import Judgement, Ordering, Policy
from anvil_ctl.router.judgement.work import Work
from anvil_ctl.router.profile.row import Row, Verdict
from anvil_ctl.router.profile.store import Profile
from tests.unit.router.judgement import examples

L, C = examples.local(), examples.with_cloud()


def reading(text: str = "hello", **more: object) -> Reading:
    return read({"messages": [{"role": "user", "content": text}], **more})


def understood(config: Config, model: object, text: str = "hello", **hints: object) -> Intent:
    made = msgspec.convert(hints, Hints)
    return intents.resolve(config, intents.named(config, model), reading(text), made)


def ids(decision: Decision) -> list[str]:
    return [each.tier.id for each in decision.candidates]


# Names


@pytest.mark.parametrize(
    "name", ["planning", " Planning ", "anvil/planning", "ANVIL:planning", "anvil/ planning"]
)
def test_a_preset_is_meant_however_it_is_spelled(name: str) -> None:
    assert understood(L, name) == understood(L, "planning")
    assert understood(L, name).work is Work.PLANNING


def test_only_one_prefix_is_taken_off() -> None:
    assert understood(L, "anvil/anvil/planning").source is Source.INFERRED


def test_a_preset_comes_before_a_tier_of_its_name_and_a_model_name_means_its_tiers() -> None:
    shadowed = msgspec.structs.replace(L, presets=L.presets | {"fast-local": ("heavy-local",)})
    assert understood(shadowed, "fast-local").source is Source.PRESET

    by_model = understood(L, "heavy-local-model", "fix it")
    assert by_model.source is Source.PINNED
    assert [tier.id for tier in by_model.pool] == ["heavy-local"]
    assert by_model.work is Work.EDIT


@given(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text()), st.binary()))
def test_no_name_is_too_strange(name: object) -> None:
    decision = route(C, understood(C, name), Needs(), Profile())

    assert notes(decision)["pool"] == list(decision.pool)


def test_hints_choose_where_the_name_says_nothing_and_only_there() -> None:
    assert understood(L, "x", preset="review").preset == "review"
    assert understood(L, "x", work="multi-file-refactor").work is Work.REFACTOR
    assert understood(L, "chat", preset="review").preset == "chat"
    assert understood(L, "fast-local", preset="review").source is Source.PINNED


# Needs


def test_a_tier_is_dropped_only_when_the_request_is_certainly_longer() -> None:
    for context, kept in ((32_768, True), (32_769, False)):
        decision = route(L, understood(L, "chat"), Needs(context), Profile())
        assert ("fast-local" in ids(decision)) is kept


def test_what_nobody_can_do_is_said_by_its_status() -> None:
    picture = route(L, understood(L, "chat"), Needs(vision=True), Profile())
    assert picture.lacking is Drop.VISION
    assert picture.status(503) == 400

    # Too long for the tier that may, denied to the tier that is large enough: still too long.
    denied = Profile({("heavy-local", Work.CHAT): Row(Verdict.DENY, 0.1, 9)})
    long = route(L, understood(L, "chat"), Needs(40_000), denied)
    assert long.drops == {"fast-local": Drop.CONTEXT, "heavy-local": Drop.DENIED}
    assert long.status(503) == 413

    mixed = route(L, understood(L, "chat"), Needs(1, tools=True, vision=True), Profile())
    assert mixed.status(599) == 400


def test_a_tier_that_says_it_has_no_json_schema_is_not_asked_for_one() -> None:
    plain, unsaid = (
        msgspec.structs.replace(L.tiers[0], structured="json_object"),
        L.tiers[1],
    )
    config = msgspec.structs.replace(L, tiers=(plain, unsaid))
    decision = route(config, understood(config, "chat"), Needs(schema=True), Profile())

    assert ids(decision) == ["heavy-local"]
    assert decision.drops == {"fast-local": Drop.STRUCTURED}


# Pins


def test_a_denied_pin_is_refused_and_never_answered_by_another_tier() -> None:
    intent = understood(C, "fast-local", "refactor the auth module")
    refused = route(C, intent, Needs(), Profile())
    assert refused.candidates == ()
    assert refused.pin_denied
    assert "fast-local is denied multi-file-refactor" in refused.gate

    redirected = route(examples.redirecting(C), intent, Needs(), Profile())
    assert ids(redirected) == ["heavy-local"]
    assert redirected.redirected


def test_every_drop_is_explained_in_words() -> None:
    decision = route(C, understood(C, "quick-edit"), Needs(40_000), Profile())

    assert sorted(reasons(decision)) == [
        "cloud: it costs money, and metered_cloud does not list this class",
        "fast-local: the request is longer than its window",
    ]
    assert notes(decision)["dropped_by_metered_gate"] == ["cloud"]
    assert notes(decision)["dropped_by_context"] == ["fast-local"]


# Order


def with_policy(config: Config, **more: object) -> Config:
    return examples.tuned(config, policy=msgspec.convert(more, Policy))


def test_quality_orders_by_score_and_puts_what_is_stale_last() -> None:
    config = with_policy(L, ordering="quality")
    intent = understood(config, "chat")
    assert ids(route(config, intent, Needs(), Profile())) == ["heavy-local", "fast-local"]

    stale = Row(Verdict.ALLOW, 0.99, 9, stale=True)
    profile = Profile({("heavy-local", Work.CHAT): stale})
    assert ids(route(config, intent, Needs(), profile)) == ["fast-local", "heavy-local"]


def test_single_is_the_best_one_and_no_other() -> None:
    config = with_policy(L, ordering="single")

    assert ids(route(config, understood(config, "chat"), Needs(), Profile())) == ["heavy-local"]


def test_without_substitution_a_preset_is_its_first_tier() -> None:
    config = examples.tuned(L, substitution=False)

    assert ids(route(config, understood(config, "chat"), Needs(), Profile())) == ["fast-local"]


def test_a_conversation_stays_where_it_was_and_who_just_failed_comes_last() -> None:
    intent = understood(L, "chat")
    stays = Circumstances(former="heavy-local")
    assert ids(route(L, intent, Needs(), Profile(), stays)) == ["heavy-local", "fast-local"]

    shut = Circumstances(former="heavy-local", shut=frozenset({"heavy-local"}))
    assert ids(route(L, intent, Needs(), Profile(), shut)) == ["fast-local", "heavy-local"]

    free = with_policy(L, stickiness=False)
    assert ids(route(free, intent, Needs(), Profile(), stays)) == ["fast-local", "heavy-local"]


def test_nobody_knows_what_was_asked_so_everybody_allowed_may_try_and_is_checked() -> None:
    metered = examples.with_cloud('"chat"')
    decision = route(metered, understood(metered, "gpt-4o", "hello there"), Needs(), Profile())

    assert ids(decision) == ["cloud", "fast-local", "heavy-local"]
    plans = [handling(metered, decision, each) for each in decision.candidates]
    assert plans == [Handling.RAW, Handling.FULL, Handling.FULL]


def test_the_same_candidate_is_handled_by_its_own_row() -> None:
    decision = route(L, understood(L, "chat"), Needs(), Profile())
    quick = examples.tuned(L, verify_local_min=False)
    off = with_policy(L, verify=False)

    assert {handling(L, decision, each) for each in decision.candidates} == {Handling.MINIMAL}
    assert {handling(quick, decision, each) for each in decision.candidates} == {Handling.RAW}
    assert {handling(off, decision, each) for each in decision.candidates} == {Handling.RAW}


# Invariants

TIERS = st.builds(
    Tier,
    id=st.sampled_from(["a", "b", "c", "fast-local", "heavy-local", "cloud"]),
    base_url=st.just("http://127.0.0.1:9"),
    dialect=st.just(Dialect.OPENAI),
    context_limit=st.integers(1, 10),
    local=st.booleans(),
    tool_support=st.booleans(),
    auth_env=st.just("KEY"),
    vision=st.booleans(),
    swap_group=st.sampled_from([None, "gpu"]),
)
ROWS = st.builds(
    Row,
    verdict=st.sampled_from(Verdict),
    score=st.floats(0, 1),
    samples=st.just(1),
    stale=st.booleans(),
    measured=st.sampled_from([None, "2026-07-01"]),
)
MOMENTS = st.builds(
    Circumstances,
    unbound=st.frozensets(st.sampled_from("abc"), max_size=1),
    residents=st.sampled_from([{}, {"gpu": "a"}, {"gpu": "z"}]),
    due=st.frozensets(st.sampled_from("abc"), max_size=1),
    shut=st.frozensets(st.sampled_from("abc"), max_size=2),
    former=st.sampled_from([None, "a", "b", "z"]),
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Config, Intent, Needs, Profile, Circumstances]:
    tiers = tuple(draw(st.lists(TIERS, min_size=1, max_size=4, unique_by=lambda t: t.id)))
    named = st.lists(st.sampled_from([t.id for t in tiers]), min_size=1, unique=True).map(tuple)
    presets = {
        name: draw(named) for name in draw(st.sets(st.sampled_from(["chat", "review", "own"])))
    }
    config = msgspec.structs.replace(
        L,
        tiers=tiers,
        presets=presets,
        metered_cloud=draw(st.frozensets(st.sampled_from([*map(str, Work)]))),
        judgement=Judgement(
            policy=draw(
                st.builds(Policy, ordering=st.sampled_from(Ordering), verify=st.booleans())
            ),
            redirect_pins=draw(st.booleans()),
            substitution=draw(st.booleans()),
        ),
    )
    text = draw(st.sampled_from(["hello", "plan it", "refactor this", "review and fix it"]))
    model = draw(st.sampled_from(["chat", "review", "own", "a", "fast-local", "gpt-4o", ""]))
    rows = draw(st.dictionaries(
        st.tuples(st.sampled_from([t.id for t in tiers]), st.sampled_from(Work)), ROWS))  # fmt: skip
    needs = draw(st.builds(Needs, context=st.integers(0, 12), tools=st.booleans(),
                           vision=st.booleans(), no_cloud=st.booleans()))  # fmt: skip
    return config, understood(config, model, text), needs, Profile(rows), draw(MOMENTS)


@given(situations())
def test_no_tier_is_ever_asked_that_a_gate_or_a_need_keeps_out(
    situation: tuple[Config, Intent, Needs, Profile, Circumstances],
) -> None:
    config, intent, needs, profile, now = situation
    decision = route(config, intent, needs, profile, now)

    for each in decision.candidates:
        tier = each.tier
        assert decision.work is None or each.verdict is not Verdict.DENY
        assert each.verdict is profile.verdict(tier.id, decision.work, local=tier.local)
        assert tier.local or (decision.work in config.metered_cloud and not needs.no_cloud)
        assert needs.context <= tier.context_limit
        assert tier.tool_support or not needs.tools
        assert tier.vision or not needs.vision
        assert tier.id not in now.unbound
        assert tier.id not in decision.drops
    assert len(set(ids(decision))) == len(decision.candidates)


@given(situations())
def test_a_moment_can_take_tiers_away_and_never_add_one(
    situation: tuple[Config, Intent, Needs, Profile, Circumstances],
) -> None:
    config, intent, needs, profile, now = situation
    if config.judgement.policy.ordering is Ordering.SINGLE or not config.judgement.substitution:
        return
    always = route(config, intent, needs, profile)
    at_this_moment = route(config, intent, needs, profile, now)

    assert set(ids(at_this_moment)) == set(ids(always)) - now.unbound


@given(situations())
def test_a_pin_is_answered_by_itself_or_with_its_own_consent_by_its_class(
    situation: tuple[Config, Intent, Needs, Profile, Circumstances],
) -> None:
    config, intent, needs, profile, now = situation
    decision = route(config, intent, needs, profile, now)

    if intent.source is Source.PINNED and not decision.redirected:
        assert set(ids(decision)) <= {tier.id for tier in intent.pool}
    assert not decision.redirected or config.judgement.redirect_pins


@given(situations())
def test_ambiguous_traffic_is_answered_if_any_tier_may(
    situation: tuple[Config, Intent, Needs, Profile, Circumstances],
) -> None:
    config, intent, needs, profile, now = situation
    if not intent.ambiguous:
        return
    decision = route(config, intent, needs, profile, now)
    alone = [
        route(config, msgspec.structs.replace(intent, pool=(tier,)), needs, profile, now)
        for tier in config.tiers
    ]

    assert bool(decision.candidates) == any(each.candidates for each in alone)


@given(situations())
def test_deciding_twice_decides_the_same_and_a_class_nobody_measured_is_not_trusted(
    situation: tuple[Config, Intent, Needs, Profile, Circumstances],
) -> None:
    config, intent, needs, profile, now = situation
    decision = route(config, intent, needs, profile, now)
    assert decision == route(config, intent, needs, profile, now)

    for each in decision.candidates:
        row = profile.row(each.tier.id, decision.work)
        if row is None and each.tier.local:
            assert decision.work not in (Work.PLANNING, Work.REFACTOR)
        if row is not None and row.stale:
            assert each.verdict is not Verdict.ALLOW
