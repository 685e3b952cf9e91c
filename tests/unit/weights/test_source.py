from __future__ import annotations

import pytest

from anvil_ctl.weights.source import (
    HubSource,
    LocalSource,
    NotASource,
    PypiSource,
    Source,
    UrlSource,
    parse,
)

PROOF = "0" * 64


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("openai/gpt-oss-20b", HubSource("openai/gpt-oss-20b")),
        ("org/name@v1.0", HubSource("org/name", "v1.0")),
        ("org/name:UD-Q4_K_XL", HubSource("org/name", None, "UD-Q4_K_XL")),
        ("org/name@refs/pr/1:Q8_0", HubSource("org/name", "refs/pr/1", "Q8_0")),
        ("./folder", LocalSource("./folder")),
        ("/models/a.gguf", LocalSource("/models/a.gguf")),
        (f"https://a.example/m.gguf#sha256={PROOF}", UrlSource("https://a.example/m.gguf", PROOF)),
        (f"pypi:a-b==1.0/a/m.gguf#sha256={PROOF}", PypiSource("a-b", "1.0", "a/m.gguf", PROOF)),
    ],
)
def test_a_source_is_known_by_how_it_is_written(text: str, source: Source) -> None:
    assert parse(text) == source


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("everything", "names no weights"),
        ("--volume/x", "names no weights"),
        ("-a/b", "names no weights"),
        ("a/../b", "names no weights"),
        ("org/name with space", "names no weights"),
        ("https://a.example/m.gguf", "has no checksum"),
        (f"http://a.example/m.gguf#sha256={PROOF}", "only https"),
        ("pypi:a==1.0", "is not pypi:PACKAGE"),
    ],
)
def test_what_names_no_weights_says_how_they_are_named(text: str, said: str) -> None:
    with pytest.raises(NotASource, match=said):
        parse(text)
