from __future__ import annotations

import json
import time
import tomllib

import pytest

from anvil_ctl.config import MODES, Mode
from anvil_ctl.errors import ConfigError
from anvil_ctl.router import config as configs
from anvil_ctl.templating import environment
from tests.unit.definitions import cpu, cpu_text, parse, recorded, renderer, texts

UUID = "GPU-00000000-0000-4000-8000-00000000000c"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("site", sorted(texts()))
def test_a_site_renders_as_recorded(site: str, mode: Mode) -> None:
    files = renderer(parse(texts()[site])).mode(mode)

    recorded(f"{site}-{mode}", "\n----------\n".join([files.compose, files.router, files.registry]))


def test_rendering_twice_gives_the_same_bytes() -> None:
    assert renderer(cpu()).mode("agentic") == renderer(cpu()).mode("agentic")


def test_a_changed_tier_changes_its_own_hash_and_no_other() -> None:
    before = renderer(cpu()).mode("flexibility").config_hashes
    after = renderer(parse(cpu_text().replace("slots = 4", "slots = 3"))).mode("flexibility")

    assert before["quick"] != after.config_hashes["quick"]
    assert before["long"] == after.config_hashes["long"]


def test_a_flag_that_the_pinned_version_lacks_is_refused() -> None:
    text = cpu_text().replace("slots = 2", 'slots = 2\nextra_args = ["--radix-cache", "-1"]')

    with pytest.raises(
        ConfigError, match="tier starter: llamacpp b11669 has no flag --radix-cache"
    ):
        renderer(parse(text)).mode("agentic")


