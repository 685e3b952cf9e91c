"""What holds for every tier of every site that `init` can write, enabled or not."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

import pytest

from anvil_ctl.config import MODES, Mode, Tier
from anvil_ctl.init import Gpu
from anvil_ctl.service import Service
from tests.unit.definitions import FAST, HEAVY, parse, renderer, site_text, texts

SITES = texts()
RENDERERS = {site: renderer(parse(text)) for site, text in SITES.items()}


def tiers() -> Iterator[tuple[str, Mode, Tier]]:
    for site, found in RENDERERS.items():
        for mode, definition in found.config.modes.items():
            for tier in definition.tiers:
                yield site, mode, tier


def case(site: str, mode: Mode, tier: Tier) -> Service:
    return RENDERERS[site].service(mode, tier)


each_tier = pytest.mark.parametrize(
    ("site", "mode", "tier"), list(tiers()), ids=lambda each: getattr(each, "id", each)
)
each_site = pytest.mark.parametrize("site", sorted(SITES))


@each_tier
def test_a_command_has_only_flags_that_the_pinned_version_knows(
    site: str, mode: Mode, tier: Tier
) -> None:
    engine = RENDERERS[site].engines[tier.engine]
    command = case(site, mode, tier).command

    assert [part for part in command if part.startswith("--")]
    assert engine.unknown_flags(command) == []


@each_tier
def test_a_card_is_pinned_by_uuid_twice(site: str, mode: Mode, tier: Tier) -> None:
    """By reservation for native Linux, by environment for WSL2 (K01, K02)."""
    service = case(site, mode, tier)
    pins = {
        name: service.environment.get(name)
        for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
    }

    if RENDERERS[site].config.machine.roles[tier.role].device == "cpu":
        assert set(pins.values()) == {None}
    else:
        assert service.gpu_uuid in {HEAVY, FAST}
        assert pins == {"CUDA_VISIBLE_DEVICES": service.gpu_uuid, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


@each_tier
def test_flashinfer_gets_the_architecture_that_compiles_right(
    site: str, mode: Mode, tier: Tier
) -> None:
    """K05: plain 12.0 makes kernels that die; SGLang sets the list itself."""
    said = case(site, mode, tier).environment.get("FLASHINFER_CUDA_ARCH_LIST")
    blackwell = RENDERERS[site].config.machine.roles[tier.role].compute_capability == "12.0"
    wanted = {"vllm": "12.0f", "ktransformers": "12.0a"} if blackwell else {}

    assert said == wanted.get(tier.engine)


@each_tier
def test_an_image_is_pinned_and_its_program_named(site: str, mode: Mode, tier: Tier) -> None:
    """C01 as far as a digest is not known here, and C02."""
    service = case(site, mode, tier)
    tag = service.image.rpartition(":")[2]

    assert "/" not in tag
    assert not re.search(r"latest|nightly", tag)
    assert service.entrypoint


@each_tier
def test_an_engine_is_published_on_loopback_alone(site: str, mode: Mode, tier: Tier) -> None:
    assert case(site, mode, tier).publish.startswith(f"127.0.0.1:{tier.port}:")


@each_tier
def test_an_engine_that_shares_memory_between_processes_has_enough(
    site: str, mode: Mode, tier: Tier
) -> None:
    """C10."""
    service = case(site, mode, tier)

    assert tier.engine not in {"sglang", "vllm"} or service.shm_size == "16gb"


@each_tier
def test_what_an_engine_compiles_outlives_its_container(site: str, mode: Mode, tier: Tier) -> None:
    """S04, for the engines that compile."""
    caches = [each.target for each in case(site, mode, tier).caches]

    assert caches == (
        ["/root/.cache"] if tier.engine in {"sglang", "vllm", "ktransformers"} else []
    )


@each_tier
def test_a_health_check_waits_for_the_longest_start(site: str, mode: Mode, tier: Tier) -> None:
    """C13: the first start of an image with a model compiles for many minutes."""
    service = case(site, mode, tier)

    assert service.start_timeout_s >= tier.start_timeout_s
    assert not service.caches or service.start_timeout_s >= 1200


@each_tier
def test_no_environment_holds_a_secret(site: str, mode: Mode, tier: Tier) -> None:
    """C11: and an engine that could download is offline (S06)."""
    environment = case(site, mode, tier).environment

    assert [name for name in environment if re.search(r"TOKEN|SECRET|PASSWORD|API_KEY", name)] == []
    assert tier.revision is None or environment["HF_HUB_OFFLINE"] == "1"


@each_tier
def test_weights_are_a_path_of_the_volume(site: str, mode: Mode, tier: Tier) -> None:
    command = case(site, mode, tier).command

    assert f"/models/{tier.weights}" in command
    assert "--weight-loader-disable-mmap" not in command


@pytest.mark.parametrize("mode", MODES)
@each_site
def test_the_router_reaches_engines_by_service_name_and_never_by_localhost(
    site: str, mode: Mode
) -> None:
    """C04, A08 and A11."""
    found = RENDERERS[site]
    tiers = tomllib.loads(found.mode(mode).router)["router"]["tiers"]

    for tier, defined in zip(tiers, found.config.modes[mode].enabled, strict=True):
        port = found.engines[defined.engine].file.port
        assert tier["base_url"] == f"http://{defined.id}:{port}"
        assert tier["model"] == defined.served_name
        assert tier["context_limit"] <= defined.window


@each_site
def test_two_roles_have_two_cards(site: str) -> None:
    """K03."""
    cards = [
        role.gpu_uuid for role in RENDERERS[site].config.machine.roles.values() if role.gpu_uuid
    ]

    assert len(set(cards)) == len(cards)


@each_site
def test_no_port_means_two_things_in_two_modes(site: str) -> None:
    """A stale router then meets a closed port, not the other mode's model."""
    ports = [tier.port for mode in RENDERERS[site].config.modes.values() for tier in mode.tiers]

    assert len(set(ports)) == len(ports)


