from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from anvil_ctl import images, inventory
from anvil_ctl.docker import LocalImage
from anvil_ctl.errors import AnvilError
from anvil_ctl.images.image import BUILD_LABEL
from anvil_ctl.inventory import Origin, State, check, resolve, rows
from anvil_ctl.paths import PACKAGE, Home, bundle
from anvil_ctl.site import Site
from tests.unit.definitions import cpu, fakoli_dark_text, parse, renderer

VLLM, SGLANG = "vllm/vllm-openai:v0.33.0", "lmsysorg/sglang:v0.5.23"
FIRST, SECOND = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@dataclass
class FakeRegistry:
    """Knows the digests in `tags`; everything else gets no answer."""

    tags: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def digest(self, reference: str) -> str:
        self.asked.append(reference)
        if reference not in self.tags:
            raise AnvilError("no such host")
        return self.tags[reference]


def dark(home: Path, digests: dict[str, str] | None = None) -> Site:
    found = renderer(parse(fakoli_dark_text("linux")))
    catalog = images.catalog(bundle(), PACKAGE)
    tags = {name: image.tag for name, image in catalog.items()}
    return Site(
        Home(home), found.config, {}, replace(found, images=tags, digests=digests or {}), catalog
    )


def nothing(_reference: str) -> LocalImage | None:
    return None


def test_every_image_has_a_row_with_who_runs_it(tmp_path: Path) -> None:
    found = {each.name: each for each in rows(dark(tmp_path), nothing)}

    assert found["vllm-cuda"].used_by == (
        "agentic/fast-local",
        "flexibility/flex-gptoss-120b",
        "flexibility/flex-qwen36-27b",
    )
    assert (found["vllm-cuda"].engine, found["vllm-cuda"].variant) == ("vllm", "cuda")
    assert found["vllm-cuda"].origin is Origin.OFFICIAL
    assert found["ds4-cuda"].used_by == ("flexibility/flex-deepseek-v4 (off)",)
    assert (found["ds4-cuda"].origin, found["ds4-cuda"].needed) == (Origin.BUILT, False)
    assert (found["llamacpp-cpu"].used_by, found["control"].engine) == ((), None)
    assert not any(each.present for each in found.values())


def test_a_locked_image_is_named_by_its_digest_and_rendered_so(tmp_path: Path) -> None:
    site = dark(tmp_path, {VLLM: FIRST})
    local = LocalImage("sha256:id", 10_000, (f"vllm/vllm-openai@{FIRST}",))
    found = {each.name: each for each in rows(site, {f"{VLLM}@{FIRST}": local}.get)}

    row = found["vllm-cuda"]
    assert (row.reference, row.digest, row.origin) == (f"{VLLM}@{FIRST}", FIRST, Origin.LOCKED)
    assert (row.present, row.size) == (True, 10_000)
    assert f'image: "{VLLM}@{FIRST}"' in site.renderer.mode("flexibility").compose
    assert f'image: "{SGLANG}"' in site.renderer.mode("agentic").compose


def test_an_official_image_under_our_tag_is_told_from_one_that_was_built(tmp_path: Path) -> None:
    found = renderer(cpu())
    catalog = images.catalog(bundle(), PACKAGE)
    tags = {name: image.tag for name, image in catalog.items()}
    site = Site(Home(tmp_path), found.config, {}, replace(found, images=tags), catalog)

    def origin(labels: dict[str, str]) -> Origin:
        local = {tags["llamacpp-cpu"]: LocalImage("id", 1, (), labels)}
        row = next(each for each in rows(site, local.get) if each.name == "llamacpp-cpu")
        return row.origin

    assert origin({BUILD_LABEL: "x"}) is Origin.BUILT
    assert origin({}) is Origin.OFFICIAL


def test_the_lock_asks_for_the_images_of_every_tier_and_with_all_of_every_engine(
    tmp_path: Path,
) -> None:
    gguf = "ghcr.io/ggml-org/llama.cpp:server-cuda13-b11669"
    cpu_image = "ghcr.io/ggml-org/llama.cpp:server-b11669"
    registry = FakeRegistry(dict.fromkeys((VLLM, SGLANG, gguf, cpu_image), FIRST))

    assert set(resolve(dark(tmp_path), registry, every=False)) == {VLLM, SGLANG, gguf}
    assert set(resolve(dark(tmp_path), registry, every=True)) == {VLLM, SGLANG, gguf, cpu_image}


def test_one_silent_registry_is_an_error_and_no_half_lock(tmp_path: Path) -> None:
    with pytest.raises(AnvilError, match="no such host"):
        resolve(dark(tmp_path), FakeRegistry({SGLANG: FIRST}), every=False)


def states(found: list[inventory.Check]) -> dict[str, list[State]]:
    said: dict[str, list[State]] = {}
    for each in found:
        said.setdefault(each.name, []).append(each.state)
    return said


def test_what_is_locked_must_be_here_with_that_digest(tmp_path: Path) -> None:
    site = dark(tmp_path, {VLLM: FIRST})
    by_tag = LocalImage("sha256:id", 1, (f"vllm/vllm-openai@{SECOND}",))
    found = check(site, {VLLM: by_tag}.get, None)
    wrong = next(each for each in found if not each.ok)

    assert wrong.state is State.MISSING
    assert f"the tag alone is here, as {SECOND}" in wrong.text
    assert wrong.remedy == "anvil-ctl images build"
    assert states(found)["sglang-cuda"] == [State.UNLOCKED]


def test_a_tag_that_moved_is_said_and_no_failure(tmp_path: Path) -> None:
    site = dark(tmp_path, {VLLM: FIRST})
    here = {f"{VLLM}@{FIRST}": LocalImage("id", 1)}
    found = check(site, here.get, FakeRegistry({VLLM: SECOND}))

    assert states(found)["vllm-cuda"] == [State.OK, State.MOVED]
    assert all(each.ok for each in found)
    assert SECOND in next(each.text for each in found if each.state is State.MOVED)
    assert states(check(site, here.get, FakeRegistry({VLLM: FIRST})))["vllm-cuda"] == [State.OK]


def test_a_registry_that_does_not_answer_is_asked_once_and_said(tmp_path: Path) -> None:
    site, registry = dark(tmp_path, {VLLM: FIRST, SGLANG: FIRST}), FakeRegistry()
    here = {f"{each}@{FIRST}": LocalImage("id", 1) for each in (VLLM, SGLANG)}
    found = check(site, here.get, registry)

    assert len(registry.asked) == 1
    assert [each.state for each in found].count(State.UNASKED) == 1
    assert all(each.ok for each in found)


def test_a_missing_image_of_a_tier_that_is_off_is_said_and_no_failure(tmp_path: Path) -> None:
    gguf = "ghcr.io/ggml-org/llama.cpp:server-cuda13-b11669"
    found = check(dark(tmp_path, {gguf: FIRST}), nothing, None)
    off = next(each for each in found if each.name == "llamacpp-cuda")

    assert (off.state, off.ok) == (State.MISSING, True)
    assert off.remedy == "anvil-ctl images build llamacpp-cuda"
