from __future__ import annotations

import pytest

from anvil_ctl.errors import AnvilError
from anvil_ctl.images.engine import LocalHost, registry_of


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("debian:trixie-slim", ""),
        ("vllm/vllm-openai:v1", ""),
        ("registry.test/a/b:1", "registry.test"),
        ("localhost/a:1", "localhost"),
        ("mirror:5000/a", "mirror:5000"),
        ("registry.test/a@sha256:00", "registry.test"),
    ],
)
def test_the_registry_of_a_reference_is_known(reference: str, registry: str) -> None:
    assert registry_of(reference) == registry


def test_only_web_addresses_are_read() -> None:
    with pytest.raises(AnvilError, match="only http and https"):
        LocalHost({}).head("file:///etc/passwd")


def test_an_address_that_does_not_answer_is_an_expected_error() -> None:
    with pytest.raises(AnvilError, match="cannot read"):
        LocalHost({}).head("http://127.0.0.1:9/dists/trixie/InRelease")


def test_a_mirror_is_named_by_the_environment() -> None:
    assert LocalHost({"ANVIL_DEBIAN_MIRROR": " http://m/debian "}).mirror_override == (
        "http://m/debian"
    )
    assert LocalHost({}).mirror_override == ""
