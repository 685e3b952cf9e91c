"""No answer can hold the router up: every check takes time in proportion, and little of it."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings, target
from hypothesis import strategies as st

from anvil_ctl.router.dialects.answer import ToolCall
from anvil_ctl.router.verify.chain import verify
from anvil_ctl.router.verify.view import LONGEST, Asked, View

# CPU time, so that a busy machine doesn't count; the figure that is promised.
MOST_S = 0.1
EVERYTHING = Asked(json=True, patch=True, schema={"type": "object"}, tools={"f": ("a",)})

PIECES = [
    "```", "````", "~~~", "`", "python", "json", "diff", "\n", " ", "\t", "> ", "- ", "1. ", "x", "{",
    "}", "[", "]", "(", ")", '"', "'", '"""', "f'{a}'", "\\", "@@ -1,9 +1,9 @@\n", "+", "-", "--- a\n+++ b\n",
    ">>>", "...", "//", "#", ":", ",", "=", "not ", "lambda:", "a if b else ", "\u2019", "I can't", "é", "你",
    "```python\nx = 1\n```\n", "```json\n{}\n```\n", "1e999", "\x00", "\r\n",
]  # fmt: skip


def seconds(text: str) -> float:
    """The CPU time of the whole chain: the least of three runs, so that a busy machine is not
    held against it."""

    def once(asked: Asked) -> float:
        began = time.thread_time()
        verify(View(text, finish="stop", asked=asked))
        return time.thread_time() - began

    return max(min(once(asked) for _ in range(3)) for asked in (Asked(), EVERYTHING))


def filled(unit: str) -> str:
    return (unit * (LONGEST // len(unit) + 1))[:LONGEST]


KNOWN = {
    "prose": "some words of prose. ",
    "opening-and-inline-fences": "```a\nshort ``` inline\n",
    "fences-alone": "```\n",
    "fences-on-one-line": "``` ",
    "tildes": "~~~x\n",
    "alternating": "```\n~~~\n",
    "backticks": "`",
    "quotes": "> " * 20 + "```x\n",
    "spaces-before-fences": " " * 200 + "```x\n",
    "lists": "1. - ```\n",
    "lines": "\n",
    "blocks-of-python": "```python\nx = 1\n```\n",
    "blocks-of-json": '```json\n{"a": [1, 2]}\n```\n',
    "hunks": "@@ -1,2 +1,2 @@\n a\n-b\n+c\n",
    "hunk-headers": "@@ -1 +1 @@\n",
    "json-lines": '{"a": 1}\n',
    "digits": "1",
    "nested": "[",
    "quoted-tildes": '"~~~"\n',
}


@pytest.mark.parametrize("unit", KNOWN.values(), ids=KNOWN.keys())
@pytest.mark.parametrize("around", ["{}", "```python\n{}\n```", "```json\n{}\n```", "```diff\n{}\n```"],
                         ids=["open", "python", "json", "diff"])  # fmt: skip
def test_a_quarter_of_a_megabyte_of_anything_takes_less_than_a_tenth_of_a_second(
    unit: str, around: str
) -> None:
    text = around.format(filled(unit)[: LONGEST - 20])

    assert seconds(text) < MOST_S


@pytest.mark.parametrize(
    "code",
    ["a\n", "a;", "f(a,b)\n", "not ", "-", "a.b", "a+", "(" * 150 + "a" + ")" * 150 + "\n", "a<", "{a}",
     "lambda:", "a if b else ", "f'{a}{b}'\n", "x = {1: 2}\n", "@a\n", "case 1|2: pass\n", "[a for a in b]\n"],
)  # fmt: skip
def test_code_that_parsers_are_slow_with_takes_no_longer(code: str) -> None:
    for text in (
        f"```python\n{filled(code)[:200_000]}\n```",
        f"```python\nf'{filled(code)[:20_000]}'\n```",
    ):
        assert seconds(text) < MOST_S
    block = f"```python\n{(code * 2000)[:2000]}\n```\n"
    assert seconds(filled(block)) < MOST_S


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join))
def test_a_fuzzer_finds_nothing_slower(unit: str) -> None:
    """Hypothesis looks for the slowest text that is made by repeating a few pieces."""
    took = seconds(filled(unit))
    target(took, label="seconds")

    assert took < MOST_S


def test_large_arguments_of_tools_are_read_in_proportion() -> None:
    began = time.process_time()
    verify(
        View("", calls=(ToolCall("1", "f", '{"a": "' + "x" * LONGEST + '"}'),), asked=EVERYTHING)
    )

    assert time.process_time() - began < MOST_S