def test_agentic_heavy_is_the_measured_configuration() -> None:
    """K19: drafting with NEXTN 3/1/4, the radix cache on, a KV cache of fp8_e5m2."""
    found = RENDERERS["fakoli-dark-linux"]
    tier = found.config.modes["agentic"].tiers[0]
    command = " ".join(found.service("agentic", tier).command)

    assert "--speculative-algorithm NEXTN --speculative-num-steps 3" in command
    assert "--speculative-eagle-topk 1 --speculative-num-draft-tokens 4" in command
    assert "--kv-cache-dtype fp8_e5m2" in command
    assert "--disable-radix-cache" not in command
    assert "--quantization" not in command


def test_the_platforms_differ_in_what_wsl2_alone_needs() -> None:
    wsl2, linux = (
        RENDERERS[f"fakoli-dark-{each}"].mode("flexibility").compose for each in ("wsl2", "linux")
    )

    assert '"VLLM_WSL2_ENABLE_PIN_MEMORY": "1"' in wsl2
    assert "WSL2" not in linux
    assert f'device_ids: ["{FAST}"]' in wsl2


def test_both_modes_share_a_cache_volume_by_name() -> None:
    found = RENDERERS["fakoli-dark-linux"]
    line = '"cache-vllm-cuda": {name: "anvil-cache-vllm-cuda-0.33.0"}'

    assert [line in found.mode(mode).compose for mode in MODES] == [True, True]


def test_a_tier_that_is_off_is_in_no_file() -> None:
    found = RENDERERS["fakoli-dark-linux"]
    files = found.mode("flexibility")
    off = [each.id for each in found.config.modes["flexibility"].tiers if not each.enabled]

    assert off == ["flex-qwen36-gguf", "flex-coder-next", "flex-deepseek-v4"]
    for each in off:
        assert each not in files.compose + files.router + files.registry + found.guard_list()