def test_a_flag_that_is_misspelt_is_told_the_nearest_one() -> None:
    text = cpu_text().replace("slots = 2", 'slots = 2\nextra_args = ["--ubatch-siz", "64"]')

    with pytest.raises(ConfigError) as raised:
        renderer(parse(text)).mode("agentic")

    assert raised.value.hint == (
        "take it out of extra_args; what it has: engines/llamacpp/flags.txt; "
        "did you mean '--ubatch-size'?"
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('engine = "llamacpp"', 'engine = "lamacpp"', "engine 'lamacpp' is not one of: .*llamacpp.*; did you mean 'llamacpp'?"),
        ('image = "cpu"', 'image = "rocm"', "llamacpp has no image 'rocm'; it has: cpu, cuda"),
        ('device = "cpu"', f'device = "nvidia"\ngpu_uuid = "{UUID}"', "image 'cpu' runs on cpu, but role 'cpu' is nvidia"),
    ],
)  # fmt: skip
def test_a_tier_that_its_engine_cannot_run_is_refused(before: str, after: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        renderer(parse(cpu_text().replace(before, after, 1))).mode("agentic")

    assert "in the table of tier starter" in raised.value.hint


def test_values_reach_compose_quoted_with_dollars_doubled() -> None:
    q = environment().filters["q"]

    assert q("on") == '"on"'
    assert q('a"b$c') == '"a\\"b$$c"'
    assert q(["0123", True]) == '["0123", true]'


def test_an_undefined_name_in_a_template_is_an_error() -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        environment().from_string("{{ nothing }}").render()


def test_every_value_in_the_compose_template_is_quoted() -> None:
    template = renderer(cpu()).templates["mode.compose.yaml.j2"]
    body = template.split("name:", 1)[1]

    bare = [part.split("}}")[0].strip() for part in body.split("{{")[1:]]

    assert bare
    assert [each for each in bare if not each.endswith("| q")] == []


def test_the_guards_list_has_the_swapped_containers_of_every_mode_and_no_other() -> None:
    assert renderer(cpu()).guard_list() == "anvil-flexibility-long-1\nanvil-flexibility-quick-1\n"


def test_the_router_and_the_multiplexer_are_told_the_same_names() -> None:
    files = renderer(cpu()).mode("flexibility")
    tiers = tomllib.loads(files.router)["router"]["tiers"]
    models = json.loads(files.registry)["models"]

    assert [tier["model"] for tier in tiers] == [model["name"] for model in models]
    assert {tier["swap_group"] for tier in tiers} == {"cpu"}


def test_the_router_is_told_which_endpoints_a_tier_opens_and_how_its_engine_counts() -> None:
    text = cpu_text().replace('id = "long"', 'id = "long"\npassthrough = ["embeddings"]')
    tiers = tomllib.loads(renderer(parse(text)).mode("flexibility").router)["router"]["tiers"]
    anthropic = parse(text.replace('id = "long"', 'id = "long"\ndialect = "anthropic"'))
    spoken = tomllib.loads(renderer(anthropic).mode("flexibility").router)["router"]["tiers"]

    opened = {tier["id"]: tier.get("passthrough") for tier in tiers}
    assert opened == {"long": ["embeddings"], "quick": None}
    assert {tier["count_tokens"] for tier in tiers} == {"template"}
    assert "count_tokens" not in next(tier for tier in spoken if tier["id"] == "long")


def test_a_new_token_or_another_guard_list_is_another_control_project() -> None:
    first = renderer(cpu())
    other = renderer(
        parse(cpu_text().replace('id = "long"', 'id = "far"').replace('["long"]', '["far"]'))
    )

    hashes = {
        first.control("/r", "/s", 1, "token").hash,
        first.control("/r", "/s", 1, "other token").hash,
        other.control("/r", "/s", 1, "token").hash,
    }

    assert len(hashes) == 3
    assert "token" not in first.control("/r", "/s", 1, "token").env


def test_every_command_is_listed_with_the_flags_that_its_version_lacks() -> None:
    text = cpu_text().replace("slots = 2", 'slots = 2\nextra_args = ["--radix-cache", "--temp=1"]')
    (found,) = renderer(parse(text)).commands("agentic")

    assert (found.engine, found.version, found.tier, found.enabled) == (
        "llamacpp",
        "b11669",
        "starter",
        True,
    )
    assert found.argv[:2] == ("/app/llama-server", "--model")
    assert found.flags[-2:] == ("--radix-cache", "--temp")
    assert found.unknown == ("--radix-cache",)


def test_a_site_is_rendered_in_the_blink_of_an_eye() -> None:
    """0.3 s is what a site may take; counted in processor time, which others on the machine don't use up."""
    found = renderer(parse(texts()["fakoli-dark-linux"]))
    began = time.process_time()
    for mode in MODES:
        found.mode(mode)

    assert time.process_time() - began < 0.9


FALLBACK = """
[router.fallback]
deadline_s = 90
circuit_threshold = 4
circuit_cooldown_s = 5
verifier_timeout_s = 2
"""


def test_the_bounds_of_the_router_and_its_tiers_reach_its_file() -> None:
    router = """[router]
max_concurrency = 9
max_body_bytes = 1000
request_read_timeout_s = 3.5
idle_timeout_s = 60
expose_decision_headers = false
response_model = "served"
forward_session_fields = true
verify_raw = "post"
early_commit_pings = true
audit_lines = true
"""
    keys = 'max_concurrency = 2\nmax_queue = 0\nmax_tokens_field = "max_tokens"'
    text = cpu_text().replace("slots = 2", f"slots = 2\n{keys}")
    text = text.replace("[router]\n", router, 1) + FALLBACK
    file = renderer(parse(text)).mode("agentic").router
    made = configs.parse(file.encode(), "router.toml")

    assert (made.max_concurrency, made.max_body, made.read_s, made.idle_s) == (9, 1000, 3.5, 60)
    assert (made.decision_headers, made.echo_model, made.session_fields) == (False, False, True)
    assert (made.judgement.verify_raw, made.judgement.early_commit) == (True, True)
    assert made.judgement.log.audit
    limits, breakers = made.judgement.fallback, made.judgement.breakers
    assert (limits.deadline_s, limits.verifier_s, limits.max_attempts) == (90, 2, 3)
    assert (breakers.threshold, breakers.cooldown) == (4, 5)
    assert (made.tiers[0].max_concurrency, made.tiers[0].max_queue) == (2, 0)
    assert made.tiers[0].max_tokens_field == "max_tokens"
    assert made.warnings == ()