def test_a_tier_is_turned_on_as_its_comment_says() -> None:
    text = SITES["fakoli-dark-linux"]
    text = text.replace('id = "flex-qwen36-gguf"\nenabled = false', 'id = "flex-qwen36-gguf"')
    text = text.replace('id = "flex-qwen36-27b"\n', 'id = "flex-qwen36-27b"\nswap = true\n')
    found = renderer(parse(text))

    assert '"name": "qwen36-27b-gguf"' in found.mode("flexibility").registry
    assert found.guard_list().splitlines() == [
        "anvil-flexibility-flex-qwen36-27b-1",
        "anvil-flexibility-flex-qwen36-gguf-1",
    ]


def test_a_small_card_gets_no_model_that_it_cannot_hold() -> None:
    roomy = RENDERERS["single-gpu"].config.modes["flexibility"]
    assert "flex-qwen36-27b" in roomy.presets["chat"]

    small = parse(site_text("single-gpu", {"gpu": Gpu(HEAVY, 24564, "8.9")}))
    assert [each.id for each in small.modes["flexibility"].enabled] == ["flex-gptoss-20b"]
    service = renderer(small).service("flexibility", small.modes["flexibility"].tiers[0])
    assert "FLASHINFER_CUDA_ARCH_LIST" not in service.environment


@pytest.mark.parametrize("mode", MODES)
@each_site
def test_a_rendered_file_waits_for_no_variable(site: str, mode: Mode) -> None:
    """C11 and C12: nothing is filled in later, so nothing can be filled in with nothing."""
    compose = RENDERERS[site].mode(mode).compose

    assert re.findall(r"(?<!\$)\$(?!\$)", compose.replace("$$", "")) == []
    assert "TOKEN" not in compose


@each_site
def test_each_mode_is_a_project_of_its_own(site: str) -> None:
    """C06 and C08: nothing starts both, and what goes is removed as one."""
    found = RENDERERS[site]
    projects = [found.mode(mode).project for mode in MODES]

    assert len(set(projects)) == len(MODES)
    for mode, project in zip(MODES, projects, strict=True):
        assert f'\nname: "{project}"\n' in found.mode(mode).compose


@each_tier
def test_slots_are_always_given(site: str, mode: Mode, tier: Tier) -> None:
    """K16: engines' own defaults are more than a recurrent model's state cache holds."""
    command = case(site, mode, tier).command
    flags = {
        "vllm": "--max-num-seqs",
        "sglang": "--max-running-requests",
        "ktransformers": "--max-running-requests",
        "llamacpp": "--parallel",
    }

    if tier.engine in flags:
        assert command[command.index(flags[tier.engine]) + 1] == str(tier.slots)


@each_tier
def test_an_engine_is_started_by_its_name_in_full_and_once(
    site: str, mode: Mode, tier: Tier
) -> None:
    """An image's own entrypoint changes from one version to the next; once it came to `serve serve`."""
    service = case(site, mode, tier)

    assert service.entrypoint
    assert service.command[0] not in service.entrypoint


@each_tier
def test_an_engine_is_published_on_this_machine_alone(site: str, mode: Mode, tier: Tier) -> None:
    assert case(site, mode, tier).publish.startswith("127.0.0.1:")


@each_tier
def test_weights_are_named_as_the_container_sees_them(site: str, mode: Mode, tier: Tier) -> None:
    """Neither a folder of the host nor a repository's id, which made a mount of `vol:nvidia`."""
    command = case(site, mode, tier).command

    assert f"/models/{tier.weights}" in command
    assert not {tier.weights, tier.model} & set(command)


@each_site
def test_what_an_engine_leaves_behind_is_reaped(site: str) -> None:
    for mode in RENDERERS[site].config.modes:
        compose = RENDERERS[site].mode(mode).compose
        engines = RENDERERS[site].config.modes[mode].enabled

        assert compose.count("\n    init: true\n") == len(engines)
